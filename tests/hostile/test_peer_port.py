"""Who connects to the peer port and is no member: its own connections end, and nothing else does."""

import random
import socket
from contextlib import suppress
from typing import Final

import psutil
import pytest

from etcdz.net.blocking_channel import Channel
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import CLUSTER_ID, Member
from tests.hostile.siege import lasting, private_bytes

CONNECTIONS: Final = 1500
"""More than the actor keeps of strangers."""
GROWTH_BYTES_MAX: Final = 224 << 20
ANSWER_S: Final = 60.0
"""For what is answered at once: the machine may be busy."""
_PUT: Final = "/etcdserverpb.KV/Put"
_FIELDS: Final = (
    f"Host: a\r\nX-Etcd-Cluster-ID: {CLUSTER_ID:x}\r\nX-Server-From: 5\r\nX-Server-Version: 3.5.1\r\n"
    "X-Min-Cluster-Version: 3.0.0\r\nX-Raft-To: 8e9e05c52164694d\r\nX-PeerURLs: http://127.0.0.1:1\r\n"
)
_SEEDS: Final = (
    f"GET /raft/stream/msgapp/5 HTTP/1.1\r\n{_FIELDS}\r\n".encode(),
    f"POST /raft HTTP/1.1\r\n{_FIELDS}Content-Length: 12\r\n\r\n".encode() + b"\xff" * 12,
    f"POST /raft HTTP/1.1\r\n{_FIELDS}Transfer-Encoding: chunked\r\n\r\n".encode() + b"2\r\n\x08\x04\r\n0\r\n\r\n",
    f"POST /raft/snapshot HTTP/1.1\r\n{_FIELDS}Content-Length: 20\r\n\r\n".encode() + b"\x00" * 20,
    f"POST /leases HTTP/1.1\r\n{_FIELDS}Content-Length: 3\r\n\r\n\x08\x05\x08".encode(),
    f"GET /members/hashkv HTTP/1.1\r\n{_FIELDS}Content-Length: 3\r\n\r\n{{}}x".encode(),
    f"GET /members HTTP/1.1\r\n{_FIELDS}\r\n".encode(),
)


def peer_process(member: Member) -> psutil.Process:
    (found,) = [process for process in member.processes() if process.name() == "etcdz:peer"]
    return found


def connect(member: Member) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", member.peer_port), ANSWER_S)
    sock.settimeout(0.5)
    return sock


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, taken out, or said again."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(changed))
        how = rng.randrange(3)
        if how == 0:
            changed[at] = rng.randrange(256)
        elif how == 1:
            del changed[at : at + rng.randrange(1, 4)]
        else:
            changed[at:at] = changed[at : at + rng.randrange(1, 40)]
    return bytes(changed)


def still_serves(member: Member) -> bool:
    with Channel(member.target) as channel:
        channel.unary(_PUT, pb.PutRequest(key=b"k", value=b"v").SerializeToString(), timeout=ANSWER_S)
    with connect(member) as sock:
        sock.settimeout(ANSWER_S)
        sock.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
        return sock.recv(4096).startswith(b"HTTP/1.1 200 OK")


@pytest.fixture
def peer(etcdz: Member) -> psutil.Process:
    return peer_process(etcdz)


def test_mutated_requests_end_no_actor(etcdz: Member, peer: psutil.Process, seed: int, is_long: bool) -> None:
    rng = random.Random(seed)
    before = lasting(etcdz)
    for _ in range(20_000 if is_long else 400):
        with connect(etcdz) as sock, suppress(OSError):
            sock.sendall(mutated(rng.choice(_SEEDS), rng))
            sock.shutdown(socket.SHUT_WR)
            sock.recv(4096)
    assert still_serves(etcdz)
    assert before.keys() <= lasting(etcdz).keys(), f"seed {seed}"


def test_connections_that_are_only_held_keep_nobody_out(etcdz: Member, peer: psutil.Process) -> None:
    before = private_bytes(peer)
    held = []
    try:
        for number in range(CONNECTIONS):
            sock = connect(etcdz)
            held.append(sock)
            with suppress(OSError):
                sock.sendall(
                    (b"", b"GET /ver", b"POST /raft HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")[number % 3]
                )
        assert still_serves(etcdz)
        assert private_bytes(peer) - before < GROWTH_BYTES_MAX
    finally:
        for sock in held:
            sock.close()


def test_bodies_that_do_not_end_are_bounded(etcdz: Member, peer: psutil.Process) -> None:
    """Each is read until it is too large; all together must not fill the memory."""
    before = private_bytes(peer)
    head = f"POST /raft HTTP/1.1\r\n{_FIELDS}Content-Length: {60 << 20}\r\n\r\n".encode()
    socks = [connect(etcdz) for _ in range(20)]
    try:
        for sock in socks:
            with suppress(OSError):
                sock.sendall(head)
                for _ in range(24):
                    sock.sendall(bytes(1 << 20))
        assert still_serves(etcdz)
        assert private_bytes(peer) - before < GROWTH_BYTES_MAX
    finally:
        for sock in socks:
            sock.close()
