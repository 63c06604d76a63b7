"""Streaming calls between the wire and a service: real frames on one side, a service that notes on the other."""

import pytest

from actors.listener.identities import Credentials
from actors.listener.streams import CLOGGED_BYTES, StreamCall, Streams, end_for_resumption
from etcdz.api.errors import NO_LEADER, NOT_SUPPORTED_FOR_LEARNER, STOPPED
from etcdz.api.methods import SNAPSHOT
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import ClientEvent
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.told import answered, done, ends, messages

PATH = b"/test.Echo/Talk"
TAG = 7


class Echo:
    """Sends back what comes, and notes what it is told."""

    def __init__(self, call: StreamCall, notes: list[str]) -> None:
        self.call, self.notes = call, notes

    def on_message(self, body: bytes) -> None:
        self.notes.append(f"message {len(body)}")
        half = len(body) // 2
        self.call.send_parts(body[:half], body[half:])

    def on_end(self) -> None:
        self.notes.append("end")
        self.call.finish()

    def on_gone(self) -> None:
        self.notes.append("gone")

    def on_writable(self) -> None:
        self.notes.append("writable")

    def on_drain(self) -> None:
        self.notes.append("drain")
        end_for_resumption(self.call)


class Talk:
    """A client's and a server's end joined by nothing but their bytes; the connection that `Streams` sees."""

    def __init__(self, window: int = 65_535) -> None:
        self.notes: list[str] = []
        self.failures: list[Exception] = []
        self.echoes: list[Echo] = []
        self.streams = Streams(leader_timeout_s=3.0)
        self.streams.services[TAG] = self._serve
        self.streams.on_leader(True)
        self.grpc = GrpcServerConnection({PATH: Method(PATH, False, TAG)}, ServerSettings(), lambda: 0.0)
        self.client = GrpcClientConnection(ClientSettings(authority=b"here", stream_window=window), lambda: 0.0)
        self.is_backed_up = False
        self.written = b""

    def _serve(self, call: StreamCall) -> Echo:
        self.echoes.append(Echo(call, self.notes))
        return self.echoes[-1]

    def fail(self, error: Exception) -> None:
        self.failures.append(error)

    def flush(self) -> None:
        self.written += self.grpc.take_output()

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self.grpc.reply(stream_id, body)

    def pump(self) -> list[ClientEvent]:
        """To and fro until nobody has anything to say; the client's events."""
        events: list[ClientEvent] = []
        while True:
            for event in self.grpc.receive(self.client.take_output()):
                self.streams.take(self, event)
            self.streams.check_writable(self)
            self.flush()
            if not self.written:
                return events
            data, self.written = self.written, b""
            events += self.client.receive(data)


def test_messages_go_both_ways_and_the_end_is_told_once() -> None:
    talk = Talk()
    stream = talk.client.open(PATH)
    for body in (b"", b"a", b"bc" * 5_000):
        talk.client.send_message(stream, body)
    got = talk.pump()
    assert messages(got) == [b"", b"a", b"bc" * 5_000]
    talk.client.half_close(stream)
    assert talk.pump() == [done(stream)]
    assert talk.notes == ["message 0", "message 1", "message 10000", "end", "gone"]
    assert len(talk.streams) == 0


def test_a_reset_and_a_lost_connection_are_told_as_gone() -> None:
    talk = Talk()
    first, second = talk.client.open(PATH), talk.client.open(PATH)
    talk.pump()
    talk.client.cancel(first)
    talk.pump()
    assert talk.notes == ["gone"]
    talk.streams.lose(talk)
    assert talk.notes == ["gone", "gone"]
    assert len(talk.streams) == 0
    talk.echoes[1].call.send(b"nobody hears this")
    assert talk.grpc.take_output() == b"", second


def test_a_defect_over_one_stream_is_its_connections_and_the_others_have_their_turn() -> None:
    """Of what passes over many: a drain, the loss of a leader, the loss of the connection itself."""
    talk = Talk()
    for _ in range(3):
        talk.client.open(PATH)
    talk.pump()

    def fail() -> None:
        raise RuntimeError("a defect")

    talk.echoes[0].on_drain = fail  # type: ignore[method-assign]
    talk.echoes[1].on_gone = fail  # type: ignore[method-assign]
    talk.streams.drain()
    talk.streams.lose(talk)
    assert talk.notes == ["drain", "drain", "gone", "gone"]
    assert [str(error) for error in talk.failures] == ["a defect"] * 2
    assert len(talk.streams) == 0


def test_what_cannot_be_sent_ends_the_connection_and_not_the_one_who_sends() -> None:
    talk = Talk()
    talk.client.open(PATH)
    talk.pump()
    grpc, talk.grpc = talk.grpc, None  # type: ignore[assignment]
    call = talk.echoes[0].call
    call.send(b"a")
    call.send_parts(b"a", b"b")
    call.send_joined(b"", 0)
    call.finish()
    assert len(talk.failures) == 4 and not call.is_open
    talk.grpc = grpc


