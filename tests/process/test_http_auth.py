"""Users of a member over HTTP: each request is its own user's, and what is open ends when its user may not go on."""

import json
import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, TextMessage
from wsproto.events import Request as Opening

from tests.etcd_process import Etcdz
from tests.parity.json_calls import Gateway

pytestmark = pytest.mark.process
DENIED = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
A, SECRET = b64encode(b"a").decode(), b64encode(b"secret").decode()


class Users:
    """root, and u who may read a. tokens: by user"""

    def __init__(self, member: Etcdz) -> None:
        self.address = member.target
        self._gateway = Gateway(member.target)
        self.tokens: dict[str, str] = {}
        for name in ("root", "u"):
            self.ask("/v3/auth/user/add", {"name": name, "password": name})
            self.ask("/v3/auth/role/add", {"name": name})
            self.ask("/v3/auth/user/grant", {"user": name, "role": name})
        self.ask("/v3/auth/role/grant", {"name": "u", "perm": {"key": A}})
        self.ask("/v3/auth/enable", {})
        self.tokens |= {name: self.log_in(name) for name in ("root", "u")}

    def ask(self, path: str, body: Any) -> Any:
        """By root."""
        token = self.tokens.get("root")
        answer = self._gateway.call(path, json.dumps(body), {"Authorization": token} if token else {})
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def log_in(self, name: str) -> str:
        return str(self.ask("/v3/auth/authenticate", {"name": name, "password": name})["token"])

    def connect(self) -> socket.socket:
        host, _, port = self.address.partition(":")
        return socket.create_connection((host, int(port)), timeout=60)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    with Etcdz(tmp_path_factory.mktemp("http-auth"), "--bcrypt-cost=4") as member:
        yield Users(member)


def request(path: str, body: Any, *headers: str) -> bytes:
    text = json.dumps(body)
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(text)}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


def test_each_request_of_a_connection_is_its_own_users(users: Users) -> None:
    root, u = users.tokens["root"], users.tokens["u"]
    asked = [
        ([f"Authorization: {root}"], 200),
        ([], 400),
        ([f"authorization:\tBearer {root} \t"], 200),
        ([f"Authorization: {u}"], 403),
        ([f"Authorization: bearer {root}"], 401),
        (["Authorization: nix.1", f"Authorization: {root}"], 401),
        (["Grpc-Metadata-Token: nix.1", f"Authorization: {root}"], 401),
        ([f"Grpc-Metadata-Token: {root}", "Authorization: nix.1"], 200),
        ([f"Token: {root}", f"Cookie: token={root}", f"Proxy-Authorization: {root}"], 400),
        ([f"X-Remote-User: {root}", "Authorization: Basic cm9vdDpyb290"], 401),
        (["Connection: close"], 400),
    ]
    sent = b"".join(request("/v3/kv/range", {"key": SECRET}, *headers) for headers, _ in asked)
    with users.connect() as client:
        client.sendall(sent)
        answers = b"".join(iter(lambda: client.recv(65536), b""))
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", answers)] == [status for _, status in asked]


class WebSocket:
    """A watch by cookie."""

    def __init__(self, users: Users, token: str) -> None:
        self._socket = users.connect()
        self._protocol = WSConnection(ConnectionType.CLIENT)
        cookie = [(b"Cookie", b"token=" + token.encode())]
        self._socket.sendall(self._protocol.send(Opening(host="x", target="/v3/watch", extra_headers=cookie)))
        self._events = self._read()
        assert isinstance(next(self._events), AcceptConnection)

    def send(self, body: Any) -> None:
        self._socket.sendall(self._protocol.send(TextMessage(json.dumps(body))))

    def _read(self) -> Iterator[Event]:
        while data := self._socket.recv(65536):
            self._protocol.receive_data(data)
            yield from self._protocol.events()

    def result(self) -> Any:
        event = next(self._events)
        assert isinstance(event, TextMessage)
        return json.loads(event.data)["result"]


def watch(users: Users, token: str) -> Iterator[Any]:
    """Its answers, chunk by chunk."""
    with users.connect() as client, client.makefile("rb") as answer:
        client.sendall(request("/v3/watch", {"create_request": {"key": A}}, f"Authorization: {token}"))
        for line in answer:
            if line.startswith(b"{"):
                yield json.loads(line)["result"]


@pytest.mark.parametrize("change", ["revoke", "delete"])
def test_watches_end_when_their_user_may_not_read_any_more(users: Users, change: str) -> None:
    users.ask("/v3/auth/user/add", {"name": change, "password": change})
    users.ask("/v3/auth/user/grant", {"user": change, "role": "u"})
    token = users.log_in(change)
    streamed, bridged = watch(users, token), WebSocket(users, token)
    bridged.send({"create_request": {"key": A}})
    for result in (next(streamed), bridged.result()):
        assert result["created"]
    users.ask("/v3/kv/put", {"key": A})
    for result in (next(streamed), bridged.result()):
        assert len(result["events"]) == 1
    users.ask(f"/v3/auth/user/{change}", {"name": change, "role": "u"})
    users.ask("/v3/kv/put", {"key": A})
    for result in (next(streamed), bridged.result()):
        assert (result["canceled"], result["cancel_reason"]) == (True, DENIED) and "events" not in result
    bridged.send({"create_request": {"key": A}})
    assert bridged.result()["canceled"]
