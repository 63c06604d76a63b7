"""Keep-alives between a connection and a lessor that is played here."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.keep_alives import KeepAlives
from actors.listener.streams import Streams
from etcdz import limits
from etcdz.api.errors import NO_LEADER, NOT_SUPPORTED_FOR_LEARNER, TIMEOUT, Code
from etcdz.api.methods import LEASE_KEEP_ALIVE
from etcdz.lease.question import KEEP_ALIVE
from etcdz.proto import etcdserverpb as pb
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import CALL, DONE, ClientEvent
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.actors.listener.host import make_gate
from tests.wire.told import done, ends, messages

PATH = b"/etcdserverpb.Lease/LeaseKeepAlive"


def ask_for(lease_id: int) -> bytes:
    return bytes(pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString())


class Pair:
    """A client and a listener's end of its connection, joined by nothing but their bytes."""

    is_backed_up = False
    http2 = None
    common_name = ""

    def __init__(self) -> None:
        self.keep_alives = KeepAlives(5.0, lambda: None, make_gate(), lambda *_: None)
        self.streams = Streams(leader_timeout_s=3.0)
        self.streams.services[LEASE_KEEP_ALIVE] = self.keep_alives.serve
        self.streams.singles[LEASE_KEEP_ALIVE] = self.keep_alives.serve_single
        self.streams.on_leader(True)
        methods = {PATH: Method(PATH, False, LEASE_KEEP_ALIVE, single=True)}
        self.grpc = GrpcServerConnection(methods, ServerSettings(), lambda: 0.0)
        self.client = GrpcClientConnection(ClientSettings(authority=b"here"), lambda: 0.0)
        self.whole = 0
        self.written = b""

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        if code:
            self.grpc.fail(stream_id, code, body.decode())
        else:
            self.grpc.reply(stream_id, body)

    def flush(self) -> None:
        self.written += self.grpc.take_output()

    def pump(self) -> list[ClientEvent]:
        events: list[ClientEvent] = []
        while True:
            for event in self.grpc.receive(self.client.take_output()):
                kind, *_ = event
                self.whole += kind == CALL
                self.streams.take(self, event)
            self.streams.flush()
            self.flush()
            if not self.written:
                return events
            data, self.written = self.written, b""
            events += self.client.receive(data)

    def ask_once(self, lease_id: int, metadata: tuple[tuple[bytes, bytes], ...] = ()) -> int:
        """One message that has the end with it."""
        stream: int = self.client.call(PATH, ask_for(lease_id), metadata=metadata)
        return stream

    def ask(self, *leases: int, ends: bool = True) -> int:
        stream: int = self.client.open(PATH)
        for lease_id in leases:
            self.client.send_message(stream, ask_for(lease_id))
        if ends:
            self.client.half_close(stream)
        return stream

    def answer(self, order: int = 1) -> list[ClientEvent]:
        """The lessor answers all that it was asked, each with the name of its lease."""
        queries, self.keep_alives.queries = self.keep_alives.queries, []
        touched: set[Any] = set()
        for number, method, lease_id in queries[::order]:
            assert method == KEEP_ALIVE
            self.keep_alives.on_answer(number, b"%d" % lease_id, touched)
        for asker in touched:
            asker.flush()
        return self.pump()


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.pump()  # the greetings
    return made


@pytest.mark.parametrize("order", [1, -1])
def test_single_ones_are_answered_in_whatever_order_and_end(pair: Pair, order: int) -> None:
    streams = [pair.ask_once(7), pair.ask_once(8)]
    pair.pump()
    assert pair.whole == 2
    assert sorted(pair.answer(order)) == [done(streams[0], message=b"7"), done(streams[1], message=b"8")]
    assert len(pair.keep_alives) == 0
    assert pair.grpc.open_streams == 0


def test_a_stream_of_many_is_answered_in_order(pair: Pair) -> None:
    stream = pair.ask(7, 8, 9)
    pair.pump()
    got = pair.answer(-1)
    assert messages(got) == [b"7", b"8", b"9"]
    assert got[-1] == done(stream)
    assert not pair.whole


