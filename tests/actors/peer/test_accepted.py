"""What comes in on the peer port, from members and from whoever else connects."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from actors.peer import accepted, actor, outgoing_stream
from etcdz import ETCD_VERSION
from etcdz.ipc.messages import PeerAsk, PeerReply
from etcdz.peer.outbox import MESSAGE, Outbox
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.messages import MSG_APP_RESP, MSG_HEARTBEAT, Message
from tests.actors.peer.world import Member, World

MakeWorld = Callable[[str], World]
HEAD = "GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"


class Client:
    """A connection to a member's peer port."""

    def __init__(self, world: World, receive_bytes: int = 0) -> None:
        self._world = world
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.connect(("127.0.0.1", world.ports["a"]))
        self.reader, self.writer = world.run(asyncio.open_connection(sock=sock))

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """(status, fields, body) of the next answer."""
        return self._world.run(self._answer())

    async def _answer(self) -> tuple[int, dict[str, str], bytes]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:-2])
        return int(lines[0].split()[1]), fields, await self.reader.readexactly(int(fields.get("content-length", 0)))

    def rest(self) -> bytes:
        """All that comes until the other end closes."""
        try:
            return self._world.run(self.reader.read())
        except ConnectionResetError:
            return b""

    def chunk(self) -> bytes:
        return self._world.run(self._chunk())

    async def _chunk(self) -> bytes:
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    def close(self) -> None:
        self.writer.transport.abort()


