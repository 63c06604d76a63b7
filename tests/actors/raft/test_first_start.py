"""The first start: a member that founds begins with who founds it, one that joins with nothing."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from etcdz.cluster.founding import FirstMember, Founding
from etcdz.ipc.messages import BackendState, Received, WalState
from etcdz.raft import Message, codec, make_entry
from etcdz.raft.messages import FOLLOWER, MSG_APP, MSG_APP_RESP, MSG_PRE_VOTE
from tests.actors.raft.restarted import ME, METADATA, PEER, Restarted, restarted_with, said

LEADER = 2
MEMBERS = tuple(FirstMember(id_, f"m{id_}", (f"http://127.0.0.1:{id_}",)) for id_ in (ME, LEADER, 3))


@pytest.fixture
def one() -> Iterator[Restarted]:
    with restarted_with(()) as made:
        made.links.peers = [PEER]
        yield made


def begin(one: Restarted, is_join: bool) -> None:
    """With an empty log and an empty store."""
    one.actor.config = replace(one.actor.config, founding=Founding(ME, 2, is_join, MEMBERS))
    one.actor.on_backend_state(BackendState(7, ME, 2, 0, 0, 0, b"", ""))
    one.actor.on_wal_state(WalState(7, METADATA, True, b"", 0, 0, 1, [], 0))
    one.make_durable()


def wait_for_a_leader(one: Restarted) -> None:
    assert one.actor.node is not None
    for _ in range(3 * one.actor.node.raft.election_ticks):
        one.actor.node.tick()
        one.actor.on_turn_end()


def test_a_member_that_founds_has_all_founders_in_its_log_and_campaigns(one: Restarted) -> None:
    begin(one, is_join=False)
    assert one.actor.node is not None
    raft = one.actor.node.raft
    assert (raft.log.last_index(), raft.log.committed) == (3, 3)
    assert raft.tracker.config.voters == {ME, LEADER, 3}
    one.actor.applies.begin(3, configured_index=3)
    raft.applied_to(3, 0)
    wait_for_a_leader(one)
    assert {m.to for m in said(one) if m.type == MSG_PRE_VOTE} == {LEADER, 3}


def test_a_member_that_joins_has_nothing_of_its_own_and_takes_what_it_is_sent(one: Restarted) -> None:
    """Entries that it had made for itself would be committed ones that no other member has."""
    begin(one, is_join=True)
    assert one.actor.node is not None
    raft = one.actor.node.raft
    assert (raft.log.last_index(), raft.log.committed, raft.term) == (0, 0, 0)
    assert raft.tracker.config.all_voters == set()
    wait_for_a_leader(one)
    assert (said(one), raft.role) == ([], FOLLOWER)
    entries = tuple(make_entry(0, 5, index, b"%d" % index) for index in (1, 2, 3, 4))
    append = Message(MSG_APP, to=ME, from_=LEADER, term=5, entries=entries, commit=4)
    one.actor.on_turn_end()
    one.actor.peer_messages.on_received(Received([codec.encode_message(append)]))
    one.make_durable()
    assert [raft.log.term_or_zero(index) for index in (1, 2, 3, 4)] == [5] * 4
    assert raft.log.committed == 4
    assert [m.reject for m in said(one) if m.type == MSG_APP_RESP] in ([], [False])
