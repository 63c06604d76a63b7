"""Configuration changes through the real actors: the backend judges them, and the core is never ahead of its word."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdz.api import errors
from etcdz.cluster.membership import Member, conf_change, promotion
from etcdz.ipc.messages import Delegate, Received, Reconfigure, Refused, Replies
from etcdz.ipc.request_ids import RequestIds
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.raft import Message, codec
from etcdz.raft.messages import FOLLOWER, LEADER, MSG_HEARTBEAT
from tests.actors.member_world import World

STEPS_MAX = 20_000
ADD, REMOVE, LEARN = (
    raftpb.ConfChangeType.ConfChangeAddNode,
    raftpb.ConfChangeType.ConfChangeRemoveNode,
    raftpb.ConfChangeType.ConfChangeAddLearnerNode,
)


class Administrator:
    """Asks for changes at listener-1, and again of each new raft what was not answered, as a listener does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ids = RequestIds(raft(world).member_id, 0, 1)
        self.asked: dict[int, bytes] = {}
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.raft = 0
        self.listener: Any = world.alive["listener-1"].actor
        of_calls = self.listener.handlers[Replies]

        def on_replies(message: Replies) -> None:
            for request_id, code, body in message.items:
                if request_id in self.asked:
                    assert self.answers.setdefault(request_id, (code, body))[0] == code
            of_calls(message)

        self.listener.handlers[Replies] = on_replies

    def ask(self, kind: int, id_: int) -> int:
        request_id = self.ids.next()
        member = Member(id_, [f"http://10.0.0.1:{id_}"], is_learner=kind == LEARN)
        context = None if kind == REMOVE else member.to_json().encode()
        self.asked[request_id] = conf_change(kind, id_, context, request_id)
        self._send([request_id])
        return request_id

    def offer_again(self) -> None:
        peer = self.listener.links.peers.get("raft")
        if peer is not None and peer.incarnation != self.raft:
            self.raft = peer.incarnation
            self._send([one for one in self.asked if one not in self.answers])

    def _send(self, request_ids: list[int]) -> None:
        if request_ids:
            self.listener.links.send("raft", Reconfigure(0, [(one, self.asked[one]) for one in request_ids]))

    def is_done(self) -> bool:
        self.offer_again()
        return len(self.answers) == len(self.asked)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path / "member", 1, monkeypatch)
    made.run_until(lambda: raft(made).summary()["delegated"], STEPS_MAX)
    yield made
    made.close()


def raft(world: World) -> Any:
    return world.alive["raft"].actor


def core_members(world: World) -> tuple[set[int], set[int]]:
    config = raft(world).node.raft.tracker.config
    return set(config.voters), set(config.learners)


def known_members(world: World) -> tuple[set[int], set[int]]:
    """What the backend's membership says."""
    backend: Any = world.alive["backend"].actor
    state = codec.decode_conf_state(backend.membership.conf_state())
    return set(state.voters), set(state.learners)


def check_not_ahead(world: World) -> None:
    """Requires: no change adds what an earlier one removed, so that the core's members tell what it has taken."""
    if "raft" not in world.alive or "backend" not in world.alive or raft(world).node is None:
        return
    backend: Any = world.alive["backend"].actor
    voters, learners = core_members(world)
    known_voters, known_learners = known_members(world)
    removed = backend.membership.removed
    assert voters <= known_voters | removed or not known_voters, "the core has a voter that nobody has let in"
    assert learners <= known_learners | known_voters | removed, "the core has a learner that nobody has let in"
    assert known_voters <= voters | learners | set(backend.membership.by_id) - voters


def test_a_refused_change_changes_nothing_and_the_way_goes_on(world: World) -> None:
    admin = Administrator(world)
    me = raft(world).member_id
    request = admin.ask(ADD, me)
    world.run_until(admin.is_done, STEPS_MAX)
    assert admin.answers[request] == (errors.MEMBER_EXIST.code, errors.MEMBER_EXIST.text.encode())
    world.run_until(lambda: raft(world).summary()["delegated"], STEPS_MAX)
    assert core_members(world) == known_members(world) == ({me}, set())
    assert raft(world).leadership.known.read_index is not None


def test_beside_a_learner_the_only_voter_keeps_its_short_reads_and_appends_by_itself(world: World) -> None:
    admin = Administrator(world)
    me = raft(world).member_id
    added = admin.ask(LEARN, 5)
    world.run_until(admin.is_done, STEPS_MAX)
    world.run_until(lambda: raft(world).leadership.known.read_index is not None, STEPS_MAX)
    for _ in range(300):
        world.step(may_kill=False, may_put=True)
    assert not raft(world).summary()["delegated"], "each answer of the learner would end the delegation"
    members = pb.MemberListResponse.FromString(admin.answers[added][1]).members
    assert {member.ID: member.isLearner for member in members} == {me: False, 5: True}
    assert core_members(world) == known_members(world) == ({me}, {5})
    admin.ask(REMOVE, 5)
    world.run_until(admin.is_done, STEPS_MAX)
    world.run_until(lambda: raft(world).summary()["delegated"], STEPS_MAX)
    assert core_members(world) == known_members(world) == ({me}, set())


