"""Snapshots that were sent or received are counted by member."""

import pytest

from etcdz.peer.snapshot_tally import BUCKETS, ROWS_MAX, SnapshotTally


def test_each_ends_once_and_either_way() -> None:
    tally = SnapshotTally()
    for _ in range(3):
        tally.begin(5)
    tally.begin(6)
    tally.end(5, True, 0.3)
    tally.end(5, False, 9.0)
    five, six = tally.by_member[5], tally.by_member[6]
    assert (five.under_way, five.arrived, five.failed) == (1, 1, 1)
    assert (six.under_way, six.arrived, six.failed) == (1, 0, 0)
    assert five.total_s == 0.3


@pytest.mark.parametrize(("took_s", "bucket"), [(0.0, 0), (0.1, 0), (0.11, 1), (51.2, 9), (51.3, BUCKETS)])
def test_durations_have_the_bounds_of_etcd(took_s: float, bucket: int) -> None:
    tally = SnapshotTally()
    tally.begin(5)
    tally.end(5, True, took_s)
    assert tally.by_member[5].counts.index(1) == bucket


def test_who_only_claims_to_be_a_member_leaves_no_row_for_ever() -> None:
    tally = SnapshotTally()
    tally.begin(1)
    for stranger in range(100, 1_000):
        tally.begin(stranger)
        tally.end(stranger, False, 0.1)
    tally.end(1, True, 0.1)
    assert len(tally.by_member) == ROWS_MAX and tally.by_member[1].arrived == 1
