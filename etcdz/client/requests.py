"""Requests about keys: what is asked, as bytes, and what its answer means. Nothing is sent here.

    await put("k", "v", lease=7)            in an operation of the client's own
    db.put("k", "v", lease=7)               a shell's method of the same signature

Wherever a key or a value is taken, text is too: as UTF-8.
"""

from typing import Final, Protocol

from etcdz.client import methods
from etcdz.client.keys import Key, as_bytes, span
from etcdz.client.pending import Request
from etcdz.client.results import (
    DeleteResult,
    KeyValue,
    PutResult,
    RangeResult,
    delete_result,
    put_result,
    range_result,
)
from etcdz.proto import etcdserverpb as pb

_ORDERS: Final = {"": 0, "ascend": 1, "descend": 2}
_TARGETS: Final = {"key": 0, "version": 1, "create": 2, "mod": 3, "value": 4}


class HasId(Protocol):
    """A lease of a shell."""

    @property
    def id(self) -> int: ...


LeaseId = int | HasId


def lease_id(lease: LeaseId) -> int:
    return lease if isinstance(lease, int) else lease.id


# ---- bodies, alone and inside transactions ----


def put_body(
    key: Key, value: Key, lease: LeaseId, prev: bool, ignore_value: bool, ignore_lease: bool
) -> "pb.PutRequest":
    request = pb.PutRequest(key=as_bytes(key), value=as_bytes(value))
    if lease:
        request.lease = lease_id(lease)
    if prev:
        request.prev_kv = True
    if ignore_value:
        request.ignore_value = True
    if ignore_lease:
        request.ignore_lease = True
    return request


def range_body(
    key: bytes,
    range_end: bytes,
    *,
    limit: int = 0,
    at: int = 0,
    sort: str = "key",
    order: str = "",
    keys_only: bool = False,
    count_only: bool = False,
    serializable: bool = False,
    min_mod_revision: int = 0,
    max_mod_revision: int = 0,
    min_create_revision: int = 0,
    max_create_revision: int = 0,
) -> "pb.RangeRequest":
    """raises ValueError: sort or order is no such word"""
    if sort not in _TARGETS or order not in _ORDERS:
        raise ValueError(f"sort is one of {', '.join(_TARGETS)}; order is ascend or descend")
    return pb.RangeRequest(
        key=key,
        range_end=range_end,
        limit=limit,
        revision=at,
        sort_order=_ORDERS[order] or (1 if sort != "key" else 0),
        sort_target=_TARGETS[sort],
        keys_only=keys_only,
        count_only=count_only,
        serializable=serializable,
        min_mod_revision=min_mod_revision,
        max_mod_revision=max_mod_revision,
        min_create_revision=min_create_revision,
        max_create_revision=max_create_revision,
    )


# ---- answers ----


def _put_result(message: bytes) -> PutResult:
    return put_result(pb.PutResponse.FromString(message))


def _one(message: bytes) -> KeyValue | None:
    for kv in pb.RangeResponse.FromString(message).kvs:
        return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)
    return None


def _count(message: bytes) -> int:
    return pb.RangeResponse.FromString(message).count


def _range_result(message: bytes) -> RangeResult:
    return range_result(pb.RangeResponse.FromString(message))


def _delete_result(message: bytes) -> DeleteResult:
    return delete_result(pb.DeleteRangeResponse.FromString(message))


def _revision(message: bytes) -> int:
    return pb.CompactionResponse.FromString(message).header.revision


# ---- requests ----


def put(
    key: Key,
    value: Key = b"",
    *,
    lease: LeaseId = 0,
    prev: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
    timeout: float | None = None,
) -> Request[PutResult]:
    """Puts a value. prev: the answer has what was there. ignore_*: of what is there, that is kept."""
    body = put_body(key, value, lease, prev, ignore_value, ignore_lease)
    return Request(methods.PUT, body.SerializeToString(), _put_result, timeout)


def get(key: Key, *, at: int = 0, serializable: bool = False, timeout: float | None = None) -> Request[KeyValue | None]:
    """One key, or None. at: a revision in the past. serializable: what the member itself has, without asking others"""
    body = pb.RangeRequest(key=as_bytes(key))
    if at:
        body.revision = at
    if serializable:
        body.serializable = True
    return Request(methods.RANGE, body.SerializeToString(), _one, timeout)


def page(
    key: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    limit: int = 0,
    at: int = 0,
    sort: str = "key",
    order: str = "",
    keys_only: bool = False,
    serializable: bool = False,
    min_mod_revision: int = 0,
    max_mod_revision: int = 0,
    min_create_revision: int = 0,
    max_create_revision: int = 0,
    timeout: float | None = None,
) -> Request[RangeResult]:
    """One answer for a range: all of it, or the first `limit` keys. sort: key, version, create, mod or value."""
    body = range_body(
        *span(key, end, prefix),
        limit=limit,
        at=at,
        sort=sort,
        order=order,
        keys_only=keys_only,
        serializable=serializable,
        min_mod_revision=min_mod_revision,
        max_mod_revision=max_mod_revision,
        min_create_revision=min_create_revision,
        max_create_revision=max_create_revision,
    )
    return Request(methods.RANGE, body.SerializeToString(), _range_result, timeout)


def count(
    key: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    at: int = 0,
    serializable: bool = False,
    timeout: float | None = None,
) -> Request[int]:
    """How many keys there are in a range."""
    body = range_body(*span(key, end, prefix), at=at, count_only=True, serializable=serializable)
    return Request(methods.RANGE, body.SerializeToString(), _count, timeout)


def delete(
    key: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    prev: bool = False,
    timeout: float | None = None,
) -> Request[DeleteResult]:
    """Deletes a key or a range. prev: the answer has what was deleted."""
    start, range_end = span(key, end, prefix)
    body = pb.DeleteRangeRequest(key=start, range_end=range_end, prev_kv=prev)
    return Request(methods.DELETE_RANGE, body.SerializeToString(), _delete_result, timeout)


def compact(revision: int, *, physical: bool = False, timeout: float | None = None) -> Request[int]:
    """Forgets what was overwritten before revision. physical: waits until it is gone. return the store's revision"""
    body = pb.CompactionRequest(revision=revision, physical=physical)
    return Request(methods.COMPACT, body.SerializeToString(), _revision, timeout)
