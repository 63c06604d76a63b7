"""What a member that is alone answers on its peer port, to others and to strangers, beside etcd's answer."""

import json
import re
import socket
from typing import Any

import pytest

from etcdz import ETCD_VERSION
from etcdz.peer.heads import ResponseHead
from etcdz.peer.http1 import END, ResponseReader
from etcdz.raft.codec import encode_message
from etcdz.raft.messages import MSG_HEARTBEAT, Message
from tests.etcd_process import CLUSTER_ID, MEMBER_ID
from tests.parity.pair import Pair

PEER = {
    "X-Etcd-Cluster-Id": f"{CLUSTER_ID:x}",
    "X-Min-Cluster-Version": "3.0.0",
    "X-Server-From": "5",
    "X-Server-Version": "3.5.1",
    "X-Raft-To": f"{MEMBER_ID:x}",
}


def without(*names: str, **changed: str) -> dict[str, str]:
    kept = {name: value for name, value in PEER.items() if name not in names}
    return kept | {name.replace("_", "-"): value for name, value in changed.items()}


MISDIRECTED = encode_message(Message(MSG_HEARTBEAT, MEMBER_ID, 5, 1))

# (method, path, headers, body)
REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    *(("GET", path, {}, b"") for path in ("/", "/health", "/metrics", "/v2/keys", "/members/", "/leases/", "/raft/x")),
    ("POST", "/raft/", {}, b"x"),
    ("GET", "/members", {}, b""),
    ("GET", "/members?x=1", {}, b""),
    ("HEAD", "/members", {}, b""),
    ("POST", "/members", {}, b""),
    ("GET", "/version", {}, b""),
    ("PUT", "/version", {}, b""),
    ("GET", "/raft/probing", {}, b""),
    ("PUT", "/raft/probing", {}, b"x"),
    ("GET", "/raft/probing/", {}, b""),
    ("GET", "/members/promote/12", {}, b""),
    ("POST", "/members/promote/", {}, b""),
    ("POST", "/members/promote/abc", {}, b""),
    ("POST", "/members/hashkv", {}, b""),
    ("POST", "/downgrade/enabled", {}, b""),
    ("GET", "/leases", {}, b""),
    ("GET", "/leases/internal", {}, b""),
    ("POST", "/leases", {}, b"\xff\xff"),
    ("POST", "/leases", {}, b"\x08\x05"),
    ("POST", "/leases/internal", {}, b"\xff\xff"),
    ("POST", "/leases/internal", {}, b"\x0a\x02\x08\x05"),
    ("GET", "/members/hashkv", {}, b""),
    ("GET", "/members/hashkv", {}, b"{"),
    ("GET", "/members/hashkv", {}, b'{"revision":1000000000}'),
    ("GET", "/members/hashkv", {}, b'{"revision":0}'),
    ("GET", "/downgrade/enabled", {}, b""),
    ("POST", "/members/promote/12", {}, b""),
    ("POST", f"/members/promote/{MEMBER_ID}", {}, b""),
    ("GET", "/raft", PEER, b""),
    ("POST", "/raft", {}, b""),
    ("POST", "/raft", without(X_Server_Version="2.3.0"), b""),
    ("POST", "/raft", without(X_Min_Cluster_Version="3.6.0"), b""),
    ("POST", "/raft", without("X-Etcd-Cluster-Id"), b""),
    ("POST", "/raft", PEER, b"\xff\xff"),
    ("GET", "/raft/snapshot", PEER, b""),
    ("POST", "/raft/snapshot", {}, b""),
    ("POST", "/raft/snapshot", without(X_Etcd_Cluster_Id="1"), b""),
    ("POST", "/raft/stream/msgapp/5", PEER, b""),
    ("GET", "/raft/stream/", {}, b""),
    ("GET", "/raft/stream/a/b", {}, b""),
    ("GET", "/raft/stream/msgapp/5", without(X_Etcd_Cluster_Id="1"), b""),
    ("GET", "/raft/stream/x/5", PEER, b""),
    ("GET", "/raft/stream/msgapp/xyz", PEER, b""),
    ("GET", "/raft/stream/msgapp/10000000000000000", PEER, b""),
    ("GET", "/raft/stream/msgapp/5", PEER, b""),
    ("GET", "/raft/stream/message/5", without("X-Raft-To"), b""),
    *(
        ("GET", path, {}, b"")
        for path in ("//members", "/./version", "/members/../version", "/raft/stream", "//", "/..")
    ),
    ("GET", "/a//b?x=1&y=%2f", {}, b""),
    ("HEAD", "/members//promote/", {}, b""),
    ("POST", "/members/promote?x", {}, b""),
    ("POST", "//raft", PEER, b"\xff"),
    ("GET", "/raft/stream/msgapp//5", PEER, b""),
    ("GET", '/x//"y<z>', {}, b""),
]


VERSIONS = (ETCD_VERSION.encode(), b"3.5.1")
"""Of the two: each says its own."""


def ask(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[bytes, bytes], Any]:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in headers.items())]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    request = "\r\n".join([*lines, "", ""]).encode() + body
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(request)
        return read_answer(sock, method == "HEAD")


def read_answer(sock: socket.socket, is_head: bool) -> tuple[int, dict[bytes, bytes], bytes]:
    reader, body = ResponseReader(), b""
    head: ResponseHead | None = None
    while data := sock.recv(65536):
        for event in reader.receive(data):
            if isinstance(event, ResponseHead):
                head = event
            elif isinstance(event, bytes):
                body += event
            elif event is END:
                break
        if head is not None and (is_head or event is END):
            return head.status, head.headers, body
    raise AssertionError(f"no whole answer: {head} {body!r}")


def comparable(answer: tuple[int, dict[bytes, bytes], bytes], client_port: int) -> tuple[int, dict[bytes, bytes], Any]:
    """Without what differs between any two members, and with objects for JSON."""
    status, headers, body = answer
    kept = {name: value for name, value in headers.items() if name not in (b"date", b"content-length")}
    kept = {name: b"VERSION" if value in VERSIONS else value for name, value in kept.items()}
    text = re.sub(b"|".join(map(re.escape, VERSIONS)), b"VERSION", body.replace(b":%d" % client_port, b":PORT"))
    text = re.sub(rb'"Now":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"', b'"Now":"NOW"', text)
    if kept.get(b"connection") == b"close" and status in (405, 412):
        del kept[b"connection"]  # a refused snapshot is not read to its end here
    return status, kept, json.loads(text) if kept.get(b"content-type") == b"application/json" else text


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: f"{one[0]} {one[1]} {one[2] == PEER}")
def test_the_answer_is_etcds(pair: Pair, request_: tuple[str, str, dict[str, str], bytes]) -> None:
    members = [side.member for side in pair.sides]
    answers = [comparable(ask(member.peer_port, *request_), member.client_port) for member in members]
    assert answers[1] == answers[0]
