"""A proxy in front of one member: what its clients are answered, and what the member sees of them."""

import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import etcdz
from etcdz.api.errors import Code
from etcdz.cli.grpc_proxy.connection import STREAM_BYTES_MAX
from etcdz.client import errors
from etcdz.client.threads import Client
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.tags import RESPONSE_HEADER
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import DONE, MESSAGE
from etcdz.wire.frames import PREFACE
from tests.cli.grpc_proxy.proxies import Proxy
from tests.cluster_process import until
from tests.etcd_process import Etcdz, free_port

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcdz]:
    with Etcdz(tmp_path_factory.mktemp("member")) as started:
        yield started


@pytest.fixture(scope="module")
def proxy(member: Etcdz, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("proxy"), member.target) as started:
        yield started


@pytest.fixture
def db(proxy: Proxy) -> Iterator[Client]:
    with etcdz.connect(proxy.target, timeout=60) as client:
        yield client


@pytest.fixture
def direct(member: Etcdz) -> Iterator[Client]:
    with etcdz.connect(member.target, timeout=60) as client:
        yield client


def figure(target: str, name: str, path: str = "/metrics") -> float:
    """Of this name, all labels together."""
    with urllib.request.urlopen(f"http://{target}{path}", timeout=60) as answer:
        text = answer.read().decode()
    return sum(float(found[1]) for found in re.finditer(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


def test_what_is_written_is_read_on_either_side(db: Client, direct: Client) -> None:
    db.put("k", "1")
    assert direct.get("k").value == b"1"
    direct.put("k", "2")
    assert db.get("k").value == b"2"
    assert db.put("k", "3", prev=True).prev.value == b"2"
    assert db.delete("k").deleted == 1
    with pytest.raises(errors.FutureRev):
        db.get("k", at=1_000_000)


def test_serializable_reads_are_answered_from_the_cache_until_a_write_touches_them(db: Client, direct: Client) -> None:
    db.put("cached", "1")
    assert db.get("cached").value == b"1"
    direct.put("cached", "2")
    assert db.get("cached", serializable=True).value == b"1"
    assert db.get("cached").value == b"2"
    direct.put("cached", "3")
    db.put("cached", "4")
    assert db.get("cached", serializable=True).value == b"4"


def test_watches_of_the_same_keys_are_one_at_the_member(
    proxy: Proxy, member: Etcdz, db: Client, direct: Client
) -> None:
    name = "etcd_debugging_mvcc_watcher_total"
    until(lambda: figure(member.target, name) == 0, 60, lambda: "watches of tests before do not end")
    with ExitStack() as stack:
        clients = [stack.enter_context(etcdz.connect(proxy.target, timeout=60)) for _ in range(3)]
        watches = [stack.enter_context(client.watch("w")) for client in clients for _ in range(4)]
        assert figure(member.target, name) == 1
        first = direct.put("w", "1").revision
        assert [watch.get(60).kv.value for watch in watches] == [b"1"] * 12
        late = stack.enter_context(db.watch("w", start=first, prev=True))
        assert late.get(60).kv.value == b"1"
        direct.put("w", "2")
        assert [watch.get(60).kv.value for watch in watches] == [b"2"] * 12
        event = late.get(60)
        assert (event.kv.value, event.prev.value) == (b"2", b"1")
        direct.delete("w")
        assert [watch.get(60).type for watch in watches] == [event.type for event in [late.get(60)] * 12]
    # The last one is told before its end is.
    with db.watch("x"):
        assert figure(member.target, name) == 1


def test_a_watch_that_begins_where_all_is_compacted_is_told_so(db: Client) -> None:
    db.put("c", "1")
    revision = db.put("c", "2").revision
    db.compact(revision)
    with pytest.raises(errors.Compacted), db.watch("c", start=1) as watch:
        watch.get(60)


def test_a_lease_is_kept_alive_and_ends(db: Client, direct: Client) -> None:
    with db.lease(60) as lease:
        db.put("leased", "1", lease=lease)
        assert direct.time_to_live(lease, keys=True).keys == (b"leased",)
    assert direct.get("leased") is None
    assert db.get("leased", serializable=True) is None


def test_locks_and_elections_go_through(db: Client, direct: Client) -> None:
    with db.lock("l", ttl=60) as lock:
        assert direct.get(lock.key) is not None


def test_it_says_how_the_cluster_is_and_how_it_is_itself(proxy: Proxy, db: Client) -> None:
    for path in ("/health", "/proxy/health"):
        with urllib.request.urlopen(f"http://{proxy.target}{path}", timeout=60) as answer:
            assert answer.read() == b'{"health":"true","reason":""}'
    hits = figure(proxy.target, "etcd_grpc_proxy_cache_hits_total", "/proxy/metrics")
    db.get("nothing", serializable=True)
    db.get("nothing", serializable=True)
    assert figure(proxy.target, "etcd_grpc_proxy_cache_hits_total", "/proxy/metrics") == hits + 1


def test_a_client_that_does_not_read_loses_its_stream_alone(proxy: Proxy, db: Client, direct: Client) -> None:
    stalled = GrpcClientConnection(ClientSettings(stream_window=65_535), time.monotonic)
    stream_id = stalled.open(b"/etcdserverpb.Watch/Watch")
    create = pb.WatchCreateRequest(key=b"stalled")
    stalled.send_message(stream_id, pb.WatchRequest(create_request=create).SerializeToString())
    with socket.create_connection(("127.0.0.1", proxy.client_port), 60) as sock, db.watch("stalled") as watch:
        sock.sendall(stalled.take_output())
        events = stalled.receive(sock.recv(1 << 16))
        while not any(kind == MESSAGE for kind, *_ in events):  # it is created
            events = stalled.receive(sock.recv(1 << 16))
        for number in range(STREAM_BYTES_MAX // 1_000_000 + 2):
            value = bytes([number]) * 1_000_000
            direct.put("stalled", value)
            assert watch.get(60).value == value
        while not any(kind == DONE for kind, *_ in events):
            data = sock.recv(1 << 20)
            assert data
            events = stalled.receive(data)
            # Some clients read by hand, and count on the order of the fields.
            assert all(message[:1] == RESPONSE_HEADER for kind, _, _, _, message in events if kind == MESSAGE)
        assert [(kind, code) for kind, _, code, _, _ in events if kind == DONE] == [(DONE, Code.UNAVAILABLE)]


@pytest.mark.parametrize(
    "said",
    [b"\0" * 100, PREFACE + b"\xff" * 100, b"GET / HTTP/9\r\n\r\n", PREFACE[:10]],
    ids=["zeros", "frames", "version", "cut"],
)
def test_nonsense_ends_its_own_connection(said: bytes, proxy: Proxy, db: Client) -> None:
    with socket.create_connection(("127.0.0.1", proxy.client_port), 60) as sock:
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass
    db.put("sense", "1")


def test_a_namespace(member: Etcdz, direct: Client, tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        Proxy(tmp_path_factory.mktemp("namespace"), member.target, "--namespace=app/") as proxy,
        etcdz.connect(proxy.target, timeout=60) as db,
        db.watch(prefix="") as watch,
    ):
        db.put("k", "1")
        direct.put("other", "1")
        assert direct.get("app/k").value == b"1"
        assert [kv.key for kv in db.range(prefix="")] == [b"k"]
        assert watch.get(60).key == b"k"
        assert db.txn(etcdz.client.key("k").value == "1").then(etcdz.client.get("k")).commit().succeeded


def test_a_cluster_that_cannot_be_reached_is_an_error(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With --debug, too, which says more of it."""
    with (
        Proxy(tmp_path_factory.mktemp("nobody"), f"127.0.0.1:{free_port()}", "--debug") as proxy,
        etcdz.connect(proxy.target, timeout=60) as db,
        pytest.raises(errors.Unavailable),
    ):
        db.put("k", "1")


def test_progress_is_told_behind_what_was_there_before(db: Client, direct: Client) -> None:
    with db.watch("progress", progress=True) as watch:
        direct.put("progress", "1")
        assert watch.get(60).type == "put"
        last = direct.put("other", "1").revision
        watch.request_progress()
        event = watch.get(60)
        assert event.type == "progress"
        assert event.revision >= last
