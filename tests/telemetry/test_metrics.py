"""/metrics: etcd's names and types, figures added up, and what is not known left out."""

import math
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etcdz.telemetry.histogram import Doublings
from etcdz.telemetry.metrics import Whole, encode

FACTS = Path(__file__).parents[1] / "facts" / "metrics.tsv"
WHOLE = Whole(1.5, 300 << 20, 1 << 30, 2.0**64, 120, 1024, 1_700_000_000.25)
FSYNC = {"fsync": ([1, 0, 2, *[0] * 11, 1], 10.5)}
RAFT = {"has_leader": 1, "is_leader": 1, "leader_changes": 1, "commit_index": 7}
BACKEND = {"applied_index": 9, "member_id": "8e9e", "server_version": "3.5.1", "revision": 3}
PEER = {
    "peers_active": [[["a1", "b2"], 1], [["a1", "c3"], 0]],
    "peers_disconnected": [[["a1", "c3"], 4]],
    "peer_sent_bytes": [[["b2"], 300], [["c3"], 10]],
    "peer_received_bytes": [],
    "peer_round_trip": [[["b2"], ([1, 0, 2, *[0] * 13, 1], 4.5)]],
}
LISTENERS = [{"watchers": 2, "watch_streams": 1, "slow_watchers": 0}, {"watchers": 3}]


def scraped(*actors: dict) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample name -> label values -> value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(encode(WHOLE, actors).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_figures_stand_under_the_names_of_etcd_and_are_added_up() -> None:
    found = scraped(RAFT, BACKEND, *LISTENERS)
    assert found["etcd_server_id"] == {("8e9e",): 1}
    assert found["etcd_server_version"] == {("3.5.1",): 1}
    assert found["etcd_debugging_mvcc_watcher_total"] == {(): 5}
    assert found["etcd_server_leader_changes_seen_total"] == {(): 1}
    assert found["process_cpu_seconds_total"] == {(): 1.5}
    assert found["process_resident_memory_bytes"] == {(): 300 << 20}


def test_what_is_applied_is_committed_even_if_raft_has_not_heard_of_it() -> None:
    assert scraped(RAFT, BACKEND)["etcd_server_proposals_committed_total"] == {(): 9}
    assert scraped(RAFT)["etcd_server_proposals_committed_total"] == {(): 7}


def test_an_actor_that_did_not_answer_leaves_a_gap_and_no_zero() -> None:
    found = scraped(BACKEND)
    assert not {"etcd_server_has_leader", "etcd_server_proposals_committed_total"} & set(found)
    assert found["etcd_server_proposals_applied_total"] == {(): 9}


def test_buckets_of_a_histogram_are_cumulative() -> None:
    buckets = scraped(FSYNC)["etcd_disk_wal_fsync_duration_seconds_bucket"]
    assert buckets[("0.001",)] == 1
    assert (buckets[("0.002",)], buckets[("0.004",)], buckets[("8.192",)], buckets[("+Inf",)]) == (1, 3, 3, 4)
    assert scraped(FSYNC)["etcd_disk_wal_fsync_duration_seconds_sum"] == {(): 10.5}


def test_figures_of_other_members_have_a_series_each() -> None:
    found = scraped(PEER)
    assert found["etcd_network_active_peers"] == {("a1", "b2"): 1, ("a1", "c3"): 0}
    assert found["etcd_network_disconnected_peers_total"] == {("a1", "c3"): 4}
    assert found["etcd_network_peer_sent_bytes_total"] == {("b2",): 300, ("c3",): 10}
    assert "etcd_network_peer_received_bytes_total" not in found, "as etcd, which has no series without a peer"
    buckets = found["etcd_network_peer_round_trip_time_seconds_bucket"]
    assert [buckets["b2", bound] for bound in ("0.0001", "0.0002", "0.0004", "1.6384", "+Inf")] == [1, 1, 3, 3, 4]


def test_counters_of_snapshots_lack_the_usual_ending_as_in_etcd() -> None:
    series = [[["b2"], 3]]
    names = ("snapshots_sent", "snapshots_not_sent", "snapshots_received", "snapshots_not_received")
    lines = encode(WHOLE, [dict.fromkeys(names, series)]).decode().splitlines()
    for way, label in (("send", "To"), ("receive", "From")):
        for outcome in ("success", "failures"):
            name = f"etcd_network_snapshot_{way}_{outcome}"
            assert f"# TYPE {name} counter" in lines and f'{name}{{{label}="b2"}} 3.0' in lines


def test_names_and_types_are_those_of_etcd() -> None:
    rows = [line.split("\t") for line in FACTS.read_text().splitlines()[1:]]
    types = {row[0].removesuffix("_total"): row[1] for row in rows}
    families = list(text_string_to_metric_families(encode(WHOLE, [RAFT, BACKEND, FSYNC, PEER, *LISTENERS]).decode()))
    ours = {family.name.removesuffix("_total"): family.type for family in families if family.name.startswith("etcd_")}
    assert len(ours) >= 10
    assert {name: types.get(name) for name in ours} == ours


@pytest.mark.parametrize("exponent", range(14))
def test_a_duration_lies_in_the_bucket_whose_bound_it_does_not_exceed(exponent: int) -> None:
    bound_ns = 1_000_000 << exponent
    for took_ns, expected in ((bound_ns, exponent), (bound_ns + 1, exponent + 1)):
        durations = Doublings()
        durations.add(took_ns)
        assert durations.counts.index(1) == expected
        assert durations.total_ns == took_ns


def test_what_takes_longer_than_all_bounds_is_counted() -> None:
    durations = Doublings()
    durations.add(10**12)
    assert durations.counts[-1] == 1
    assert math.isclose(encode_sum(durations), 1000)


def encode_sum(durations: Doublings) -> float:
    figures = {"fsync": (durations.counts, durations.total_ns / 1e9)}
    return scraped(figures)["etcd_disk_wal_fsync_duration_seconds_sum"][()]