class Port:
    """The peer port of member a of a cluster of a and b; b's end is this test."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.member: Member = world.start("a")
        self.peer_id = world.id_of("b")
        (sock,) = self.member.actor._sockets
        world.until(lambda: bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)))
        self._clients: list[Client] = []

    def connect(self, receive_bytes: int = 0) -> Client:
        """receive_bytes: what the kernel keeps for this end, about; 0: as much as it likes"""
        self._clients.append(Client(self.world, receive_bytes))
        return self._clients[-1]

    def fields(self, **more: str) -> str:
        directory = self.member.actor.directory
        fields = {
            "X-Etcd-Cluster-ID": f"{directory.cluster_id:x}",
            "X-Server-From": f"{self.peer_id:x}",
            "X-Server-Version": "3.5.1",
            "X-Min-Cluster-Version": "3.0.0",
            **more,
        }
        return "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    def stream(self, kind: str) -> Client:
        client = self.connect()
        fields = self.fields(**{"X-Raft-To": f"{self.member.id:x}"})
        client.send(HEAD.format(path=f"/raft/stream/{kind}/{self.peer_id:x}", fields=fields))
        status, answered, _ = client.answer()
        assert (status, answered["transfer-encoding"], answered["x-server-version"]) == (200, "chunked", ETCD_VERSION)
        return client

    def post(self, client: Client, body: bytes, path: str = "/raft", **fields: str) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{self.fields(**fields)}\r\n"
        client.send(head.encode() + body)

    def is_well(self) -> bool:
        """Whether somebody new is answered."""
        client = self.connect()
        client.send(HEAD.format(path="/version", fields=""))
        return client.answer()[0] == 200

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def port(make_world: MakeWorld) -> Any:
    made = Port(make_world("ab"))
    yield made
    made.close()


def response(port: Port, to: int = 0, term: int = 3) -> bytes:
    return encode_message(Message(MSG_APP_RESP, to=to or port.member.id, from_=port.peer_id, term=term))


# ---- streams ----


def test_each_stream_carries_what_belongs_on_it(port: Port) -> None:
    message, msgapp = port.stream("message"), port.stream("msgapp")
    beat = Message(MSG_HEARTBEAT, to=port.peer_id, from_=port.member.id, term=2)
    port.member.send(beat, appends=[(port.peer_id, 2, 2, 7, 7, [])])
    encoded = encode_message(beat)
    assert message.chunk() == struct.pack(">Q", len(encoded)) + encoded
    frame = msgapp.chunk()
    assert frame[0] == 2 and decode_message(frame[9:]).index == 7
    port.member.send(appends=[(port.peer_id, 2, 2, 7, 8, [])])
    assert msgapp.chunk() == bytes.fromhex("01 0000000000000000 0000000000000008")


def test_a_stream_says_something_though_raft_says_nothing(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_stream, "LINK_HEARTBEAT_S", 0.01)
    assert port.stream("msgapp").chunk() == b"\x00"
    frame = port.stream("message").chunk()
    assert decode_message(frame[8:]).type == MSG_HEARTBEAT


def test_a_second_stream_takes_the_place_of_the_first(port: Port) -> None:
    first = port.stream("message")
    second = port.stream("message")
    assert first.rest().endswith(b"0\r\n\r\n")
    port.member.send(Message(MSG_HEARTBEAT, to=port.peer_id, from_=port.member.id, term=2))
    assert decode_message(second.chunk()[8:]).term == 2


def test_a_member_that_takes_nothing_is_cut_and_what_waits_for_it_is_bounded(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing_stream, "WRITE_S", 0.05)
    port.stream("msgapp")
    remote = port.member.actor.remotes[port.peer_id]
    entry = b"\x08\x00\x10\x02\x18\x01\x22\x80\x80\x40" + bytes(1 << 20)
    for _ in range(40):
        port.member.send(appends=[(port.peer_id, 2, 2, 7, 7, [entry])])
        assert remote.outbox.waiting_bytes("msgapp") <= 17 << 20
    assert remote.outbox.dropped > 0
    port.world.until(lambda: not remote.outgoing)
    assert remote.outbox.waiting_bytes("msgapp") == 0
    said = [fields for text, fields in port.member.log.lines if text.startswith("dropped internal Raft message")]
    assert sum(fields["messages"] for fields in said) == remote.outbox.overflowed > 0


# ---- requests ----


def test_a_posted_message_reaches_raft_and_the_connection_is_used_again(port: Port) -> None:
    client = port.connect()
    for term in (3, 4):
        port.post(client, response(port, term=term))
        status, fields, _ = client.answer()
        assert (status, "content-length" in fields) == (204, False)
    port.world.until(lambda: len(port.member.received()) == 2)
    assert [decode_message(one).term for one in port.member.received()] == [3, 4]


def test_a_message_for_another_member_and_one_without_a_raft_are_not_taken(port: Port) -> None:
    client = port.connect()
    port.post(client, response(port, to=99))
    assert client.answer()[::2] == (500, b"error processing raft message\n")
    port.member.alive.clear()
    client = port.connect()
    port.post(client, response(port))
    assert client.answer()[0] == 500
    assert port.member.received() == []


def test_a_refused_request_is_read_to_its_end_so_that_its_sender_sees_why(port: Port) -> None:
    client = port.connect()
    port.post(client, bytes(300_000), **{"X-Etcd-Cluster-ID": "1"})
    assert client.answer()[::2] == (412, b"cluster ID mismatch\n")
    port.post(client, response(port))
    assert client.answer()[0] == 204


def test_pipelined_requests_are_answered_in_order(port: Port) -> None:
    client = port.connect()
    client.send(HEAD.format(path="/version", fields="") + HEAD.format(path="/none", fields="") * 2)
    client.send(HEAD.format(path="/raft/probing", fields="Connection: close\r\n"))
    assert [client.answer()[0] for _ in range(4)] == [200, 404, 404, 200]
    assert client.rest() == b""


def test_what_another_actor_knows_is_asked_of_it(port: Port) -> None:
    client, asks = port.connect(), port.member.of
    port.post(client, b"\x08\x05", "/leases")
    client.send(HEAD.format(path="/version", fields=""))  # behind it: waits
    port.world.until(lambda: bool(asks(PeerAsk, "lessor")))
    (ask,) = asks(PeerAsk, "lessor")
    assert (ask.method, ask.path, ask.body) == ("POST", "/leases", b"\x08\x05")
    port.member.actor.asks.on_reply(PeerReply(ask.id, 200, "application/protobuf", b"\x10\x05"))
    assert client.answer()[::2] == (200, b"\x10\x05")
    assert client.answer()[0] == 200
    client.send(HEAD.format(path="/downgrade/enabled", fields=""))
    port.world.until(lambda: bool(asks(PeerAsk, "listener")))


def test_what_is_sent_behind_a_request_that_waits_is_bounded_and_answered_later(port: Port) -> None:
    client = port.connect()
    port.post(client, b"\x08\x05", "/leases")
    port.world.until(lambda: bool(port.member.of(PeerAsk)))
    (connection,) = port.member.actor.connections
    client.send(HEAD.format(path="/version", fields="") * 8_000)
    port.world.until(lambda: connection._reader.waiting_bytes > accepted.PIPELINED_BYTES_MAX)
    assert connection._transport is not None and not connection._transport.is_reading()
    assert connection._reader.waiting_bytes < 1 << 20
    port.member.actor.asks.on_reply(PeerReply(port.member.of(PeerAsk)[0].id, 200, "", b""))
    assert client.answer()[0] == 200
    assert [client.answer()[0] for _ in range(50)] == [200] * 50


def test_who_has_gone_meanwhile_is_not_answered(port: Port) -> None:
    client = port.connect()
    port.post(client, b"\x08\x05", "/leases")
    port.world.until(lambda: bool(port.member.of(PeerAsk)))
    client.close()
    port.world.until(lambda: not port.member.actor.connections)
    port.member.actor.asks.on_reply(PeerReply(port.member.of(PeerAsk)[0].id, 200, "", b""))
    assert port.is_well()


# ---- attacks ----


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00" * 100 + b"\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, 431),
        (b"POST /raft HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /raft HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", None),
        (b"POST /leases HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", 413),
    ],
    ids=["zeros", "http2", "huge head", "huge length", "bad chunk", "huge ask"],
)
def test_garbage_ends_its_connection_and_nothing_else(port: Port, data: bytes, status: int | None) -> None:
    client = port.connect()
    client.send(data)
    if status is not None:
        assert client.answer()[0] == status
    client.rest()
    assert port.is_well()
    assert port.member.actor.connection_errors == 0


def test_a_message_that_is_none_is_refused_and_counted(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    client = port.connect()
    port.post(client, b"\xff" * 50)
    assert client.answer()[::2] == (400, b"error unmarshalling raft message\n")
    monkeypatch.setattr(actor, "ADDRESSES_MAX", 3)
    for number in range(9):
        port.member.actor.on_bad_post(f"10.0.0.{number}")
    failures = {labels[0]: count for labels, count in port.member.actor.metrics()["peer_received_failures"]}
    known = {address: count for address, count in failures.items() if "." in address or address == "others"}
    assert known == {"127.0.0.1": 1, "10.0.0.0": 1, "10.0.0.1": 1, "others": 7}


class StuckTransport:
    """It takes no more, and has not been able to write what it took."""

    def __init__(self) -> None:
        self.is_aborted = self.is_closed = False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


def test_a_stream_whose_end_is_not_read_is_cut(port: Port) -> None:
    """One that was replaced by another of the same member would else keep its place for ever."""
    stuck: Any = StuckTransport()
    stream = outgoing_stream.OutgoingStream(stuck, Outbox(1, 2), MESSAGE, 10.0)
    stream.close()
    stream.check(11.0)
    stream.check(11.0 + outgoing_stream.WRITE_S)
    assert not stuck.is_aborted
    stream.check(11.1 + outgoing_stream.WRITE_S)
    assert stuck.is_aborted
    assert port.member.received() == []


def test_who_says_nothing_or_stops_in_between_is_cut(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted, "READ_S", 0.01)
    silent, halting = port.connect(), port.connect()
    halting.send(b"POST /raft HTTP/1.1\r\nHost: a\r\nContent-Len")
    assert silent.rest() == b"" and halting.rest() == b""
    port.world.until(lambda: not port.member.actor.connections)


def test_requests_that_wait_until_this_process_gets_to_them_are_no_silence(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepted, "REQUESTS_PER_TURN", 1)
    client = port.connect()
    port.world.until(lambda: bool(port.member.actor.connections))
    (connection,) = port.member.actor.connections
    connection.data_received(HEAD.format(path="/version", fields="").encode() * 3)
    monkeypatch.setattr(accepted, "READ_S", 1e6)
    assert [client.answer()[0] for _ in range(3)] == [200] * 3
    connection.check(port.world.loop.time() + 1e5)
    assert port.is_well() and connection in port.member.actor.connections


def test_a_flood_of_connections_does_not_keep_a_member_out(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor, "CONNECTIONS_MAX", 8)
    stream = port.stream("message")
    for _ in range(30):
        port.connect().send(b"GET /version HTTP/1.1\r\n")
    assert port.is_well()
    port.world.until(lambda: len(port.member.actor.connections) <= 9)
    port.member.send(Message(MSG_HEARTBEAT, to=port.peer_id, from_=port.member.id, term=2))
    assert decode_message(stream.chunk()[8:]).term == 2


def test_answers_that_nobody_reads_are_bounded(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted, "UNREAD_BYTES_MAX", 16 << 10)
    client = port.connect(receive_bytes=8192)
    client.writer.transport.pause_reading()
    client.send(HEAD.format(path="/members", fields="") * 40_000)
    port.world.until(lambda: bool(port.member.actor.connections))
    (connection,) = port.member.actor.connections
    port.world.until(lambda: connection._is_clogged)
    assert connection._transport is not None and not connection._transport.is_reading()
    assert connection._transport.get_write_buffer_size() < 64 << 10
    assert port.is_well()
