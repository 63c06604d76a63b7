"""Reads that take long: asked for as their answers have room, fairly, and not for clients that are gone."""

import time
from typing import Any

import pytest

from actors.listener.call import Client, ForClient
from actors.runtime.link import Peer
from etcdz import limits
from etcdz.api import errors
from etcdz.api.methods import DELETE_RANGE, RANGE
from etcdz.ipc.messages import CancelReads, LongReads, Propose, Read, ReadLong, Replies, ReplyPart
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.host import make_calls

BODY = pb.RangeRequest(key=b"k", range_end=b"\0", serializable=True).SerializeToString()
TOO_MANY = (errors.REQUEST_TOO_MANY_REQUESTS.code, errors.REQUEST_TOO_MANY_REQUESTS.text.encode())


class Connection(Client):
    """Takes what it is given when it is told to."""

    def __init__(self) -> None:
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.unsent = 0
        self.was_given_up = False

    @property
    def open_calls(self) -> int:
        return 1

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self.answers[stream_id] = (code, body)

    def reply_parts(self, stream_id: int, parts: list[bytes]) -> None:
        self.reply(stream_id, 0, b"".join(parts))
        self.unsent += sum(map(len, parts))

    def flush(self) -> None:
        pass

    @property
    def unsent_bytes(self) -> int:
        return self.unsent

    @property
    def has_room(self) -> bool:
        return self.unsent < limits.CLIENT_ROOM_BYTES

    def give_up_unsent(self) -> None:
        self.was_given_up = True
        self.unsent = 0


