"""What raft hears of the backend."""

from typing import Any

from actors.backend.raft_link import RaftLink
from etcdz import limits
from etcdz.cluster.membership import Membership
from etcdz.ipc.messages import Applied, BackendState
from etcdz.mvcc.mvcc import Mvcc
from etcdz.store.interface import MemoryStore
from tests.actors.recorded_links import RecordedLinks


def link() -> tuple[RaftLink, RecordedLinks]:
    """Of a backend whose store is at index 4 of term 2."""
    links: Any = RecordedLinks()
    mvcc = Mvcc(MemoryStore(), 1, 2)
    mvcc.state.commit(4, 2)
    return RaftLink(links, mvcc, Membership(1, 2)), links


def test_a_new_raft_is_told_what_the_store_holds_and_what_survives_power_loss() -> None:
    raft, links = link()
    raft.greet(9)
    [state] = links.of(BackendState)
    assert (state.raft_incarnation, state.member_id, state.cluster_id) == (9, 1, 2)
    assert (state.applied_index, state.applied_term, state.flushed_index) == (4, 2, 0)


def test_reports_by_the_clock_are_no_closer_than_their_interval() -> None:
    raft, links = link()
    assert raft.next_report_at() is None
    now, reported = 100.0, []
    for _ in range(30):
        raft.applied_index += 1
        at = raft.next_report_at()
        assert at is not None
        if raft.report_if_due(now):
            reported.append(now)
        now += limits.APPLIED_EVERY_S / 10
    assert len(links.of(Applied)) == len(reported) == 3


def test_nothing_is_reported_twice() -> None:
    raft, links = link()
    raft.applied_index = 5
    raft.report()
    assert not raft.report_if_due(1e9)
    assert [message.applied_index for message in links.of(Applied)] == [5]
