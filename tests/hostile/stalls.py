"""Clients that ask for much and do not read, and requests at the limits. Each returns counts."""

import time
from contextlib import suppress
from random import Random

from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.proto import etcdserverpb as pb
from etcdz.wire import frames as f
from tests.hostile.raw_client import RawClient, encode_headers, encode_message, head_fields

_PUT = b"/etcdserverpb.KV/Put"
_RANGE = b"/etcdserverpb.KV/Range"
_WATCH = b"/etcdserverpb.Watch/Watch"
_SNAPSHOT = b"/etcdserverpb.Maintenance/Snapshot"


def load(target: str, prefix: bytes, count: int, value_bytes: int) -> None:
    """count keys prefix + 8 digits, by transactions of 100."""
    value = b"v" * value_bytes
    with Channel(target) as channel:
        for at in range(0, count, 100):
            puts = [pb.PutRequest(key=prefix + b"%08d" % n, value=value) for n in range(at, min(at + 100, count))]
            request = pb.TxnRequest(success=[pb.RequestOp(request_put=put) for put in puts])
            channel.unary("/etcdserverpb.KV/Txn", request.SerializeToString(), 60)


def load_large(target: str, prefix: bytes, count: int, value_bytes: int) -> None:
    """The same by single puts, for values near the limit of a request; no store can make them smaller."""
    value = Random(value_bytes).randbytes(value_bytes)
    with Channel(target) as channel:
        for number in range(count):
            put = pb.PutRequest(key=prefix + b"%08d" % number, value=value)
            channel.unary("/etcdserverpb.KV/Put", put.SerializeToString(), 60)


def stall_watches(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Watchers of everything that never read an event."""
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=1))
    with suppress(OSError), RawClient(target, window=0) as client:
        for _ in range(200):
            stream_id = client.next_id()
            head = encode_headers(stream_id, head_fields(_WATCH))
            client.send(head + encode_message(stream_id, create.SerializeToString(), 0))
        for _ in client.frames(seconds):
            pass
    return {"watches": 200}


def stall_ranges(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Ranges of 1 MB, many at once, on connections whose windows are shut."""
    load(target, b"stall/", 1000, 1000)
    request = pb.RangeRequest(key=b"stall/", range_end=b"stall0").SerializeToString()
    clients = [RawClient(target, window=0) for _ in range(4)]
    for client in clients:
        for _ in range(5):
            client.call(_RANGE, request)
    for client in clients:
        for _ in client.frames(seconds / len(clients)):
            pass
        client.close()
    return {"ranges": 20}


def send_sizes(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Requests around the limits of a message and of a transaction, and messages that say they are larger."""
    until = time.monotonic() + seconds
    limit = 1_572_864
    codes: dict[str, int] = {}
    with Channel(target) as channel:
        sizes = [limit - 40, limit, limit + 1, limit + (512 << 10) - 20, limit + (512 << 10) + 1, 3 << 20]
        while time.monotonic() < until:
            body = pb.PutRequest(key=b"size", value=b"v" * rng.choice(sizes)).SerializeToString()
            ops = [
                pb.RequestOp(request_put=pb.PutRequest(key=b"op/%d" % n)) for n in range(rng.choice((127, 128, 129)))
            ]
            txn = pb.TxnRequest(success=ops).SerializeToString()
            for path, message in (("/etcdserverpb.KV/Put", body), ("/etcdserverpb.KV/Txn", txn)):
                code = 0
                try:
                    channel.unary(path, message, 30)
                except RpcError as error:
                    code = int(error.code)
                codes[f"code{code}"] = codes.get(f"code{code}", 0) + 1
            with suppress(OSError), RawClient(target) as client:
                stream_id = client.next_id()
                head = encode_headers(stream_id, head_fields(_PUT))
                client.send(head + f.encode_frame(f.DATA, 0, stream_id, b"\0\xff\xff\xff\xff" + b"x" * 1000))
    return dict(sorted(codes.items()))


def stall_snapshots(target: str, rng: Random, count: float) -> dict[str, int]:
    """Snapshots that nobody reads, more of them than a listener makes at a time; another client saves one beside."""
    load(target, b"saved/", 4_000, 1000)
    stalled = [RawClient(target, window=0) for _ in range(int(count))]
    for client in stalled:
        client.call(_SNAPSHOT, b"")
    for client in stalled:
        for _ in client.frames(0.2):
            pass
    saved = 0
    with Channel(target) as channel:
        stream = channel.stream("/etcdserverpb.Maintenance/Snapshot", 120)
        stream.send(b"")
        stream.close_send()
        while (message := stream.recv()) is not None:
            saved += len(pb.SnapshotResponse.FromString(message).blob)
    for client in stalled:
        client.close()
    return {"saved_mib": saved >> 20}


def hold_unfinished(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Puts of 1 MB on many connections that stop before their end; another client puts as much, and is served."""
    body = pb.PutRequest(key=b"unfinished", value=b"v" * 1_000_000).SerializeToString()
    clients = []
    for _ in range(250):
        client = RawClient(target)
        clients.append(client)
        stream_id = client.next_id()
        with suppress(OSError):
            client.send(encode_headers(stream_id, head_fields(_PUT)) + encode_message(stream_id, body, 0)[:-5])
    puts = 0
    until = time.monotonic() + seconds
    with Channel(target) as channel:
        while time.monotonic() < until or not puts:
            channel.unary(_PUT.decode(), body, 30)
            puts += 1
    for client in clients:
        client.close()
    return {"unfinished": len(clients), "puts": puts}