class Setup:
    """The calls of a listener, and a backend that takes every range to be long."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.calls = make_calls(self.sent)

    def begin(self, client: Connection, *stream_ids: int) -> None:
        """Their reads come back from the backend as long ones."""
        for stream_id in stream_ids:
            self.calls.begin(client, stream_id, RANGE, BODY, None)
        self.calls.end_turn()
        ids = [item[0] for message in self.take(Read) for item in message.items]
        self.calls.on_long_reads(LongReads(7, ids))

    def take(self, kind: type[Any]) -> list[Any]:
        """What has left of this kind; it is forgotten."""
        found = [message for message in self.sent if isinstance(message, kind)]
        self.sent[:] = [message for message in self.sent if not isinstance(message, kind)]
        return found

    def asked(self) -> list[int]:
        """Request ids of the reads that are asked for in this turn."""
        self.calls.end_turn()
        return [item[0] for message in self.take(ReadLong) for item in message.items]

    def answer(self, request_id: int, *parts: bytes, incarnation: int = 7) -> None:
        offset = 0
        for number, part in enumerate(parts, 1):
            self.calls.on_reply_part(ReplyPart(incarnation, request_id, offset, part, number == len(parts)))
            offset += len(part)


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_an_answer_comes_in_parts_and_goes_to_its_client_when_it_is_complete(setup: Setup) -> None:
    client = Connection()
    setup.begin(client, 1)
    (first,) = setup.asked()
    setup.calls.on_reply_part(ReplyPart(7, first, 0, b"one", False))
    assert client.answers == {}
    setup.calls.on_reply_part(ReplyPart(7, first, 3, b"two", True))
    assert client.answers == {1: (0, b"onetwo")}
    assert len(setup.calls.long_reads) == 0


def test_few_are_asked_for_at_a_time_in_turn_between_clients(setup: Setup) -> None:
    hostile, victim = Connection(), Connection()
    setup.begin(hostile, *range(20))
    first = setup.asked()
    assert len(first) == limits.LONG_READS_ASKED
    setup.begin(victim, 1)
    setup.answer(first[0], b"x")
    assert setup.asked(), "the next of the first client, whose turn it was"
    setup.answer(first[1], b"x")
    setup.answer(*setup.asked(), b"v")
    assert victim.answers == {1: (0, b"v")}
    assert len(hostile.answers) == 2


def test_what_is_asked_in_a_clients_name_has_no_turns_of_its_own(setup: Setup) -> None:
    """As by its RangeStreams, of which it may have thousands."""

    class Part(ForClient):
        client = hostile = Connection()
        reply = hostile.reply
        flush = hostile.flush

    hostile, victim = Part.hostile, Connection()
    for _ in range(limits.LONG_READS_EACH + 3):
        setup.begin(Part(), 1)  # type: ignore[arg-type]
    assert hostile.answers == {1: TOO_MANY}
    setup.begin(victim, 1)
    first, second = setup.asked()
    setup.answer(first, b"x")
    setup.answer(second, b"x")
    for request_id in setup.asked():
        setup.answer(request_id, b"v")
    assert victim.answers == {1: (0, b"v")}


def test_a_client_that_takes_nothing_is_not_read_for_and_holds_up_nobody(setup: Setup) -> None:
    hostile, victim = Connection(), Connection()
    setup.begin(hostile, *range(10))
    for request_id in setup.asked():
        setup.answer(request_id, bytes(limits.CLIENT_ROOM_BYTES))
    assert setup.asked() == [], "it has not taken what it has"
    setup.begin(victim, 1)
    setup.answer(*setup.asked(), b"v")
    assert victim.answers == {1: (0, b"v")}
    hostile.unsent = 0
    assert len(setup.asked()) == limits.LONG_READS_ASKED


def test_all_clients_together_hold_up_no_more_than_the_bound(setup: Setup) -> None:
    stalled = [Connection() for _ in range(10)]
    size = limits.UNSENT_BYTES_MAX // 5
    for client in stalled:
        setup.begin(client, 1)
    given = 0
    while ids := setup.asked():
        for request_id in ids:
            setup.answer(request_id, bytes(size))
        given += len(ids)
    assert size * given <= limits.UNSENT_BYTES_MAX + limits.LONG_READS_ASKED * size


def test_who_takes_nothing_for_long_loses_its_answers_when_others_wait(setup: Setup) -> None:
    stalled, slow, waits = Connection(), Connection(), Connection()
    setup.begin(stalled, 1)
    setup.begin(slow, 1)
    for request_id in setup.asked():
        setup.answer(request_id, bytes(limits.UNSENT_BYTES_MAX))
    reads = setup.calls.long_reads
    now = time.monotonic()
    assert reads.find_stalled(now) == []
    setup.begin(waits, 1)
    assert setup.asked() == []
    slow.unsent -= 1
    assert reads.find_stalled(now + limits.UNSENT_STALL_S + 1) == [stalled], "the other one is slow, but takes it"


def test_who_takes_its_answer_bit_by_bit_does_not_hold_up_others_for_ever(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1_000.0)
    trickle, slow, waits = Connection(), Connection(), Connection()
    reads = setup.calls.long_reads
    setup.begin(trickle, 1)
    setup.answer(*setup.asked(), bytes(limits.UNSENT_BYTES_MAX + (1 << 20)))
    slow.unsent = 1 << 20
    reads.has_given(slow, time.monotonic())
    setup.begin(waits, 1)
    now = began = time.monotonic()
    found: list[Any] = []
    while not found and now < began + limits.LONG_READ_WAIT_S / 2:
        assert setup.asked() == []
        now += limits.UNSENT_STALL_S / 2
        trickle.unsent -= 1
        slow.unsent -= 1
        found = reads.find_stalled(now)
    assert found == [trickle]
    assert now > began + limits.UNSENT_STARVED_S
    trickle.give_up_unsent()
    setup.answer(*setup.asked(), b"v")
    assert waits.answers == {1: (0, b"v")}


def test_who_has_just_been_given_an_answer_has_time_to_take_it(setup: Setup) -> None:
    client, waits = Connection(), Connection()
    reads = setup.calls.long_reads
    reads.has_given(client, 0.0)
    client.unsent = limits.CLIENT_ROOM_BYTES // 2  # of what else it is sent, all the time
    now = 10 * limits.UNSENT_STALL_S
    client.unsent += limits.UNSENT_BYTES_MAX
    reads.has_given(client, now)
    setup.begin(waits, 1)
    assert reads.find_stalled(now + 0.1) == []
    assert reads.find_stalled(now + limits.UNSENT_STALL_S + 1) == [client]


def test_what_is_given_up_is_not_asked_for_or_taken_back(setup: Setup) -> None:
    client = Connection()
    setup.begin(client, *range(5))
    first, second = setup.asked()
    setup.calls.cancel({client: {0, 2}})
    setup.calls.end_turn()
    (cancelled,) = setup.take(CancelReads)
    assert cancelled.ids == [first]
    assert len(setup.calls.long_reads) == 3
    setup.answer(first, b"late")
    assert client.answers == {}
    setup.calls.lose(client)
    setup.calls.end_turn()
    (cancelled,) = setup.take(CancelReads)
    assert second in cancelled.ids
    assert len(setup.calls.long_reads) == 0


def test_parts_that_were_on_their_way_when_their_read_was_given_up_are_not_kept(setup: Setup) -> None:
    hostile, victim = Connection(), Connection()
    for stream_id in range(3):
        setup.begin(hostile, stream_id)
        (given_up,) = setup.asked()
        setup.calls.cancel({hostile: {stream_id}})
        setup.calls.on_reply_part(ReplyPart(7, given_up, 0, bytes(limits.UNSENT_BYTES_MAX // 2), False))
    assert setup.calls.long_reads.unsent_bytes() == 0
    setup.begin(victim, 1)
    setup.answer(*setup.asked(), b"v")
    assert victim.answers == {1: (0, b"v")}


def test_what_has_come_of_the_answer_to_a_change_is_not_kept_when_it_is_given_up(setup: Setup) -> None:
    client = Connection()
    body = pb.DeleteRangeRequest(key=b"k", range_end=b"l", prev_kv=True).SerializeToString()
    setup.calls.begin(client, 1, DELETE_RANGE, body, None)
    setup.calls.end_turn()
    (request_id,) = [item[0] for message in setup.take(Propose) for item in message.items]
    setup.calls.on_reply_part(ReplyPart(7, request_id, 0, b"begun", False))
    assert setup.calls.long_reads.unsent_bytes() == len(b"begun")
    setup.calls.cancel({client: {1}})
    setup.calls.on_reply_part(ReplyPart(7, request_id, 5, b"more", False))
    assert setup.calls.long_reads.unsent_bytes() == 0
    setup.calls.on_reply_part(ReplyPart(7, request_id, 9, b"end", True))
    assert setup.calls.long_reads.unsent_bytes() == 0
    assert client.answers == {}


def test_a_new_backend_is_asked_again_and_parts_of_the_old_one_are_forgotten(setup: Setup) -> None:
    client = Connection()
    setup.begin(client, 1)
    (first,) = setup.asked()
    setup.calls.on_reply_part(ReplyPart(7, first, 0, b"old", False))
    setup.calls.on_peer_up(Peer("backend", "backend", 0, 8, ""))
    assert setup.asked() == [first]
    setup.calls.on_reply_part(ReplyPart(7, first, 3, b"older", True))
    setup.answer(first, b"n", b"ew", incarnation=8)
    assert client.answers == {1: (0, b"new")}


def test_an_error_takes_the_place_of_an_answer_that_has_begun(setup: Setup) -> None:
    client = Connection()
    setup.begin(client, 1)
    (first,) = setup.asked()
    setup.calls.on_reply_part(ReplyPart(7, first, 0, b"begun", False))
    error = errors.COMPACTED
    setup.calls.on_replies(Replies(7, 0, [(first, int(error.code), error.text.encode())], 1))
    assert client.answers == {1: (error.code, error.text.encode())}
    assert setup.calls.long_reads.unsent_bytes() == 0


def test_no_request_timeout_ends_them_but_one_of_their_own(setup: Setup) -> None:
    client = Connection()
    setup.begin(client, *range(5))
    asked = setup.asked()
    for call in setup.calls.long_reads._calls.values():
        began = call.began_s
    setup.calls.expire(began + limits.LONG_READ_WAIT_S - 1)
    assert client.answers == {}
    setup.calls.expire(began + limits.LONG_READ_WAIT_S + 1)
    assert len(client.answers) == 5 - len(asked)


def test_one_client_may_not_pile_them_up(setup: Setup) -> None:
    hostile, victim = Connection(), Connection()
    setup.begin(hostile, *range(limits.LONG_READS_EACH + 3))
    assert list(hostile.answers.values()) == [TOO_MANY] * 3
    setup.begin(victim, 1)
    assert victim.answers == {}
