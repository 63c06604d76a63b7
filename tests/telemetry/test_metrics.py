"""/metrics: etcd's names and types, figures added up, and what is not known left out."""

import math
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etcdz.telemetry.exposition import number
from etcdz.telemetry.histogram import Doublings
from etcdz.telemetry.kept_figures import LATE_MAX, KeptFigures
from etcdz.telemetry.metrics import ActorUse, Whole, encode

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
            assert f"# TYPE {name} counter" in lines and f'{name}{{{label}="b2"}} 3' in lines


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


# ---- calls ----


def test_every_method_has_its_series_before_its_first_call() -> None:
    found = scraped({"grpc_started": [], "grpc_handled": []})
    assert found["grpc_server_started_total"]["Put", "etcdserverpb.KV", "unary"] == 0
    assert found["grpc_server_handled_total"]["Canceled", "Watch", "etcdserverpb.Watch", "bidi_stream"] == 0
    assert not [labels for labels in found["grpc_server_started_total"] if labels[1] == "v3lockpb.Lock"]


def test_series_of_several_listeners_are_added_up() -> None:
    put, lock = ["Put", "etcdserverpb.KV", "unary"], ["Lock", "v3lockpb.Lock", "unary"]
    found = scraped({"grpc_started": [[put, 3]]}, {"grpc_started": [[put, 4], [lock, 1]]})
    assert found["grpc_server_started_total"][tuple(put)] == 7
    assert found["grpc_server_started_total"][tuple(lock)] == 1


# ---- the text ----


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (6, "6"),
        (-1, "-1"),
        (0.25, "0.25"),
        (999_999, "999999"),
        (1_000_000, "1e+06"),
        (1_048_576, "1.048576e+06"),
        (2_147_483_648, "2.147483648e+09"),
        (2.0**64, "1.8446744073709552e+19"),
        (0.0001, "0.0001"),
        (7.522e-05, "7.522e-05"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert number(value) == text
    assert float(text) == value


def test_what_clients_say_cannot_break_the_text() -> None:
    version = 'a"b\\c\nd'
    found = scraped({"client_requests": [[[version, "unary"], 1]]})
    assert found["etcd_server_client_requests_total"] == {(version, "unary"): 1}


# ---- processes that have ended ----


def total(kept: KeptFigures, *living: dict) -> float:
    found = scraped(*kept.of_ended(), *living)
    return found["etcd_mvcc_put_total"][()]


def test_a_sum_does_not_go_back_when_an_actor_has_ended() -> None:
    kept = KeptFigures()
    kept.on_figures(5, {"puts": 10, "keys": 3})
    assert total(kept, {"puts": 10}) == 10
    kept.on_end(5)
    assert total(kept) == 10
    assert total(kept, {"puts": 1, "keys": 4}) == 11
    assert scraped(*kept.of_ended(), {"keys": 4})["etcd_debugging_mvcc_keys_total"] == {(): 4}, "a gauge is not kept"


def test_last_figures_count_even_if_they_come_behind_the_end() -> None:
    kept = KeptFigures()
    kept.on_figures(5, {"puts": 10})
    kept.on_end(5)
    kept.on_figures(5, {"puts": 12})
    assert total(kept) == 12


def test_of_many_ended_processes_the_sum_is_kept() -> None:
    kept = KeptFigures()
    for incarnation in range(100):
        kept.on_figures(incarnation, {"puts": 1, "fsync": ([1, *[0] * 14], 0.5)})
        kept.on_end(incarnation)
    assert total(kept) == 100
    assert len(kept.of_ended()) <= LATE_MAX + 1
    assert scraped(*kept.of_ended())["etcd_disk_wal_fsync_duration_seconds_count"] == {(): 100}


def test_each_actor_has_its_own_series() -> None:
    used = ActorUse("wal", 10.5, 2, 40 << 20, 1.5, 100, 3, 0.25, {0.5: 0.001})
    found = {
        sample.name: (sample.labels, sample.value)
        for family in text_string_to_metric_families(encode(WHOLE, [], [used]).decode())
        for sample in family.samples
    }
    assert found["etcdz_actor_restarts_total"] == ({"actor": "wal"}, 2)
    assert found["etcdz_actor_turn_seconds"] == ({"actor": "wal", "quantile": "0.5"}, 0.001)
