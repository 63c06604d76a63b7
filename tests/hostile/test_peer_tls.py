"""Who connects to the peer port under TLS: without a certificate, with a stranger's, with half a handshake, by
thousands; and who has a right certificate and speaks nonsense. The members go on, in the same term."""

import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.testing.certificates import Authority, Issued
from tests.cluster_process import Cluster, ClusterMember
from tests.hostile.siege import Usage, is_borne, lasting, private_bytes
from tests.hostile.test_peer_port import CONNECTIONS, GROWTH_BYTES_MAX, mutated, peer_process
from tests.process.load import open_channel, unary

HERE: Final = "127.0.0.1"
STALL_S_MAX: Final = 5.0
"""For so much of a member's work, in seconds of CPU, a put may wait."""
PUT_S: Final = 60.0
ANSWER_S: Final = 0.2
"""So long who speaks nonsense waits for an answer: often none comes."""
_REQUEST: Final = b"GET /members HTTP/1.1\r\nHost: a\r\nX-Server-From: 5\r\n\r\n"


class Besieged(NamedTuple):
    cluster: Cluster
    ca: Authority
    stranger: Issued
    own: Issued

    @property
    def target(self) -> ClusterMember:
        return self.cluster["m0"]

    def context(self, shown: Issued | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        return context

    def connect(self) -> socket.socket:
        sock = socket.create_connection((HERE, self.target.peer_port), 10)
        sock.settimeout(2)
        return sock


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    directory = tmp_path_factory.mktemp("besieged")
    ca, other = Authority(directory / "ca"), Authority(directory / "other", "another")
    own, stranger = ca.issue("own", ips=[HERE]), other.issue("stranger", ips=[HERE])
    flags = (
        f"--peer-cert-file={own.cert}",
        f"--peer-key-file={own.key}",
        f"--peer-trusted-ca-file={ca.ca}",
        "--peer-client-cert-auth",
        "--heartbeat-interval=500",
        "--election-timeout=5000",  # for want of CPU alone, on a busy machine, no leader is to lose its term
    )
    with Cluster(directory, ["etcdz", "etcdz"], *flags, peer_scheme="https") as cluster:
        yield Besieged(cluster, ca, stranger, own)


class Puts:
    """One after the other, while an attack goes on. slowest: from when to when, on the monotonic clock"""

    def __init__(self, member: ClusterMember) -> None:
        self.slowest = (0.0, 0.0)
        self.count = 0
        self._member = member
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Puts":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        with open_channel(self._member.target, long_running=True) as channel:
            put = unary(channel, "KV/Put", pb.PutResponse)
            while not (self._is_over.is_set() and self.count):
                began = time.monotonic()
                put(pb.PutRequest(key=b"k", value=b"v"), timeout=PUT_S)
                self.slowest = max(self.slowest, (began, time.monotonic()), key=lambda wait: wait[1] - wait[0])
                self.count += 1


@pytest.fixture
def unharmed(besieged: Besieged) -> Iterator[Puts]:
    """Puts during the test; behind it, all is as it was."""
    cluster, peer = besieged.cluster, peer_process(besieged.target)
    term, memory, before = cluster.term(), private_bytes(peer), lasting(besieged.target)
    with Usage(besieged.target) as usage, Puts(besieged.target) as puts:
        yield puts
    assert before.keys() <= lasting(besieged.target).keys()
    assert private_bytes(peer) - memory < GROWTH_BYTES_MAX
    assert cluster.term() == term
    assert puts.count
    assert is_borne(usage.work_between(*puts.slowest), STALL_S_MAX, usage.work_s), puts.slowest


def test_half_handshakes_are_held_by_the_thousand(besieged: Besieged, unharmed: Puts, seed: int) -> None:
    rng, held = random.Random(seed), []
    try:
        for number in range(CONNECTIONS):
            sock = besieged.connect()
            held.append(sock)
            with suppress(OSError):
                sock.sendall(
                    (b"", b"\x16\x03\x01\x01\x00", b"\x16\x03\x01\x00\xc8\x01" + rng.randbytes(199))[number % 3]
                )
    finally:
        for sock in held:
            sock.close()


def test_handshakes_of_strangers_come_in_a_storm(besieged: Besieged, unharmed: Puts, is_long: bool) -> None:
    each = 2_000 if is_long else 40
    contexts = [besieged.context(shown) for shown in (None, besieged.stranger)]

    def storm(context: ssl.SSLContext) -> None:
        for _ in range(each):
            with suppress(OSError), besieged.connect() as sock, context.wrap_socket(sock) as tls:
                tls.sendall(_REQUEST)
                assert tls.recv(100) == b""

    threads = [threading.Thread(target=storm, args=[context]) for context in contexts * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_nonsense_with_and_under_a_right_certificate(
    besieged: Besieged, unharmed: Puts, seed: int, is_long: bool
) -> None:
    rng, context = random.Random(seed), besieged.context(besieged.own)
    hello = first_bytes(context)
    for number in range(4_000 if is_long else 80):
        with suppress(OSError), besieged.connect() as sock:
            if number % 2:
                sock.sendall(mutated(hello, rng))
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(ANSWER_S)
                sock.recv(4096)
                continue
            with context.wrap_socket(sock) as tls:
                tls.sendall(mutated(_REQUEST, rng))
                tls.settimeout(ANSWER_S)
                tls.recv(4096)


def first_bytes(context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="a").do_handshake()
    return outgoing.read()
