"""Watches over HTTP/1.1 and over a WebSocket: answered while the client still asks, and ended so that it asks again."""

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, TextMessage

from etcdz.control.client import ask
from tests.etcd_process import Member
from tests.hostile.raw_client import connect
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(300)]

_UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def watch_of(key: str) -> str:
    return json.dumps({"create_request": {"key": encoded(key)}})


class Chunked:
    """A request whose body goes on while its answer comes."""

    def __init__(self, member: Member, path: str) -> None:
        self.socket = connect(member.target, 60)
        self._file = self.socket.makefile("rb")
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    def close(self) -> None:
        self.socket.close()

    def send(self, text: str) -> None:
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(text), text.encode()))

    def read_head(self) -> bytes:
        return b"".join(iter(self._file.readline, b"\r\n"))

    def read_chunk(self) -> bytes:
        """b"": the last one"""
        size = int(self._file.readline(), 16)
        return self._file.read(size + 2)[:-2]

    def read_rest(self) -> bytes:
        return self._file.read()


class Socket:
    """A WebSocket."""

    def __init__(self, member: Member, path: str) -> None:
        self.socket = connect(member.target, 60)
        self.socket.sendall(_UPGRADE % path.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1 << 16)
        assert head.startswith(b"HTTP/1.1 101 ")
        self._frames = Connection(ConnectionType.CLIENT, trailing_data=head.partition(b"\r\n\r\n")[2])

    def close(self) -> None:
        self.socket.close()

    def send(self, text: str) -> None:
        self.socket.sendall(self._frames.send(TextMessage(text)))

    def events(self) -> Iterator[Event]:
        while True:
            yield from self._frames.events()
            self._frames.receive_data(self.socket.recv(1 << 16))

    def read(self) -> Any:
        """The next message, or the code with which it is closed."""
        event = next(self.events())
        if isinstance(event, CloseConnection):
            self.socket.sendall(self._frames.send(event.response()))
            assert self.socket.recv(1) == b"", "the member closes once that is confirmed"
            return int(event.code)
        assert isinstance(event, TextMessage) and event.message_finished
        return json.loads(event.data)


def put(member: Member, key: str) -> None:
    with closing(Socket(member, "/v3/kv/put")) as call:
        call.send(json.dumps({"key": encoded(key), "value": encoded("v")}))
        assert "header" in call.read() and call.read() == 1000


def test_watches_are_told_what_happens_until_the_listener_is_restarted(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--listeners=1")
    member = trial.member
    with closing(Chunked(member, "/v3/watch")) as chunked, closing(Socket(member, "/v3/watch")) as sock:
        chunked.send(watch_of("a"))
        assert b"HTTP/1.1 200 OK" in chunked.read_head()
        assert json.loads(chunked.read_chunk())["result"]["created"]
        for key in ("a", "b"):
            sock.send(watch_of(key))
            assert sock.read()["result"]["created"]
        put(member, "a")
        assert json.loads(chunked.read_chunk())["result"]["events"][0]["kv"]["key"] == encoded("a")
        assert sock.read()["result"]["events"][0]["kv"]["key"] == encoded("a")
        put(member, "b")
        assert sock.read()["result"]["watch_id"] == "1"
        with closing(Socket(member, "/v3/watch")) as other:
            other.send("no JSON")
            assert "error" in other.read() and other.read() == 1011, "etcd says 500 to that"
        with closing(Chunked(member, "/v3/watch")) as other:
            other.send(watch_of("a"))
            other.read_head()
            other.socket.shutdown(socket.SHUT_WR)
            assert not other.read_rest().endswith(b"0\r\n\r\n"), "one that goes takes its watch with it"
        where = str(member.data_dir)
        assert ask(where, "restart", {"actor": "listener-1", "graceful": True}, answer_ms=120_000)["done"]
        while chunked.read_chunk():
            pass
        assert chunked.read_rest() == b""
        assert _until_closed(sock) == 1001


def _until_closed(sock: Socket) -> int:
    while not isinstance(said := sock.read(), int):
        pass
    return said
