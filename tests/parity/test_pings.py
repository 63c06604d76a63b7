"""PINGs of a client that sends too many, and of a server to a client that says nothing: the same frames from both."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, RealEtcd
from tests.wire.conversation import HELLO, Reader, call, changed, ping, window_update

FLAGS = ("--grpc-keepalive-interval=5s", "--grpc-keepalive-timeout=500ms", "--grpc-keepalive-min-time=1h")
PUT = changed((b":path", b"/etcdserverpb.KV/Put"))
BODY = pb.PutRequest(key=b"ping").SerializeToString()

# What a client sends at once; the server ends the connection in each case, the last time because of the silence.
SENT = {
    "four": HELLO + ping() * 4,
    "more than four": HELLO + ping() * 9,
    "windows do not count": HELLO + (ping() + window_update(0, 1)) * 9,
    "silence": HELLO,
    "three, then silence": HELLO + ping() * 3,
    "a call, then silence": HELLO + ping() + call(1, BODY, PUT),
}
OF_INTEREST = ("PING", "GOAWAY", "HEADERS")
BANDWIDTH_PROBE = "PING 02041010090e0707"  # with which grpc-go measures the way to a client that sends it DATA


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory, subject: type[Member]) -> Iterator[list[Member]]:
    where: Callable[[str], Path] = tmp_path_factory.mktemp
    with RealEtcd(where("expected"), *FLAGS) as expected, subject(where("subject"), *FLAGS) as member:
        yield [expected, member]


def frames_until_the_end(member: Member, sent: bytes) -> list[str]:
    """Kinds of the frames that came; the last line is the connection's end."""
    reader, lines = Reader(), []
    with socket.create_connection(("127.0.0.1", member.client_port), timeout=60) as client:
        client.sendall(sent)
        while True:
            try:
                data = client.recv(65_536)
            except ConnectionResetError:  # bytes of ours were still on their way
                data = b""
            if not data:
                return lines
            lines += [line for line in reader.lines(data) if line.startswith(OF_INTEREST)]


def comparable(lines: list[str]) -> list[str]:
    """etcd sends an empty grpc-message with its status."""
    return [line.removesuffix(" grpc-message=") for line in lines if line != BANDWIDTH_PROBE]


@pytest.fixture(scope="module")
def heard(members: list[Member]) -> dict[str, list[list[str]]]:
    """What each has said to each client. All at once: most of it is the time until a member breaks the silence. That is
    long enough for a busy machine to have answered the call."""
    with ThreadPoolExecutor(len(SENT) * len(members)) as pool:
        under_way = {
            name: [pool.submit(frames_until_the_end, member, sent) for member in members] for name, sent in SENT.items()
        }
        return {name: [comparable(each.result()) for each in both] for name, both in under_way.items()}


@pytest.mark.parametrize("name", SENT)
def test_pings(name: str, heard: dict[str, list[list[str]]]) -> None:
    expected, ours = heard[name]
    assert ours == expected
    assert "PING" in expected[0]
