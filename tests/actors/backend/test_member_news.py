"""What other actors hear of the membership, and what listeners do not hear of: replies to other members' entries."""

from collections.abc import Callable
from typing import Any

from actors.backend.actor import ENTRY_CONF_CHANGE
from actors.runtime.link import Peer
from etcdz.cluster.membership import Member, attributes_request, conf_change
from etcdz.ipc.messages import Apply, Members
from etcdz.proto import raftpb
from tests.actors.backend.started import MEMBER_ID, RAFT, TERM, Entries, Started, replied

Start = Callable[..., Started]
OTHER = Member(0x77, ["http://other:2380"], True)
PEERS = [
    Peer("raft", "raft", 0, 5, "e"),
    Peer("wal", "wal", 0, 6, "e"),
    Peer("listener-1", "listener", 0, 7, "e"),
    Peer("lessor", "lessor", 0, 8, "e"),
]


def apply(index: int, *entries: bytes, kinds: bytes = b"") -> Apply:
    return Apply(RAFT, index, TERM, list(entries), kinds)


def added(member: Member) -> Apply:
    kind = raftpb.ConfChangeType
    change = conf_change(
        kind.ConfChangeAddLearnerNode if member.is_learner else kind.ConfChangeAddNode,
        member.id,
        member.to_json().encode(),
    )
    return apply(1, change, kinds=bytes([ENTRY_CONF_CHANGE]))


def told(sent: list[tuple[str, Any]]) -> list[tuple[str, Members]]:
    return [(name, message) for name, message in sent if isinstance(message, Members)]


def test_a_change_is_told_to_raft_listeners_and_the_lessor_once_it_is_applied(start: Start) -> None:
    one = start()
    one.links.peers = PEERS
    news = told(one.turn(added(OTHER)))
    assert [name for name, _ in news] == ["raft", "listener-1", "lessor"]
    assert news[0][1] == Members(
        1, one.actor.mvcc.cluster_id, MEMBER_ID, [(0x77, "", ["http://other:2380"], [], True)], [], ""
    )
    news = told(one.turn(apply(2, attributes_request(1, 0x77, "o", ["http://other:2379"]))))
    assert news[0][1].members == [(0x77, "o", ["http://other:2380"], ["http://other:2379"], True)]


def test_what_changes_no_member_is_not_told(start: Start) -> None:
    one = start()
    one.links.peers = PEERS
    assert told(one.turn(apply(1, Entries().put(b"a")[1]))) == []


def test_a_new_actor_is_told_of_nothing_that_is_not_committed(start: Start) -> None:
    one = start()
    one.hand(added(OTHER))
    one.actor.on_peer_up(PEERS[2])
    assert one.actor.uncommitted == 0
    assert [message.members[0][0] for _, message in told(one.links.take())] == [0x77]


def test_removed_members_are_told(start: Start) -> None:
    one = start()
    one.turn(added(OTHER))
    one.links.peers = PEERS
    gone = conf_change(raftpb.ConfChangeType.ConfChangeRemoveNode, 0x77, None)
    news = told(one.turn(apply(2, gone, kinds=bytes([ENTRY_CONF_CHANGE]))))
    assert (news[0][1].members, news[0][1].removed) == ([], [0x77])


def test_replies_to_what_another_member_has_proposed_go_nowhere(start: Start) -> None:
    """Nor are they kept for a next backend: on a follower that would be all replies of the cluster."""
    one = start()
    mine, others = Entries(1).put(b"a"), Entries(1, member_id=OTHER.id).put(b"b")
    sent = one.turn(apply(1, others[1], mine[1]))
    assert replied(sent) == [("listener-1", mine[0])]
    sent = one.turn(apply(3, Entries(1, member_id=OTHER.id).put(b"c")[1]))
    assert replied(sent) == []
    one.actor.on_peer_up(PEERS[2]._replace(slot=1))
    assert replied(one.links.take()) == [("listener-1", mine[0])]


def test_there_may_be_as_many_learners_as_the_settings_say(start: Start) -> None:
    learners = [Member(0x70 + number, [f"http://m{number}:2380"], True) for number in range(3)]
    one = start(max_learners=2)
    for index, learner in enumerate(learners, 1):
        one.turn(added(learner)._replace(first_index=index))
    assert sum(member.is_learner for member in one.actor.membership.by_id.values()) == 2
