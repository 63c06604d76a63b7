"""Clients and servers that others wrote, against ours: grpcio, h2, h2load, nghttp; and our Channel over sockets."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.wire import frames as f
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import ClientEvent
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.conversation import CALL_FIELDS, ECHO, METHODS, STREAM, Clock, message
from tests.wire.echo_server import EchoServer, answer
from tests.wire.told import answered, done, messages

UNARY = ECHO.decode()
STREAMING = STREAM.decode()
TEXTS = ["plain", "100% café \n", "etcdserver: key is not provided"]


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture
def channel(echo: EchoServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{echo.port}") as channel:
        yield channel


def test_grpcio_unary_calls_of_all_sizes(channel: grpc.Channel) -> None:
    unary = channel.unary_unary(UNARY)
    for size in (0, 1, 16_000, 16_384, 70_000, 1_572_864):
        assert unary(bytes(size), timeout=120) == bytes(size)
    assert len(unary(b"big:3000000", timeout=120)) == 3_000_000


def test_grpcio_many_calls_at_once(channel: grpc.Channel) -> None:
    unary = channel.unary_unary(UNARY)
    futures = [unary.future(b"%d" % n * (n % 50), timeout=120) for n in range(1_000)]
    assert [future.result() for future in futures] == [b"%d" % n * (n % 50) for n in range(1_000)]


@pytest.mark.parametrize("text", TEXTS)
def test_grpcio_reads_our_errors(channel: grpc.Channel, text: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(UNARY)(f"fail:9:{text}".encode(), timeout=120)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        ("/test.Echo/Nope", b"", "UNIMPLEMENTED", "unknown method Nope for service test.Echo"),
        ("/no.Such/Method", b"x" * 100_000, "UNIMPLEMENTED", "unknown service no.Such"),
        (UNARY, bytes(2_097_153), "RESOURCE_EXHAUSTED", "grpc: received message larger than max (2097153 vs. 2097152)"),
    ],
)
def test_grpcio_reads_our_refusals(channel: grpc.Channel, path: str, body: bytes, code: str, text: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(path)(body, timeout=120)
    assert (caught.value.code().name, caught.value.details()) == (code, text)


def test_grpcio_gzip_requests(channel: grpc.Channel) -> None:
    unary = channel.unary_unary(UNARY)
    assert unary(bytes(1_000_000), timeout=120, compression=grpc.Compression.Gzip) == bytes(1_000_000)


def test_grpcio_deadline_and_cancellation_reach_the_server(echo: EchoServer, channel: grpc.Channel) -> None:
    unary = channel.unary_unary(UNARY)
    timeout_s = 0.05
    while not echo.cancelled:  # on a busy machine the time may be over before the call has left
        with pytest.raises(grpc.RpcError) as caught:
            unary(b"never", timeout=timeout_s)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        future = unary.future(b"never", timeout=120)
        future.cancel()
        assert unary(b"still here", timeout=120) == b"still here"
        timeout_s *= 4


def test_grpcio_streams(channel: grpc.Channel) -> None:
    stream = channel.stream_stream(STREAMING)
    bodies = [b"%d" % n * (n * 50) for n in range(200)]
    assert list(stream(iter(bodies), timeout=120)) == bodies
    assert list(stream(iter([]), timeout=120)) == []


def test_grpcio_moves_on_when_the_server_drains(echo: EchoServer, channel: grpc.Channel) -> None:
    unary = channel.unary_unary(UNARY)
    futures = [unary.future(b"%d" % n, timeout=120) for n in range(200)]
    echo.go_away()
    futures += [unary.future(b"%d" % n, timeout=120, wait_for_ready=True) for n in range(200)]
    assert [future.result() for future in futures] == [b"%d" % n for n in range(200)] * 2


def test_h2_client_talks_to_our_server() -> None:
    """The `h2` package as a client, byte streams exchanged in memory."""
    client = h2.connection.H2Connection()
    server = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    client.initiate_connection()
    fields = [(name.decode(), value.decode()) for name, value in CALL_FIELDS]
    bodies = {1: b"x" * 300, 3: b"big:60000", 5: b"fail:3:no"}
    for stream_id, body in bodies.items():
        client.send_headers(stream_id, fields)
        client.send_data(stream_id, message(body), end_stream=True)
    seen: dict[int, list[object]] = {stream_id: [] for stream_id in bodies}
    up = down = b"start"
    while up or down:
        up = client.data_to_send()
        answer(server, server.receive(up))
        down = server.take_output()
        for event in client.receive_data(down):
            if isinstance(event, h2.events.DataReceived):
                seen[event.stream_id].append(len(event.data))
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived | h2.events.ResponseReceived):
                seen[event.stream_id].append(dict(event.headers).get(b"grpc-status", b"").decode())
            elif isinstance(event, h2.events.StreamEnded):
                seen[event.stream_id].append("end")
    assert seen[1] == ["", 305, "0", "end"]
    assert sum(part for part in seen[3] if isinstance(part, int)) == 60_005 and seen[3][-2:] == ["0", "end"]
    assert seen[5] == ["3", "end"]


def test_our_client_talks_to_an_h2_server() -> None:
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    client = GrpcClientConnection(ClientSettings(), Clock())
    call_ids = [client.call(ECHO, b"a" * 20_000, timeout) for timeout in (None, 5.0, None)]
    stream_id = client.open(STREAM)
    client.send_message(stream_id, b"one")
    events: list[ClientEvent] = []
    received: dict[int, bytes] = {}
    up = down = b"start"
    while up or down:
        up = client.take_output()
        for event in server.receive_data(up):
            if isinstance(event, h2.events.RequestReceived):
                received[event.stream_id] = b""
                server.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                if event.stream_id == stream_id:
                    server.send_data(stream_id, message(b"hello"))
            elif isinstance(event, h2.events.DataReceived):
                received[event.stream_id] += event.data
                server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                server.send_data(event.stream_id, message(b"answer"))
                server.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
        down = server.data_to_send()
        events += client.receive(down)
    assert messages(events) == [b"hello"]
    assert [event for event in events if event != answered(stream_id, b"hello")] == [
        done(call_id, message=b"answer") for call_id in call_ids
    ]
    assert received[call_ids[0]] == message(b"a" * 20_000) and received[stream_id] == message(b"one")


@pytest.mark.skipif(not shutil.which("h2load"), reason="h2load (Debian: nghttp2-client) is not installed")
@pytest.mark.parametrize(("clients", "streams"), [(1, 1), (4, 100)])
def test_h2load(echo: EchoServer, tmp_path: Path, clients: int, streams: int) -> None:
    body = tmp_path / "body"
    body.write_bytes(message(bytes(256)))
    run = subprocess.run(
        f"h2load -n 2000 -c {clients} -m {streams} -d {body} -H content-type:application/grpc -H te:trailers "
        f"http://127.0.0.1:{echo.port}{UNARY}".split(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "2000 succeeded, 0 failed, 0 errored" in run.stdout, run.stdout + run.stderr


@pytest.mark.skipif(not shutil.which("nghttp"), reason="nghttp (Debian: nghttp2-client) is not installed")
def test_nghttp(echo: EchoServer, tmp_path: Path) -> None:
    """Sends PRIORITY frames and a prioritised HEADERS."""
    body = tmp_path / "body"
    body.write_bytes(message(b"hello"))
    run = subprocess.run(
        [
            "nghttp",
            "-v",
            "-d",
            str(body),
            "-H",
            "content-type: application/grpc",
            f"http://127.0.0.1:{echo.port}{UNARY}",
        ],
        capture_output=True,
        timeout=60,
    )
    assert b"grpc-status: 0" in run.stdout and b"hello" in run.stdout, run.stdout


def test_channel_over_tcp(echo: EchoServer) -> None:
    with Channel(f"127.0.0.1:{echo.port}") as channel:
        for n in range(20):
            assert channel.unary(UNARY, b"x" * n * n * n, timeout=120 if n % 2 else None) == b"x" * n * n * n
        assert len(channel.unary(UNARY, b"big:3000000", timeout=120)) == 3_000_000
        for text in TEXTS:
            with pytest.raises(RpcError) as caught:
                channel.unary(UNARY, f"fail:9:{text}".encode(), timeout=120)
            assert (caught.value.code, caught.value.text) == (9, text)
        with pytest.raises(RpcError) as caught:
            channel.unary(UNARY, b"never", timeout=0.05)
        assert caught.value.code == 4


def test_channel_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with EchoServer(unix_path=path):
        for target in (f"unix:{path}", f"unix://{path}"):
            with Channel(target) as channel:
                assert channel.unary(UNARY, b"hello", timeout=120) == b"hello"


def test_channel_streams(echo: EchoServer) -> None:
    with Channel(f"http://127.0.0.1:{echo.port}") as channel:
        stream = channel.stream(STREAMING)
        for n in range(10):
            stream.send(b"%d" % n * 10_000)
            assert stream.recv(120) == b"%d" % n * 10_000
        with pytest.raises(TimeoutError):
            stream.recv(0.01)
        assert channel.unary(UNARY, b"beside", timeout=120) == b"beside"
        stream.close_send()
        assert stream.recv(120) is None
        other = channel.stream(STREAMING)
        other.cancel()
        with pytest.raises(RpcError):
            other.recv(120)


def test_channel_connects_anew_when_the_server_drains(echo: EchoServer) -> None:
    with Channel(f"127.0.0.1:{echo.port}") as channel:
        assert channel.unary(UNARY, b"1", timeout=120) == b"1"
        with ThreadPoolExecutor(1) as pool:
            pool.submit(echo.go_away).result()
        for n in range(50):
            assert channel.unary(UNARY, b"%d" % n, timeout=120) == b"%d" % n


def test_channel_without_a_server() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Channel(f"127.0.0.1:{unused.getsockname()[1]}") as channel, pytest.raises(RpcError) as caught:
            channel.unary(UNARY, b"x", timeout=120)
    assert caught.value.code == 14


def test_preface_is_what_the_rfc_says() -> None:
    assert f.PREFACE.hex() == "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a"