def test_a_client_that_does_not_read_clogs_its_stream_until_it_does() -> None:
    talk = Talk()
    stream = talk.client.open(PATH)
    talk.pump()
    call = talk.echoes[0].call
    assert not call.is_clogged
    sent = 65_535 + CLOGGED_BYTES + 1
    call.send_parts(b"h" * 10, b"x" * sent)
    assert call.is_clogged
    assert call.pending_bytes > CLOGGED_BYTES
    talk.flush()
    got = talk.pump()
    assert talk.notes == ["writable"], "told once"
    assert got == [answered(stream, b"h" * 10 + b"x" * sent)]


@pytest.mark.parametrize("window", [65_535, 40, 1])
def test_messages_that_were_joined_arrive_one_by_one_whatever_the_window(window: int) -> None:
    talk = Talk(window)
    stream = talk.client.open(PATH)
    talk.pump()
    call = talk.echoes[0].call
    bodies = [b"", b"a", b"b" * 30, b"c" * 300]
    for _ in range(2):
        call.send_joined(b"".join(len(body).to_bytes(5, "big") + body for body in bodies), len(bodies))
        call.send(b"last")
        talk.flush()
    got = talk.pump()
    assert got == [answered(stream, body) for body in [*bodies, b"last"] * 2]
    call.finish()
    call.send_joined(b"\0\0\0\0\0", 1)
    talk.flush()
    assert talk.pump() == [done(stream)]


def test_a_socket_that_is_backed_up_clogs_all_its_streams() -> None:
    talk = Talk()
    talk.client.open(PATH)
    talk.pump()
    talk.is_backed_up = True
    assert talk.echoes[0].call.is_clogged
    talk.streams.check_writable(talk)
    assert talk.notes == []
    talk.is_backed_up = False
    talk.streams.check_writable(talk)
    assert talk.notes == ["writable"]


def test_draining_ends_streams_so_that_clients_come_again_and_lets_no_more_in() -> None:
    talk = Talk()
    first = talk.client.open(PATH)
    talk.pump()
    late = talk.client.open(PATH)
    talk.streams.drain()
    assert ends(talk.pump()) == [(stream, STOPPED.code, STOPPED.text) for stream in (first, late)]
    assert talk.notes == ["drain", "gone"] * 2


def test_a_stream_keeps_what_says_who_asks() -> None:
    talk = Talk()
    talk.client.open(PATH, metadata=((b"token", b"alice.1"),))
    talk.client.open(PATH)
    talk.pump()
    assert [echo.call.credentials for echo in talk.echoes] == [Credentials(b"alice.1"), Credentials()]


@pytest.mark.parametrize("wants", [b"true", b"true,false"])
def test_who_asks_for_a_leader_is_refused_without_one(wants: bytes) -> None:
    talk = Talk()
    talk.streams.on_leader(False)
    stream = talk.client.open(PATH, metadata=((b"hasleader", wants),))
    careless = talk.client.open(PATH)
    assert [event[1:4] for event in talk.pump()] == [(stream, NO_LEADER.code, NO_LEADER.text)]
    assert len(talk.echoes) == 1, careless


def test_a_learner_serves_no_stream_until_it_has_a_vote() -> None:
    talk = Talk()
    talk.streams.serve_as(learner=True)
    stream = talk.client.open(PATH)
    error = NOT_SUPPORTED_FOR_LEARNER
    assert [event[1:4] for event in talk.pump()] == [(stream, error.code, error.text)]
    talk.streams.serve_as(learner=False)
    talk.client.open(PATH)
    assert talk.pump() == [] and len(talk.echoes) == 1


def test_a_snapshot_is_served_by_a_learner_too() -> None:
    talk = Talk()
    talk.streams.services[SNAPSHOT] = talk.streams.services[TAG]
    talk.grpc = GrpcServerConnection({PATH: Method(PATH, False, SNAPSHOT)}, ServerSettings(), lambda: 0.0)
    talk.streams.serve_as(learner=True)
    talk.client.open(PATH)
    assert talk.pump() == [] and len(talk.echoes) == 1


def test_who_asked_for_a_leader_is_sent_away_only_when_there_is_none_for_long() -> None:
    talk = Talk()
    stream = talk.client.open(PATH, metadata=((b"hasleader", b"true"),))
    talk.client.open(PATH)
    talk.pump()
    talk.streams.on_leader(False)
    talk.streams.expire(10.0)
    talk.streams.expire(12.9)
    talk.streams.on_leader(True)
    talk.streams.on_leader(False)
    talk.streams.expire(13.0)
    talk.streams.expire(15.9)
    assert talk.notes == []
    talk.streams.expire(16.0)
    talk.streams.flush()
    assert [event[1:4] for event in talk.pump()] == [(stream, NO_LEADER.code, NO_LEADER.text)]
    assert talk.notes == ["gone"]
