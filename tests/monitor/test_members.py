"""Several members side by side: rates, roles, and rows that fit."""

from typing import Any

import pytest

from etcdz.monitor.members import Members, MemberSample, Status, as_json, read_figures, table
from etcdz.monitor.paint import plain

METRICS = """\
# HELP etcd_server_proposals_applied_total The total number of applied proposals.
# TYPE etcd_server_proposals_applied_total gauge
etcd_server_proposals_applied_total 1200.0
etcd_server_version{server_version="3.5.1"} 1.0
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 5.0
etcd_disk_wal_fsync_duration_seconds_sum 0.5
etcd_disk_wal_fsync_duration_seconds_count 100
process_cpu_seconds_total 12.25
process_resident_memory_bytes 1.048576e+08
etcd_network_active_peers{Local="a",Remote="b"} 1
etcd_network_active_peers{Local="a",Remote="c"} 0
etcd_network_peer_sent_bytes_total{To="b"} 100
etcd_network_peer_sent_bytes_total{To="c"} 1e3
etcd_network_peer_round_trip_time_seconds_bucket{To="b",le="0.0001"} 2
etcd_network_peer_round_trip_time_seconds_sum{To="b"} 0.5
"""
LEADER = Status(0xC, 0xA, 0xA, "3.5.1", 2, 77, 90, 88, 20 << 20, False, ())


def sample(name: str, at_s: float, status: Status | None = LEADER, trouble: str = "", **figures: float) -> MemberSample:
    known = {
        "started_s": 1000.0,
        "applied": 50 * at_s,
        "cpu_s": 0.2 * at_s,
        "fsyncs": 10 * at_s,
        "fsync_s": 0.02 * at_s,
    }
    return MemberSample(name, at_s, 1060.0 + at_s, status, {**known, **figures} if status else {}, trouble)


def test_what_is_used_is_read_and_the_rest_passed_over() -> None:
    assert read_figures(METRICS) == {
        "applied": 1200.0,
        "fsync_s": 0.5,
        "fsyncs": 100.0,
        "cpu_s": 12.25,
        "rss_bytes": 104857600.0,
        "peers": 2.0,
        "peers_heard": 1.0,
        "peers_sent_bytes": 1100.0,
        "round_trip_s": 0.5,
    }


def test_two_looks_make_rates() -> None:
    members = Members()
    (first,) = members.feed([sample("a:2379", 1.0)])
    assert (first.applied_per_s, first.cpu_percent, first.fsync_us) == (None, None, None)
    (second,) = members.feed([sample("a:2379", 3.0)])
    assert second.applied_per_s == pytest.approx(50)
    assert second.cpu_percent == pytest.approx(20)
    assert second.fsync_us == pytest.approx(2000)
    assert second.uptime_s == pytest.approx(63)


def test_a_member_that_was_started_again_has_no_rates_at_first() -> None:
    members = Members()
    members.feed([sample("a:2379", 1.0)])
    (view,) = members.feed([sample("a:2379", 3.0, started_s=1062.0, applied=5.0)])
    assert view.applied_per_s is None


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({}, "leader"),
        ({"leader_id": 0xB}, "follower"),
        ({"leader_id": 0}, "no leader"),
        ({"leader_id": 0xB, "is_learner": True}, "learner"),
    ],
)
def test_its_part_in_the_cluster(changes: dict[str, Any], role: str) -> None:
    (view,) = Members().feed([sample("a:2379", 1.0, LEADER._replace(**changes))])
    assert view.role == role


def test_a_member_is_behind_the_one_of_its_cluster_that_has_most() -> None:
    other = LEADER._replace(member_id=0xB, applied_index=60, raft_index=60)
    foreign = LEADER._replace(cluster_id=0xD, applied_index=7, raft_index=8)
    views = Members().feed([sample("a:1", 1.0), sample("b:1", 1.0, other), sample("c:1", 1.0, foreign)])
    assert [view.behind for view in views] == [2, 30, 1]


def test_what_goes_between_members() -> None:
    members = Members()
    peers = {"peers": 2, "peers_heard": 1, "peers_sent_bytes": 1000, "round_trip_s": 0.5, "round_trips": 100}
    (first,) = members.feed([sample("a:1", 1.0, **peers)])
    assert (first.peers, first.peers_heard, first.to_peers_per_s) == (2, 1, None)
    assert first.round_trip_us == pytest.approx(5000)
    later = {**peers, "peers_sent_bytes": 5000, "round_trip_s": 0.502, "round_trips": 101}
    (second,) = members.feed([sample("a:1", 3.0, **later)])
    assert second.to_peers_per_s == pytest.approx(2000)
    assert second.round_trip_us == pytest.approx(2000)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "cluster c  2 of 3 members here  term 2  leader a:1"),
        ({"leader_id": 0}, "cluster c  2 of 3 members here  term 2  leader a:1"),
        ({"term": 3, "leader_id": 0}, "cluster c  2 of 3 members here  term 3  no leader  1 in an older term"),
        ({"term": 3, "leader_id": 0xF}, "cluster c  2 of 3 members here  term 3  leader f  1 in an older term"),
        ({"leader_id": 0xB}, "cluster c  2 of 3 members here  term 2  leader a:1, b:1"),
        ({"cluster_id": 0xD}, "cluster c  1 of 3 members here  term 2  leader a:1"),
    ],
)
def test_one_line_says_how_a_cluster_is(changes: dict[str, Any], text: str) -> None:
    other = LEADER._replace(member_id=0xB, **changes)
    views = Members().feed([sample("a:1", 1.0, peers=2, peers_heard=2), sample("b:1", 1.0, other)])
    assert text in [plain(one) for one in table(views, 80, 24)]


def test_a_member_that_is_alone_is_no_cluster_to_speak_of() -> None:
    assert len(table(Members().feed([sample("a:1", 1.0)]), 80, 24)) == 2


def three() -> list[MemberSample]:
    return [
        sample("10.0.0.1:2379", 1.0, rss_bytes=100 << 20, fds=80, keys=12, watchers=3),
        sample("10.0.0.2:2379", 1.0, LEADER._replace(member_id=0xB, errors=("NOSPACE",))),
        sample("10.0.0.3:2379", 1.0, None, "no answer: refused"),
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (40, 4)])
def test_rows_stand_side_by_side_and_fit(width: int, height: int) -> None:
    lines = [plain(one) for one in table(Members().feed(three()), width, height)]
    assert len(lines) <= height and all(len(text) <= width for text in lines)
    assert lines[0].startswith("MEMBER") and [text[:8] for text in lines[1:4]] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    if width >= 80:
        assert lines[1].split()[1:4] == ["leader", "77", "-"] and lines[2].split()[1] == "follower"
        assert lines[5].startswith("cluster c  2 of 2 members here")
        assert lines[7:] == ["10.0.0.2:2379: NOSPACE", "10.0.0.3:2379: no answer: refused"]
    assert ("WATCHERS" in lines[0]) == (width >= 118)
    assert ("PEERS" in lines[0]) == (width >= 144)


def test_programs_get_ids_as_etcdctl_prints_them() -> None:
    first, _, last = (as_json(view) for view in Members().feed(three()))
    assert first["status"]["member_id"] == "a" and first["rss_bytes"] == 100 << 20
    assert last["status"] is None and last["trouble"] == "no answer: refused"
