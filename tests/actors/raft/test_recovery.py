"""What raft starts with, from what log and backend say of themselves."""

import pytest

from actors.raft.recovery import DoNotBelongTogether, check_identity, led, recover
from etcdz.ipc.messages import BackendState, WalState
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import ConfState, HardState, codec, make_entry

METADATA = pb.Metadata(NodeID=1, ClusterID=2).SerializeToString()
CONF_STATE = ConfState(voters=(1,))


def wal(first: int, last: int, commit: int, snapshot: int = 0) -> WalState:
    """A log of term 3 whose answer begins at entry first."""
    entries = [make_entry(0, 3, index, b"%d" % index).encoded for index in range(first, last + 1)]
    return WalState(
        raft_incarnation=1,
        metadata=METADATA,
        fresh=False,
        hard_state=codec.encode_hard_state(HardState(3, 1, commit)),
        snapshot_index=snapshot,
        snapshot_term=2 if snapshot else 0,
        first_index=first,
        entries=entries,
        last_index=last,
    )


def backend(applied: int, member_id: int = 1) -> BackendState:
    return BackendState(1, member_id, 2, applied, 3, applied, codec.encode_conf_state(CONF_STATE), "3.5.0")


@pytest.mark.parametrize(
    ("first", "last", "snapshot", "applied", "base", "base_term"),
    [
        (1, 9, 0, 5, 0, 0),  # the whole log
        (6, 9, 5, 7, 5, 2),  # from the snapshot on
        (4, 9, 5, 7, 5, 2),  # older segments are still there
        (7, 9, 5, 8, 7, 3),  # only the tail was asked for: its first entry is the base
        (6, 9, 8, 7, 6, 3),  # a snapshot that the backend has lost again with the power
        (8, 9, 5, 7, 7, 3),  # the log begins right behind what is applied
        (10, 9, 9, 9, 9, 2),  # nothing behind the snapshot
    ],
)
def test_the_log_goes_on_from_the_earliest_position_it_can(
    first: int, last: int, snapshot: int, applied: int, base: int, base_term: int
) -> None:
    found = recover(wal(first, last, commit=last, snapshot=snapshot), backend(applied))
    assert (found.base.index, found.base.term, found.base.conf_state) == (base, base_term, CONF_STATE)
    assert [entry.index for entry in found.entries] == list(range(base + 1, last + 1))


def test_what_is_applied_is_committed_even_if_the_log_was_not_told_yet() -> None:
    assert recover(wal(1, 9, commit=3), backend(7)).hard_state == HardState(3, 1, 7)


def test_a_commit_index_beyond_the_log_is_not_believed() -> None:
    assert recover(wal(1, 9, commit=12), backend(7)).hard_state.commit == 9


def test_a_log_that_ends_before_what_is_applied_is_refused() -> None:
    with pytest.raises(DoNotBelongTogether, match="has applied entry 12, but the log ends at 9"):
        recover(wal(1, 9, commit=9), backend(12))


def test_a_log_that_begins_behind_what_is_applied_is_refused() -> None:
    with pytest.raises(DoNotBelongTogether, match="has applied entry 3, but the log begins at 6"):
        recover(wal(6, 9, commit=9, snapshot=5), backend(3))


def test_log_and_backend_of_different_members_are_refused() -> None:
    check_identity(wal(1, 2, commit=1), backend(1))
    with pytest.raises(DoNotBelongTogether, match="they do not belong together"):
        check_identity(wal(1, 2, commit=1), backend(1, member_id=7))


@pytest.mark.parametrize(
    ("term", "leader", "leads_on"),
    [
        (3, 1, True),
        (3, 2, False),  # a follower
        (3, 0, False),  # it had stepped down
        (2, 1, False),  # others have been at work since: the log knows a later term
        (0, 0, False),  # the wal began anew as well, or raft never spoke
    ],
)
def test_who_led_the_newest_term_leads_on(term: int, leader: int, leads_on: bool) -> None:
    state = wal(1, 9, commit=9)._replace(term=term, leader=leader)
    assert led(state, 1, recover(state, backend(9)).hard_state.term) is leads_on
