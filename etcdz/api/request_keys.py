"""Which keys a request touches: for looking at a member, not for serving."""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from etcdz.api.methods import DELETE_RANGE, PUT, RANGE, TXN
from etcdz.proto import etcdserverpb as pb

Touched = tuple[str, bytes, bytes]
"""(what is done, key, range end or empty)."""

TXN_DEPTH_MAX: Final = 8
"""Of transactions in transactions; deeper ones are not looked into."""


def touched_by_entry(data: bytes) -> list[Touched]:
    """What the data of a raft entry touches; nothing if it is none of v3's requests about keys."""
    try:
        request = pb.InternalRaftRequest.FromString(data)
    except DecodeError:
        return []
    found: list[Touched] = []
    for field in ("range", "put", "delete_range", "txn"):
        if request.HasField(field):
            found += _TOUCHED[field](getattr(request, field), 0)
    return found


def touched_by_call(method: int, body: bytes) -> list[Touched]:
    """What a request's body touches; nothing if it is no request about keys. method: of etcdz.api.methods"""
    kind = _REQUESTS.get(method)
    if kind is None:
        return []
    field, message = kind
    try:
        return _TOUCHED[field](message.FromString(body), 0)
    except DecodeError:
        return []


def matches(touched: Touched, prefix: bytes) -> bool:
    """Whether any key that begins with prefix is among what is touched."""
    _, key, range_end = touched
    if key.startswith(prefix):
        return True
    return key < prefix and (range_end == b"\0" or range_end > prefix)


def _one(verb: str) -> Callable[[Any, int], list[Touched]]:
    return lambda request, depth: [(verb, request.key, getattr(request, "range_end", b""))]


def _txn(request: pb.TxnRequest, depth: int) -> list[Touched]:
    found = [("compare", compare.key, compare.range_end) for compare in request.compare]
    for op in (*request.success, *request.failure) if depth < TXN_DEPTH_MAX else ():
        which = op.WhichOneof("request")
        if which:
            field = which.removeprefix("request_")
            found += _TOUCHED[field](getattr(op, which), depth + 1)
    return found


_TOUCHED: Final[dict[str, Callable[[Any, int], list[Touched]]]] = {
    "range": _one("range"),
    "put": _one("put"),
    "delete_range": _one("delete"),
    "txn": _txn,
}
_REQUESTS: Final[dict[int, tuple[str, Any]]] = {
    PUT: ("put", pb.PutRequest),
    RANGE: ("range", pb.RangeRequest),
    DELETE_RANGE: ("delete_range", pb.DeleteRangeRequest),
    TXN: ("txn", pb.TxnRequest),
}
