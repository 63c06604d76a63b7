"""Much of what costs its sender little. Each for so many seconds; each returns counts."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

from etcdz.proto import etcdserverpb as pb
from etcdz.wire import frames as f
from tests.hostile.raw_client import RawClient, connect, encode_headers, encode_message, head_fields

_PUT = b"/etcdserverpb.KV/Put"
_RANGE = b"/etcdserverpb.KV/Range"
_WATCH = b"/etcdserverpb.Watch/Watch"
_GRANT = b"/etcdserverpb.Lease/LeaseGrant"
CONVERSATIONS, CONNECTIONS = 10, 50
"""So many there are at least, however slow the machine."""
_SMALL_RANGE = pb.RangeRequest(key=b"none").SerializeToString()


def _repeat(target: str, seconds: float, act: Callable[[RawClient], None]) -> dict[str, int]:
    """act on a connection, again and again; on a new one when it has ended. return connections and rounds"""
    until = time.monotonic() + seconds
    connections = rounds = 0
    while time.monotonic() < until:
        connections += 1
        with suppress(OSError), RawClient(target) as client:
            while time.monotonic() < until:
                act(client)
                rounds += 1
    return {"connections": connections, "rounds": rounds}


def flood_mutated_frames(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Whole conversations with bytes changed anywhere, header blocks and frame heads included."""
    until = time.monotonic() + seconds
    count = 0
    body = pb.PutRequest(key=b"k/frames", value=b"v" * 40).SerializeToString()
    while time.monotonic() < until or count < CONVERSATIONS:
        parts = [f.PREFACE, f.encode_settings(((f.SETTING_INITIAL_WINDOW_SIZE, 65_535),))]
        for stream_id in range(1, 41, 2):
            parts.append(encode_headers(stream_id, head_fields(rng.choice((_PUT, _RANGE, _WATCH)))))
            parts.append(encode_message(stream_id, body))
        data = bytearray(b"".join(parts))
        for _ in range(rng.choice((1, 1, 2, 5))):
            data[rng.randrange(len(f.PREFACE), len(data))] = rng.randrange(256)
        with suppress(OSError), RawClient(target, greet=False) as client:
            client.send(bytes(data))
            client.socket.settimeout(0.02)
            client.socket.recv(1 << 16)
        count += 1
    return {"conversations": count}


def flood_metadata(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Calls with as much metadata as etcd takes in a header or two, no two alike."""

    def act(client: RawClient) -> None:
        extra = tuple((b"x-%d" % n, rng.randbytes(6).hex().encode() * 80) for n in range(50))
        client.call(_RANGE, _SMALL_RANGE, extra)

    return _repeat(target, seconds, act)


def flood_connections(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Connections opened and dropped, some by a reset, some in the middle of the preface."""
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until or count < CONNECTIONS:
        batch = []
        with suppress(OSError):
            for _ in range(50):
                batch.append(connect(target))
                batch[-1].sendall(f.PREFACE[: rng.randrange(len(f.PREFACE) + 1)])
        for sock in batch:
            if rng.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        count += len(batch)
    return {"connections": count}


def hold_half_open(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Connections with many calls that never send their message, or half of it."""
    clients = []
    half = encode_message(1, pb.PutRequest(key=b"k", value=b"v" * 4000).SerializeToString(), 0)[:2000]
    for _ in range(60):
        client = RawClient(target)
        clients.append(client)
        heads = [encode_headers(client.next_id(), head_fields(_PUT)) for _ in range(100)]
        with suppress(OSError):
            client.send(b"".join(heads) + half)
    time.sleep(seconds)  # it is the attack: they stay so
    for client in clients:
        client.close()
    return {"connections": len(clients), "streams": 100 * len(clients)}


def drip_prefaces(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Connections that send their preface byte by byte, and never get to its end."""
    until = time.monotonic() + seconds
    socks = [connect(target) for _ in range(300)]
    sent = 0
    while time.monotonic() < until and sent < len(f.PREFACE) - 1:
        for sock in socks:
            with suppress(OSError):
                sock.sendall(f.PREFACE[sent : sent + 1])
        sent += 1
        time.sleep(seconds / len(f.PREFACE))
    for sock in socks:
        sock.close()
    return {"connections": len(socks)}


def flood_http1(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Pipelined health checks, scrapes and junk over HTTP/1."""
    until = time.monotonic() + seconds
    count = 0
    socks = [connect(target) for _ in range(10)]
    while time.monotonic() < until or not count:
        for at, sock in enumerate(socks):
            path = rng.choice((b"/health", b"/health", b"/version", b"/metrics", b"/%ff", b"/" + b"a" * 3000))
            request = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path
            try:
                sock.sendall(request * 8 if rng.random() < 0.9 else rng.randbytes(50))
                count += 8
                sock.settimeout(0.5)
                if not sock.recv(1 << 18):
                    raise ConnectionError
            except OSError:
                sock.close()
                socks[at] = connect(target)
    for sock in socks:
        sock.close()
    return {"requests": count}


def flood_resets(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Calls that are reset as soon as they are made."""
    body = encode_message(1, pb.PutRequest(key=b"k/reset", value=b"v").SerializeToString())

    def act(client: RawClient) -> None:
        out = []
        for _ in range(50):
            stream_id = client.next_id()
            data = body[:5] + stream_id.to_bytes(4, "big") + body[9:]
            out += [encode_headers(stream_id, head_fields(_PUT)), data, f.encode_rst_stream(stream_id, f.CANCEL)]
        client.send(b"".join(out))

    return _repeat(target, seconds, act)


def flood_control_frames(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """PING, SETTINGS, PRIORITY, empty DATA and unknown frames."""
    kinds = [
        f.encode_frame(f.PING, 0, 0, b"12345678"),
        f.encode_settings(((f.SETTING_INITIAL_WINDOW_SIZE, 70_000),) * 100),
        f.encode_frame(f.PRIORITY, 0, 1, b"\0\0\0\0\0"),
        f.encode_window_update(0, 1),
        f.encode_frame(0xEE, 0, 0, b"x" * 100),
    ]
    return _repeat(target, seconds, lambda client: client.send(rng.choice(kinds) * 100))


def churn_watches(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Watches over everything, created and cancelled by hundreds on a stream."""
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"\0", range_end=b"\0", prev_kv=True))
    cancels = [pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=n)) for n in range(200)]

    def act(client: RawClient) -> None:
        stream_id = client.next_id()
        out = [encode_headers(stream_id, head_fields(_WATCH))]
        out += [encode_message(stream_id, create.SerializeToString(), 0)] * 200
        out += [encode_message(stream_id, cancel.SerializeToString(), 0) for cancel in cancels]
        out.append(f.encode_rst_stream(stream_id, f.CANCEL))
        client.send(b"".join(out))
        for _ in client.frames(0.02):
            pass

    return _repeat(target, seconds, act)


def expire_leases(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Leases by the thousand that run out at about the same time."""
    count = 3000
    with RawClient(target, grant=1 << 24) as client:
        body = pb.LeaseGrantRequest(TTL=1).SerializeToString()
        for _ in range(count // 50):
            out = []
            for _ in range(50):
                stream_id = client.next_id()
                out += [encode_headers(stream_id, head_fields(_GRANT)), encode_message(stream_id, body)]
            client.send(b"".join(out))
        for _ in client.frames(seconds + 1):
            pass
    return {"leases": count}
