"""Calls of a listener: checked, sent once per turn, kept until answered, offered again to a new incarnation."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.calls import Calls
from actors.runtime.link import Peer
from etcdz import limits
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.api.methods import PUT, RANGE, STATUS, TXN
from etcdz.config import MemberConfig
from etcdz.ipc.messages import (
    FIRST_OFFER,
    AuthState,
    Leadership,
    LongReads,
    Propose,
    Read,
    ReadIndex,
    ReadLong,
    ReadStates,
    Refused,
    Replies,
    Write,
)
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.host import make_host

PUT_BODY = pb.PutRequest(key=b"k", value=b"v").SerializeToString()
RANGE_BODY = pb.RangeRequest(key=b"k").SerializeToString()
ALICE, BOB = AuthInfo("alice", 7), AuthInfo("bob", 7)
RAFT = Peer("raft", "raft", 0, 2, "")
PEER = Peer("peer", "peer", 0, 5, "")
BACKEND = Peer("backend", "backend", 0, 2, "")
LESSOR = Peer("lessor", "lessor", 0, 2, "")


class Client:
    """Stands for a connection; keeps what was answered."""

    def __init__(self) -> None:
        self.answers: dict[int, tuple[int, bytes]] = {}

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        assert stream_id not in self.answers, "answered twice"
        self.answers[stream_id] = (code, body)

    def flush(self) -> None:
        pass


class Sent(list[tuple[str, Any]]):
    """Stands for the links; keeps what was sent."""

    def send(self, name: str, message: Any) -> None:
        self.append((name, message))

    def incarnation_of(self, name: str) -> int:
        return {"backend": BACKEND.incarnation}.get(name, 0)

    def take(self) -> list[tuple[str, Any]]:
        taken = list(self)
        self.clear()
        return taken


class Setup:
    def __init__(self) -> None:
        self.sent = Sent()
        self.client = Client()
        boot = SimpleNamespace(slot=2, name="listener-3")
        self.host = make_host(None, boot=boot, links=self.sent)
        self.calls = Calls(self.host, MemberConfig())

    def begin(self, stream_id: int, method: int, body: bytes, auth: AuthInfo | None = None) -> None:
        self.calls.begin(self.client, stream_id, method, body, auth)

    def turn(self) -> list[tuple[str, Any]]:
        self.calls.end_turn()
        return self.sent.take()

    def grant(self, index: int | None) -> None:
        self.calls.on_leadership(Leadership(1, 2, 9, 4, index, 3, 0))


@pytest.fixture
def setup() -> Setup:
    return Setup()


def error_of(setup: Setup, stream_id: int) -> tuple[int, bytes]:
    return setup.client.answers[stream_id]


def is_error(answer: tuple[int, bytes], error: EtcdError) -> bool:
    return answer == (error.code, error.text.encode())


def test_a_bad_request_is_answered_at_once_and_not_proposed(setup: Setup) -> None:
    setup.begin(1, PUT, b"")
    assert is_error(error_of(setup, 1), errors.EMPTY_KEY)
    assert setup.turn() == []


def test_a_body_that_is_no_protobuf_is_an_error_of_this_call_only(setup: Setup) -> None:
    setup.begin(1, PUT, b"\xff\xff\xff")
    code, text = error_of(setup, 1)
    assert code == errors.Code.INTERNAL
    assert text.startswith(b"grpc: error unmarshalling request")


def test_all_proposals_of_a_turn_leave_in_one_message(setup: Setup) -> None:
    for stream_id in (1, 3, 5):
        setup.begin(stream_id, PUT, PUT_BODY)
    [(name, message)] = setup.turn()
    assert (name, type(message), len(message.items)) == ("raft", Propose, 3)
    assert len({item[0] for item in message.items}) == 3


def test_a_request_above_the_limit_is_too_large(setup: Setup) -> None:
    body = pb.PutRequest(key=b"k", value=b"v" * 1_572_864).SerializeToString()
    setup.begin(1, PUT, body)
    assert is_error(error_of(setup, 1), errors.REQUEST_TOO_LARGE)


def test_beyond_the_admitted_calls_there_are_too_many_but_status_still_gets_through(setup: Setup) -> None:
    for stream_id in range(limits.CALLS_IN_FLIGHT_MAX):
        setup.begin(stream_id, PUT, PUT_BODY)
    setup.begin(-1, PUT, PUT_BODY)
    setup.begin(-2, STATUS, b"")
    assert is_error(error_of(setup, -1), errors.REQUEST_TOO_MANY_REQUESTS)
    assert -2 not in setup.client.answers


def test_an_answered_call_makes_room_for_the_next(setup: Setup) -> None:
    for stream_id in range(limits.CALLS_IN_FLIGHT_MAX):
        setup.begin(stream_id, PUT, PUT_BODY)
    [(_, message)] = setup.turn()
    setup.calls.on_replies(Replies(1, 1, [(message.items[0][0], 0, b"done")], 1))
    setup.begin(-1, PUT, PUT_BODY)
    assert -1 not in setup.client.answers


def test_an_answer_that_comes_again_out_of_the_ring_is_dropped(setup: Setup) -> None:
    setup.begin(1, PUT, PUT_BODY)
    [(_, message)] = setup.turn()
    reply = Replies(1, 7, [(message.items[0][0], 0, b"done")], 1)
    setup.calls.on_replies(reply)
    setup.calls.on_replies(reply)
    assert setup.client.answers[1] == (0, b"done")


def test_a_new_raft_is_offered_what_is_unanswered_under_the_same_ids(setup: Setup) -> None:
    setup.begin(1, PUT, PUT_BODY)
    setup.begin(3, PUT, PUT_BODY)
    [(_, first)] = setup.turn()
    setup.calls.on_replies(Replies(1, 1, [(first.items[0][0], 0, b"")], 1))
    setup.calls.on_peer_up(RAFT)
    assert setup.turn() == [("raft", Propose(2, [first.items[1]], since_peer=0))]


def test_a_new_raft_hears_which_peer_actor_has_lived_since_a_write_was_offered_first(setup: Setup) -> None:
    """That one knows whether it has reached other members; nobody else does."""
    setup.begin(1, PUT, PUT_BODY)
    [(_, before)] = setup.turn()
    setup.calls.on_peer_up(PEER)
    setup.begin(3, PUT, PUT_BODY)
    [(_, since)] = setup.turn()
    setup.begin(5, PUT, PUT_BODY)
    setup.calls.on_peer_up(RAFT)
    old, known, new = [message for _, message in setup.turn()]
    assert old == Propose(2, before.items, since_peer=0)
    assert known == Propose(2, since.items, since_peer=PEER.incarnation)
    assert new.since_peer == FIRST_OFFER and len(new.items) == 1
    setup.calls.on_peer_down(PEER)
    setup.calls.on_peer_up(RAFT)
    [(_, again)] = setup.turn()
    assert again.since_peer == 0 and len(again.items) == 3


def test_a_new_raft_that_has_delegated_already_is_offered_what_is_unanswered_and_the_wal_is_not(setup: Setup) -> None:
    """The wal does not know what is in the log: it would append these a second time."""
    setup.begin(1, PUT, PUT_BODY)
    [(_, first)] = setup.turn()
    setup.calls.on_peer_up(RAFT)
    setup.calls.on_leadership(Leadership(2, 3, 9, 4, 4, 3, 4, delegation=77))
    setup.begin(3, PUT, PUT_BODY)
    [(to, offered), (to_new, new)] = setup.turn()
    assert (to, offered) == ("raft", Propose(2, first.items, since_peer=0))
    assert (to_new, type(new), new.delegation) == ("wal", Write, 77)
    assert {item[0] for item in new.items}.isdisjoint(item[0] for item in first.items)


def test_a_new_backend_is_asked_unanswered_reads_again_and_no_writes(setup: Setup) -> None:
    setup.grant(5)
    setup.begin(1, PUT, PUT_BODY)
    setup.begin(3, RANGE, RANGE_BODY)
    before = dict(setup.turn())["backend"]
    setup.calls.on_peer_up(BACKEND)
    assert setup.turn() == [("backend", before)]


def test_with_the_grant_a_linearizable_read_goes_straight_to_the_backend_with_its_index(setup: Setup) -> None:
    setup.grant(5)
    setup.begin(1, RANGE, RANGE_BODY)
    [(name, message)] = setup.turn()
    assert (name, type(message)) == ("backend", Read)
    assert message.items[0][1:] == (RANGE, RANGE_BODY, 5)


def test_without_the_grant_a_linearizable_read_asks_raft_first(setup: Setup) -> None:
    setup.begin(1, RANGE, RANGE_BODY)
    [(name, message)] = setup.turn()
    assert (name, type(message)) == ("raft", ReadIndex)
    setup.calls.on_read_states(ReadStates(17, message.ids))
    [(name, message)] = setup.turn()
    assert (name, message.items[0][3]) == ("backend", 17)


def test_a_new_backend_answers_no_sooner_than_the_old_one_might_have(setup: Setup) -> None:
    """It may have applied less than it, and the write that the read has to see may have been answered elsewhere."""
    setup.begin(1, RANGE, RANGE_BODY)
    [(_, asked)] = setup.turn()
    setup.calls.on_read_states(ReadStates(17, asked.ids))
    before = setup.turn()
    setup.calls.on_peer_up(BACKEND)
    assert setup.turn() == before


def test_a_read_that_turns_out_to_be_long_keeps_its_index(setup: Setup) -> None:
    setup.begin(1, RANGE, RANGE_BODY)
    [(_, asked)] = setup.turn()
    setup.calls.on_read_states(ReadStates(17, asked.ids))
    [(_, read)] = setup.turn()
    setup.calls.on_long_reads(LongReads(BACKEND.incarnation, [read.items[0][0]]))
    [(name, message)] = setup.turn()
    assert (name, type(message), message.items[0][3]) == ("backend", ReadLong, 17)


def test_a_serializable_read_asks_nobody(setup: Setup) -> None:
    setup.begin(1, RANGE, pb.RangeRequest(key=b"k", serializable=True).SerializeToString())
    [(name, message)] = setup.turn()
    assert (name, message.items[0][3]) == ("backend", 0)


def test_a_new_raft_takes_the_grant_back_until_it_gives_it_anew(setup: Setup) -> None:
    setup.grant(5)
    setup.calls.on_peer_up(RAFT)
    setup.begin(1, RANGE, RANGE_BODY)
    assert [type(message) for _, message in setup.turn()] == [ReadIndex]


@pytest.mark.parametrize(
    ("operations", "target"),
    [
        ([pb.RequestOp(request_range=pb.RangeRequest(key=b"k"))], Read),
        ([pb.RequestOp(request_put=pb.PutRequest(key=b"k"))], Propose),
    ],
)
def test_a_txn_that_only_reads_does_not_go_through_the_log(setup: Setup, operations: list[Any], target: type) -> None:
    setup.grant(1)
    setup.begin(1, TXN, pb.TxnRequest(success=operations).SerializeToString())
    assert [type(message) for _, message in setup.turn()] == [target]


def test_an_entry_says_who_asks(setup: Setup) -> None:
    setup.begin(1, PUT, PUT_BODY, ALICE)
    [(_, message)] = setup.turn()
    [(request_id, data)] = message.items
    entry = pb.InternalRaftRequest.FromString(data)
    assert entry.header == pb.RequestHeader(ID=request_id, username="alice", auth_revision=7)
    assert entry.put == pb.PutRequest.FromString(PUT_BODY)


def test_an_entry_of_nobody_holds_an_id_alone(setup: Setup) -> None:
    setup.begin(1, PUT, PUT_BODY)
    [(_, message)] = setup.turn()
    [(request_id, data)] = message.items
    put = pb.PutRequest.FromString(PUT_BODY)
    assert data == pb.InternalRaftRequest(header=pb.RequestHeader(ID=request_id), put=put).SerializeToString()


def test_reads_say_who_asks_and_say_it_again_to_a_new_backend(setup: Setup) -> None:
    setup.grant(5)
    setup.begin(1, RANGE, RANGE_BODY, ALICE)
    setup.begin(3, RANGE, RANGE_BODY)
    [(_, message)] = setup.turn()
    assert message.askers == [(message.items[0][0], "alice", 7)]
    setup.calls.on_peer_up(BACKEND)
    assert setup.turn() == [("backend", message)]


def test_a_read_that_waited_for_its_index_says_who_asks(setup: Setup) -> None:
    setup.begin(1, RANGE, RANGE_BODY, ALICE)
    [(_, asked)] = setup.turn()
    setup.calls.on_read_states(ReadStates(17, asked.ids))
    [(_, message)] = setup.turn()
    assert message.askers == [(asked.ids[0], "alice", 7)]


def told_by(incarnation: int, takes_asker: bool) -> AuthState:
    return AuthState(incarnation, 1, True, 7, [], [], takes_asker)


def test_one_asker_is_said_once_to_a_backend_that_has_said_that_it_takes_it(setup: Setup) -> None:
    setup.grant(5)
    setup.host.auth_news.on_state(told_by(BACKEND.incarnation, True))
    for stream_id in (1, 3):
        setup.begin(stream_id, RANGE, RANGE_BODY, AuthInfo(*ALICE))
    [(_, message)] = setup.turn()
    assert (message.asker, message.askers, len(message.items)) == (ALICE, (), 2)
    setup.begin(5, RANGE, RANGE_BODY)
    assert setup.turn()[0][1][2:] == ((), None)


@pytest.mark.parametrize("told", [(BACKEND.incarnation, False), (BACKEND.incarnation - 1, True)])
def test_a_backend_that_may_be_an_older_version_is_told_of_each_read_who_asks(
    setup: Setup, told: tuple[int, bool]
) -> None:
    setup.grant(5)
    setup.host.auth_news.on_state(told_by(*told))
    setup.begin(1, RANGE, RANGE_BODY, ALICE)
    [(_, message)] = setup.turn()
    assert (message.asker, message.askers) == (None, [(message.items[0][0], "alice", 7)])


@pytest.mark.parametrize("askers", [(ALICE, BOB), (ALICE, None), (None, ALICE), (ALICE, BOB, ALICE)])
def test_of_several_askers_none_is_taken_for_another(setup: Setup, askers: tuple[AuthInfo | None, ...]) -> None:
    setup.grant(5)
    setup.host.auth_news.on_state(told_by(BACKEND.incarnation, True))
    for place, asker in enumerate(askers):
        setup.begin(2 * place + 1, RANGE, RANGE_BODY, asker)
    [(_, message)] = setup.turn()
    said = {request_id: AuthInfo(name, revision) for request_id, name, revision in message.askers}
    assert message.asker is None
    assert [said.get(request_id) for request_id, *_ in message.items] == list(askers)


def test_nobody_asks_while_no_call_says_who_does(setup: Setup) -> None:
    setup.grant(5)
    setup.begin(1, RANGE, RANGE_BODY)
    [(_, message)] = setup.turn()
    assert message.askers == ()


def test_what_raft_refuses_is_answered_with_etcds_error(setup: Setup) -> None:
    setup.begin(1, PUT, PUT_BODY)
    [(_, message)] = setup.turn()
    setup.calls.on_refused(Refused([(message.items[0][0], "NoSpace")]))
    assert is_error(error_of(setup, 1), errors.NO_SPACE)


def test_a_call_without_an_answer_times_out_after_etcds_request_timeout(setup: Setup) -> None:
    setup.begin(1, PUT, PUT_BODY)
    now = time.monotonic()
    setup.calls.expire(now + 6.5)
    assert setup.client.answers == {}
    setup.calls.expire(now + 7.5)
    assert is_error(error_of(setup, 1), errors.TIMEOUT)
    assert len(setup.calls) == 0
