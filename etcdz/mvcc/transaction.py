"""Txn: compare, check everything, then change.

etcd's order: all compares, nested ones included, look at the state before the transaction and fix the path through
the branches; then every put on that path is checked, then every range; only then does the first operation run.
Operations see the changes of those before them. All changes share one main revision, `sub` numbers them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from etcdz import errors
from etcdz.errors import EtcdError
from etcdz.mvcc import ranges
from etcdz.mvcc.encoding import message_field, revision_header
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb

if TYPE_CHECKING:
    from etcdz.mvcc.mvcc import Mvcc

_VERSION, _CREATE, _MOD, _VALUE, _LEASE = range(5)
_EQUAL, _GREATER, _LESS, _NOT_EQUAL = range(4)
_NO_KEY = mvccpb.KeyValue()


class _Step:
    """One txn message on the path: whether its compares held, and the operations of that branch with their kinds.

    A nested transaction stands among them as the _Step that it has become.
    """

    __slots__ = ("operations", "succeeded")

    def __init__(self, succeeded: bool, operations: list[tuple[str | None, Any]]) -> None:
        self.succeeded = succeeded
        self.operations = operations


def run(mvcc: Mvcc, request: pb.TxnRequest) -> EtcdError | bytes:
    """The fields of a TxnResponse behind its header. An error means that nothing was changed."""
    path = _decide(mvcc, request)
    error = _check(mvcc, path)
    return error if error is not None else _apply(mvcc, path)


def is_read_only(request: pb.TxnRequest) -> bool:
    """Ranges alone, in both branches: such a one needs no raft entry. Nested transactions count as writes."""
    return all(op.WhichOneof("request") == "request_range" for op in _all_operations(request))


def is_serializable(request: pb.TxnRequest) -> bool:
    """Whether a read-only transaction may be answered without asking the quorum: if all its ranges may."""
    return all(op.request_range.serializable for op in _all_operations(request))


def _all_operations(request: pb.TxnRequest) -> Iterator[pb.RequestOp]:
    yield from request.success
    yield from request.failure


# compares


def _decide(mvcc: Mvcc, request: pb.TxnRequest) -> _Step:
    succeeded = all(_holds(mvcc, compare) for compare in request.compare)
    operations: list[tuple[str | None, Any]] = []
    for op in request.success if succeeded else request.failure:
        kind = op.WhichOneof("request")
        operation = getattr(op, kind) if kind else None
        if kind == "request_txn":
            operation = _decide(mvcc, operation)
        operations.append((kind, operation))
    return _Step(succeeded, operations)


def _holds(mvcc: Mvcc, compare: pb.Compare) -> bool:
    """Over a range it must hold for every key. On a missing key all is zero, but no value compare holds."""
    target = compare.target
    if not compare.range_end and target <= _MOD:
        latest = mvcc.index.latest(compare.key)  # all that is asked for is in the index
        if latest is None:
            return _compare(compare.result, 0, _operand(compare, target))
        main, _, created, version = latest
        return _compare(compare.result, (version, created, main)[target], _operand(compare, target))
    records = ranges.records_now(mvcc, compare.key, ranges.range_end(compare.range_end))
    if not records:
        return target != _VALUE and _kv_holds(compare, _NO_KEY)
    return all(_kv_holds(compare, mvccpb.KeyValue.FromString(record)) for record in records)


def _kv_holds(compare: pb.Compare, kv: mvccpb.KeyValue) -> bool:
    target = compare.target
    if target == _VALUE:
        return _compare(compare.result, kv.value, compare.value)
    if target == _LEASE:
        return _compare(compare.result, kv.lease, compare.lease)
    found = {_VERSION: kv.version, _CREATE: kv.create_revision, _MOD: kv.mod_revision}.get(target, 0)
    return _compare(compare.result, found, _operand(compare, target))


def _operand(compare: pb.Compare, target: int) -> int:
    """What to compare with: zero if the client filled in another member of the union than the target says."""
    if target == _MOD:
        return int(compare.mod_revision)
    if target == _VERSION:
        return int(compare.version)
    return int(compare.create_revision) if target == _CREATE else 0


def _compare(result: int, found: Any, operand: Any) -> bool:
    """A result that this version does not know holds, as in etcd."""
    if result == _EQUAL:
        return bool(found == operand)
    if result == _NOT_EQUAL:
        return bool(found != operand)
    if result == _GREATER:
        return bool(found > operand)
    return bool(found < operand) if result == _LESS else True


# checks


def _check(mvcc: Mvcc, path: _Step) -> EtcdError | None:
    """Puts first, then ranges, each in order."""
    flat = list(_flatten(path))
    for kind, operation in flat:
        if kind == "request_put" and (error := _check_put(mvcc, operation)):
            return error
    for kind, operation in flat:
        if kind == "request_range" and (error := _check_range(mvcc, operation)):
            return error
    return None


def _flatten(path: _Step) -> Iterator[tuple[str | None, Any]]:
    for kind, operation in path.operations:
        if kind == "request_txn":
            yield from _flatten(operation)
        else:
            yield kind, operation


def _check_put(mvcc: Mvcc, request: pb.PutRequest) -> EtcdError | None:
    if (request.ignore_value or request.ignore_lease) and mvcc.index.latest(request.key) is None:
        return errors.KEY_NOT_FOUND
    if request.lease and request.lease not in mvcc.leases.by_id:
        return errors.LEASE_NOT_FOUND
    return None


def _check_range(mvcc: Mvcc, request: pb.RangeRequest) -> EtcdError | None:
    """NB: a negative revision is "now" for a range of its own, but compacted in a transaction, once there was one."""
    if request.revision == 0:
        return None
    if request.revision > mvcc.revision:
        return errors.FUTURE_REV
    return errors.COMPACTED if request.revision < mvcc.compact_revision else None


# operations


def _apply(mvcc: Mvcc, path: _Step) -> bytes:
    """The fields `succeeded` and `responses` of a TxnResponse."""
    parts = [b"\x10\x01"] if path.succeeded else []
    for kind, operation in path.operations:
        if kind == "request_put":
            fields = mvcc.put_in_txn(operation)
            response = message_field(b"\x12", revision_header(mvcc.write_revision) + fields)
        elif kind == "request_range":
            found = ranges.run(mvcc, operation)
            assert isinstance(found, bytes), "ranges are checked before the first operation"
            response = message_field(b"\x0a", revision_header(mvcc.write_revision) + found)
        elif kind == "request_delete_range":
            fields = mvcc.delete_in_txn(operation)
            response = message_field(b"\x1a", revision_header(mvcc.write_revision) + fields)
        elif kind == "request_txn":
            response = message_field(b"\x22", b"\x0a\x00" + _apply(mvcc, operation))  # its header is empty in etcd
        else:
            response = b""
        parts.append(message_field(b"\x1a", response))
    return b"".join(parts)