def test_a_new_lessor_is_asked_again(pair: Pair) -> None:
    pair.ask_once(7)
    pair.ask(8, 9, ends=False)
    pair.pump()
    lost = list(pair.keep_alives.queries)
    pair.keep_alives.queries.clear()
    pair.keep_alives.ask_again()
    assert pair.keep_alives.queries == lost
    got = pair.answer()
    assert messages(got) == [b"8", b"9"]
    assert [message for kind, *_, message in got if kind == DONE] == [b"7"]


def test_who_is_not_answered_in_time_is_told_so(pair: Pair) -> None:
    single, many = pair.ask_once(7), pair.ask(8, 9, ends=False)
    pair.pump()
    touched: set[Any] = set()
    pair.keep_alives.expire(float("inf"), touched)
    for asker in touched:
        asker.flush()
    assert sorted(ends(pair.pump())) == [(stream, TIMEOUT.code, TIMEOUT.text) for stream in (single, many)]
    assert len(pair.keep_alives) == 0
    assert pair.answer() == [], "too late"


def test_without_a_leader_they_are_told_that(pair: Pair) -> None:
    stream = pair.ask_once(7)
    pair.pump()
    touched: set[Any] = set()
    pair.keep_alives.expire(float("inf"), touched, NO_LEADER)
    for asker in touched:
        asker.flush()
    assert list(ends(pair.pump())) == [(stream, NO_LEADER.code, NO_LEADER.text)]


def test_nobody_waits_for_the_answer_to_one_that_was_taken_back(pair: Pair) -> None:
    stream = pair.ask_once(7)
    pair.pump()
    pair.client.cancel(stream)
    pair.pump()
    assert pair.answer() == []


def test_what_is_no_message_is_refused(pair: Pair) -> None:
    stream = pair.client.call(PATH, b"\xff\xff")
    ((ended, code, text),) = ends(pair.pump())
    assert (ended, code) == (stream, Code.INTERNAL)
    assert text.startswith("grpc: failed to unmarshal the received message")
    assert pair.whole == 1


def test_a_single_one_that_asks_for_a_leader_is_refused_without_one(pair: Pair) -> None:
    pair.streams.on_leader(False)
    stream = pair.ask_once(7, metadata=((b"hasleader", b"true"),))
    assert ends(pair.pump()) == [(stream, NO_LEADER.code, NO_LEADER.text)]
    assert pair.keep_alives.queries == []
    pair.streams.on_leader(True)
    stream = pair.ask_once(7, metadata=((b"hasleader", b"true"),))
    pair.pump()
    assert pair.answer() == [done(stream, message=b"7")]


def test_a_learner_renews_nothing(pair: Pair) -> None:
    pair.streams.serve_as(learner=True)
    stream = pair.ask_once(7)
    assert ends(pair.pump()) == [(stream, NOT_SUPPORTED_FOR_LEARNER.code, NOT_SUPPORTED_FOR_LEARNER.text)]
    assert pair.keep_alives.queries == []


@pytest.mark.parametrize("unread", [0, limits.UNREAD_BYTES_MAX + 1])
def test_a_client_that_renews_on_and_does_not_read_loses_its_stream(unread: int) -> None:
    ended: list[int] = []
    call: Any = SimpleNamespace(
        pending_bytes=unread,
        finish=lambda code, text: ended.append(code),
        touch=lambda: None,
        send_parts=lambda head, body: None,
    )
    keep_alives = KeepAlives(5.0, lambda: None, make_gate(), lambda *_: None)
    stream = keep_alives.serve(call)
    for number in range(-1, -3000, -1):
        stream.on_message(ask_for(7))
        keep_alives.on_answer(number, b"", set())
        if ended:
            break
    assert ended == ([Code.RESOURCE_EXHAUSTED] if unread else [])
