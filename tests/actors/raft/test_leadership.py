"""Who is told of raft, and what: only what has changed, and no fast path that is closed."""

from collections.abc import Iterator

import pytest

from actors.runtime.link import Peer
from etcdz.ipc.messages import DelegatedAppends, Leadership
from etcdz.raft import RawNode
from tests.actors.raft.restarted import ME, Restarted, listener, restarted_with

LESSOR, COMPACTOR = Peer("lessor", "lessor", 0, 200, ""), Peer("compactor", "compactor", 0, 201, "")
BACKEND = Peer("backend", "backend", 0, 202, "")


class Alone(Restarted):
    """The only voter, leading and published, with everybody there to be told."""

    def lead(self) -> RawNode:
        self.links.peers = [listener(0), LESSOR, COMPACTOR, BACKEND]
        self.greet(leader=ME)
        self.delegate()
        self.links.sent.clear()
        assert self.actor.node is not None
        return self.actor.node

    def commit_one_more(self, node: RawNode) -> None:
        """The wal has written something."""
        written = DelegatedAppends(self.actor.delegation.number, node.raft.log.last_index() + 1, [77], [b""])
        self.actor.delegating.on_delegated_appends(written)
        self.actor.leadership.note(node)

    def told(self) -> dict[str, Leadership]:
        """By receiver: what was said last."""
        return {name: message for name, message in self.links.sent if isinstance(message, Leadership)}


@pytest.fixture
def alone() -> Iterator[Alone]:
    with restarted_with((ME,), Alone) as one:
        yield one


def test_nothing_is_said_while_nothing_has_changed_but_the_commit_index(alone: Alone) -> None:
    node = alone.lead()
    alone.commit_one_more(node)
    assert alone.actor.leadership.known.commit == node.raft.log.committed
    assert alone.told() == {}


def test_a_change_is_told_to_all_who_act_on_it_and_to_the_wal_only_who_leads(alone: Alone) -> None:
    node = alone.lead()
    alone.actor.delegation.recall()
    alone.actor.leadership.note(node)
    assert set(alone.told()) == {"listener-1", "lessor", "compactor", "backend"}
    assert {message.delegation for message in alone.told().values()} == {0}
    alone.links.sent.clear()
    node.raft.become_follower(node.raft.term + 1, 5)
    alone.actor.leadership.note(node)
    assert set(alone.told()) == {"listener-1", "lessor", "compactor", "backend", "wal"}
    assert alone.told()["wal"].leader == 5 and alone.told()["listener-1"].read_index is None


def test_a_grant_of_local_reads_keeps_the_index_that_it_began_with(alone: Alone) -> None:
    node = alone.lead()
    granted = alone.actor.leadership.known.read_index
    assert granted is not None
    alone.commit_one_more(node)
    assert alone.actor.leadership.known.read_index == granted < node.raft.log.committed


def test_closed_fast_paths_are_told_as_closed_until_they_are_opened(alone: Alone) -> None:
    node, leadership = alone.lead(), alone.actor.leadership
    leadership.close_fast_paths()
    leadership.note(node)
    assert alone.told()["listener-1"].read_index is None and not leadership.is_complete
    leadership.open_fast_paths(node)
    assert alone.told()["listener-1"].read_index is not None and leadership.is_complete


def test_only_a_listener_that_owes_an_answer_is_asked_for_one(alone: Alone) -> None:
    alone.lead()
    alone.actor.delegation.end({0})
    for peer in (listener(0), listener(1), LESSOR, BACKEND):
        alone.actor.leadership.tell(peer)
    fences = {name: message.fence for name, message in alone.told().items()}
    assert fences == {"listener-1": alone.actor.delegation.fence, "listener-2": 0, "lessor": 0, "backend": 0}


def test_changes_of_leader_are_counted_and_losing_one_is_not(alone: Alone) -> None:
    node, leadership = alone.lead(), alone.actor.leadership
    before = leadership.changes
    for leader in (5, 0, 5, 6):
        node.raft.become_follower(node.raft.term + 1, leader)
        leadership.note(node)
    assert leadership.changes == before + 3