def test_only_a_learner_that_has_caught_up_is_given_a_vote(world: World) -> None:
    """Nobody answers for this one; its promotion is refused before it is in the log."""
    admin = Administrator(world)
    admin.ask(LEARN, 5)
    world.run_until(admin.is_done, STEPS_MAX)
    refused: dict[int, str] = {}
    admin.listener.handlers[Refused] = lambda message: refused.update(message.items)
    asked = {id_: admin.ids.next() for id_ in (5, 6)}
    for id_, request_id in asked.items():
        admin.listener.links.send("raft", Reconfigure(0, [(request_id, promotion(id_, request_id))]))
    world.run_until(lambda: len(refused) == 2, STEPS_MAX)
    assert refused == {asked[5]: errors.LEARNER_NOT_READY.name, asked[6]: errors.MEMBER_NOT_FOUND.name}
    core = raft(world).node.raft
    core.tracker.progress[5].match = core.log.last_index()  # as if it had acknowledged all
    admin.listener.links.send("raft", Reconfigure(0, [(asked[5], promotion(5, asked[5]))]))
    world.run_until(lambda: known_members(world) == ({raft(world).member_id, 5}, set()), STEPS_MAX)


def test_a_second_voter_ends_the_loan_and_the_short_reads_of_every_listener_before_it_is_proposed(world: World) -> None:
    admin = Administrator(world)
    node, me = raft(world).node, raft(world).member_id
    before = node.raft.log.last_index()
    listeners: list[Any] = [world.alive[name].actor for name in ("listener-1", "listener-2")]
    admin.ask(ADD, 5)
    proposed: list[int] = []
    for _ in range(STEPS_MAX):
        world.step(may_kill=False, may_put=False)
        if node.raft.pending_conf_index > before and not proposed:
            proposed.append(raft(world).delegation.number)
            assert [one.calls._leadership.read_index for one in listeners] == [None, None]
            assert [one.calls._delegation for one in listeners] == [0, 0]
        if core_members(world)[0] == {me, 5}:
            break
    assert proposed == [0]
    world.run_until(admin.is_done, STEPS_MAX)
    for _ in range(500):
        world.step(may_kill=False, may_put=False)
    assert core_members(world) == known_members(world) == ({me, 5}, set())
    assert raft(world).leadership.known.read_index is None and not raft(world).summary()["delegated"]


SEEDS = [0, 1, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12)]]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_core_follows_the_membership_whoever_dies(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "member", seed, monkeypatch)
    world.run_until(lambda: raft(world).summary()["delegated"], STEPS_MAX)
    me = raft(world).member_id
    admin = Administrator(world)
    plan = [
        (LEARN, 5),
        (LEARN, 6),
        (ADD, me),
        (REMOVE, 5),
        (LEARN, 5),
        (REMOVE, 9),
        (LEARN, 7),
        (LEARN, 8),
        (REMOVE, 7),
    ]
    for number in range(1_200):
        if plan and number % 100 == 0:
            admin.ask(*plan.pop(0))
        world.step(may_kill=True, may_put=number % 3 == 0)
        admin.offer_again()
        check_not_ahead(world)
    world.run_until(lambda: admin.is_done() and not world.unanswered() and not world.down, STEPS_MAX)
    world.run_until(lambda: raft(world).leadership.known.read_index is not None, STEPS_MAX)
    assert core_members(world) == known_members(world)
    assert core_members(world)[0] == {me} and world.deaths > 0
    answers = [admin.answers[one] for one in admin.asked]
    assert errors.MEMBER_EXIST.text.encode() in [body for _, body in answers]
    assert world.contents() == {client.key: 1 for client in world.clients}
    world.close()


def test_a_message_of_another_member_waits_for_the_end_of_the_loan(world: World) -> None:
    actor = raft(world)
    world.put()
    term = actor.node.raft.term
    heartbeat = Message(MSG_HEARTBEAT, to=actor.member_id, from_=5, term=term + 3)
    actor.handlers[Received](Received([codec.encode_message(heartbeat)]))
    actor.on_turn_end()
    assert not actor.delegation.granted and actor.node.raft.term == term and actor.node.raft.role == LEADER
    sent_before = actor.links.sent[Delegate]
    world.run_until(lambda: not actor.peer_messages.waiting, STEPS_MAX)
    # All that the wal had appended was known first; then the core hears who leads, and delegates nothing more.
    assert actor.delegation.number == 0 and actor.node.raft.role == FOLLOWER and actor.node.raft.term == term + 3
    assert actor.leadership.known.leader == 5 and actor.leadership.known.read_index is None
    for _ in range(300):
        world.step(may_kill=False, may_put=False)
    assert actor.links.sent[Delegate] == sent_before
