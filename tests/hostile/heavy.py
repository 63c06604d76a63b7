"""Few requests that ask for much work: large answers, sorted ranges, and transactions of them. Each returns counts."""

import time
from random import Random
from typing import Final

from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.proto import etcdserverpb as pb
from etcdz.wire import frames as f
from tests.hostile.raw_client import RawClient
from tests.hostile.stalls import load, load_large

_RANGE: Final = b"/etcdserverpb.KV/Range"
_VALUE, _DESCEND = 4, 2
KEYS_SHORT, KEYS_LONG = 10_000, 300_000
_CALL_S: Final = 400.0


def _keys_for(scale: float) -> int:
    return KEYS_LONG if scale > 1 else KEYS_SHORT


def _load_many(target: str, scale: float) -> int:
    """The keys that sorted ranges go over, unless an attack before has left them; how many."""
    count = _keys_for(scale)
    with Channel(target) as channel:
        asked = pb.RangeRequest(key=b"heavy/", range_end=b"heavy0", count_only=True).SerializeToString()
        found = pb.RangeResponse.FromString(channel.unary("/etcdserverpb.KV/Range", asked, 60)).count
    if found != count:
        load(target, b"heavy/", count, 100)
    return count


def _await_answers(client: RawClient, streams: set[int]) -> dict[str, int]:
    """Reads until each of the streams has ended. return ended, reset"""
    ended = reset = 0
    for kind, flags, stream_id, _ in client.frames(_CALL_S):
        over = kind == f.RST_STREAM or (kind in (f.HEADERS, f.DATA) and flags & f.END_STREAM)
        if over and stream_id in streams:
            streams.discard(stream_id)
            ended += 1
            reset += kind == f.RST_STREAM
        if not streams:
            break
    return {"ended": ended, "reset": reset, "unanswered": len(streams)}


def stall_large_ranges(target: str, rng: Random, scale: float) -> dict[str, int]:
    """Ranges of 20 MB (in the short form of 8 MB), many at once, to a shut window; then the client goes away."""
    load_large(target, b"large/", 20 if scale > 1 else 8, 1_000_000)
    request = pb.RangeRequest(key=b"large/", range_end=b"large0").SerializeToString()
    count = 100 if scale > 1 else 30
    with RawClient(target, window=0) as client:
        for _ in range(count):
            client.call(_RANGE, request)
        for _ in client.frames(10 if scale > 1 else 1):
            pass
    return {"ranges": count}


def sort_ranges(target: str, rng: Random, scale: float) -> dict[str, int]:
    """Small requests with small answers, each of which sorts all keys by value."""
    _load_many(target, scale)
    request = pb.RangeRequest(
        key=b"heavy/", range_end=b"heavy0", sort_order=_DESCEND, sort_target=_VALUE, limit=1
    ).SerializeToString()
    with RawClient(target, grant=1 << 24) as client:
        return _await_answers(client, {client.call(_RANGE, request) for _ in range(40 if scale > 1 else 15)})


def range_over_all(target: str, rng: Random, scale: float) -> dict[str, int]:
    """One client that lists all keys, again and again, as badly written ones do."""
    count = _load_many(target, scale)
    request = pb.RangeRequest(key=b"heavy/", range_end=b"heavy0").SerializeToString()
    lists = 0
    until = time.monotonic() + (10 if scale > 1 else 1)
    with Channel(target) as channel:
        while time.monotonic() < until:
            answer = channel.unary(_RANGE.decode(), request, _CALL_S)
            assert pb.RangeResponse.FromString(answer).count == count
            lists += 1
    return {"lists": lists}


def sort_in_a_txn(target: str, rng: Random, scale: float) -> dict[str, int]:
    """One small write transaction: a put and up to 127 ranges that sort all keys. It is in the log for good."""
    _load_many(target, scale)
    sort = pb.RangeRequest(key=b"heavy/", range_end=b"heavy0", sort_order=_DESCEND, sort_target=_VALUE, limit=1)
    ops = [pb.RequestOp(request_put=pb.PutRequest(key=b"poison", value=b"1"))]
    ops += [pb.RequestOp(request_range=sort)] * (127 if scale > 1 else 5)
    return _transact(target, pb.TxnRequest(success=ops).SerializeToString())


def _transact(target: str, body: bytes) -> dict[str, int]:
    with Channel(target) as channel:
        code = 0
        try:
            channel.unary("/etcdserverpb.KV/Txn", body, _CALL_S)
        except RpcError as error:
            code = int(error.code)
        # Whether applied in time or not, the member has to get over it.
        channel.unary("/etcdserverpb.KV/Put", pb.PutRequest(key=b"after", value=b"1").SerializeToString(), _CALL_S)
    return {f"code{code}": 1, "put_after": 1}


def answer_writes_with_much(target: str, rng: Random, scale: float) -> dict[str, int]:
    """Small writes whose answers are large: what they are answered must not stay in the store."""
    load_large(target, b"much/", 10 if scale > 1 else 5, 700_000)
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=b"little", value=b"1")),
        pb.RequestOp(request_range=pb.RangeRequest(key=b"much/", range_end=b"much0")),
    ]
    body = pb.TxnRequest(success=ops).SerializeToString()
    count = 150 if scale > 1 else 20
    with Channel(target) as channel:
        for _ in range(count):
            channel.unary("/etcdserverpb.KV/Txn", body, 60)
        status = pb.StatusResponse.FromString(channel.unary("/etcdserverpb.Maintenance/Status", b"", 60))
    return {"writes": count, "db_mib": status.dbSize >> 20, "errors": len(status.errors)}
