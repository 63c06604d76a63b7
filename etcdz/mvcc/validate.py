"""What is checked of a KV request before it goes to Raft, in etcd's order. Each check returns the error or None.

Source: etcd 3.5 v3rpc key.go; the sort options' check is of 3.6 (3.5 panics on an unknown sort target).
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.proto import etcdserverpb as pb

_SORT_ORDERS = range(3)
_SORT_TARGETS = range(5)


def check_range(request: pb.RangeRequest) -> EtcdError | None:
    if not request.key:
        return errors.EMPTY_KEY
    if request.sort_order not in _SORT_ORDERS or request.sort_target not in _SORT_TARGETS:
        return errors.INVALID_SORT_OPTION
    return None


def check_put(request: pb.PutRequest) -> EtcdError | None:
    if not request.key:
        return errors.EMPTY_KEY
    if request.ignore_value and request.value:
        return errors.VALUE_PROVIDED
    if request.ignore_lease and request.lease:
        return errors.LEASE_PROVIDED
    return None


def parse_empty(request: Any, body: bytes) -> None:
    """A request of a class without fields. raises DecodeError

    NB: in such a message upb takes the illegal tag 0 for its end.
    """
    if body:
        request.FromString(body)
        if body[0] == 0:
            raise DecodeError("illegal tag 0")


def check_delete(request: pb.DeleteRangeRequest) -> EtcdError | None:
    return None if request.key else errors.EMPTY_KEY


def check_txn(request: pb.TxnRequest, max_txn_ops: int) -> EtcdError | None:
    """Every operation first, then the overlaps of each branch."""
    flat = _check_flat(request, max_txn_ops)
    return check_any_txn(request, max_txn_ops) if flat is _NOT_FLAT else flat


def check_puts(keys: list[bytes], max_txn_ops: int) -> EtcdError | None:
    """The same for a transaction of plain puts to these keys alone."""
    if len(keys) > max_txn_ops:
        return errors.TOO_MANY_OPS
    return None if len(set(keys)) == len(keys) else errors.DUPLICATE_KEY


def check_any_txn(request: pb.TxnRequest, max_txn_ops: int) -> EtcdError | None:
    """The rule itself; check_txn is a faster way to the same."""
    error = _check_operations(request, max_txn_ops)
    if error is None and (_changes(request.success) is None or _changes(request.failure) is None):
        return errors.DUPLICATE_KEY
    return error


_NOT_FLAT = EtcdError("NotFlat", 0, "")


def _check_flat(request: pb.TxnRequest, max_txn_ops: int) -> EtcdError | None:
    """One pass over a transaction of puts and ranges alone, as nearly all are; _NOT_FLAT for any other."""
    success, failure = request.success, request.failure
    if len(success) > max_txn_ops or len(failure) > max_txn_ops or len(request.compare) > max_txn_ops:
        return errors.TOO_MANY_OPS
    for compare in request.compare:
        if not compare.key:
            return errors.EMPTY_KEY
    found = None
    twice = False
    for operations in (success, failure):
        keys = set()
        for op in operations:
            if op.HasField("request_put"):
                put = op.request_put
                key = put.key
                if not key or put.ignore_value or put.ignore_lease:
                    found = found or check_put(put)
                twice = twice or key in keys
                keys.add(key)
            elif op.HasField("request_range"):
                found = found or check_range(op.request_range)
            else:
                return _NOT_FLAT
    return found or (errors.DUPLICATE_KEY if twice else None)


def _check_operations(request: pb.TxnRequest, max_ops: int) -> EtcdError | None:
    """The longest of the three lists counts; a nested transaction may use what the outer ones have left."""
    count = max(len(request.compare), len(request.success), len(request.failure))
    if count > max_ops:
        return errors.TOO_MANY_OPS
    for compare in request.compare:
        if not compare.key:
            return errors.EMPTY_KEY
    for operations in (request.success, request.failure):
        for op in operations:
            error = _check_operation(op, max_ops - count)
            if error is not None:
                return error
    return None


def _check_operation(op: pb.RequestOp, max_ops: int) -> EtcdError | None:
    kind = op.WhichOneof("request")
    if kind == "request_range":
        return check_range(op.request_range)
    if kind == "request_put":
        return check_put(op.request_put)
    if kind == "request_delete_range":
        return check_delete(op.request_delete_range)
    if kind == "request_txn":
        return _check_operations(op.request_txn, max_ops)
    return errors.KEY_NOT_FOUND  # what etcd answers to an operation that is none


_Interval = tuple[bytes, bytes]


def _deleted(intervals: list[_Interval], key: bytes) -> bool:
    """An empty end is no bound. NB: here, unlike when it deletes, etcd does not read a zero byte as "no bound"."""
    return any(lo <= key and (not hi or key < hi) for lo, hi in intervals)


def _changes(operations: Iterable[pb.RequestOp]) -> tuple[set[bytes], list[_Interval]] | None:
    """Keys put and intervals deleted by one branch, nested ones included; None if a key is written twice.

    Then and else of one nested transaction may both put a key, since only one of them runs. A put of an *earlier*
    nested transaction and a delete of a later one are not compared: as in etcd.
    """
    operations = list(operations)
    kinds = [op.WhichOneof("request") for op in operations]
    deletes = [
        (op.request_delete_range.key, op.request_delete_range.range_end or op.request_delete_range.key + b"\0")
        for op, kind in zip(operations, kinds, strict=True)
        if kind == "request_delete_range"
    ]
    puts: set[bytes] = set()
    for op, kind in zip(operations, kinds, strict=True):
        if kind == "request_txn" and not _add_nested(op.request_txn, puts, deletes):
            return None
    for op, kind in zip(operations, kinds, strict=True):
        if kind == "request_put":
            key = op.request_put.key
            if key in puts or _deleted(deletes, key):
                return None
            puts.add(key)
    return puts, deletes


def _add_nested(request: pb.TxnRequest, puts: set[bytes], deletes: list[_Interval]) -> bool:
    """Adds what a nested transaction may change; False if that overlaps."""
    success, failure = _changes(request.success), _changes(request.failure)
    if success is None or failure is None:
        return False
    for key in success[0]:
        if key in puts or _deleted(deletes, key):
            return False
    for key in failure[0]:
        if (key in puts and key not in success[0]) or _deleted(deletes, key):
            return False
    puts |= success[0] | failure[0]
    deletes += success[1] + failure[1]
    return True
