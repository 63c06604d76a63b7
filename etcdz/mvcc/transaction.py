"""Txn: compare, check everything, then change.

etcd's order: all compares, nested ones included, look at the state before the transaction and fix the path through
the branches; then every put on that path is checked, then every range; only then does the first operation run.
Operations see the changes of those before them. All changes share one main revision, `sub` numbers them.
"""

from collections.abc import Iterator
from typing import Any

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.mvcc import ranges, writes
from etcdz.mvcc.state import KvState
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.fields import message_field, revision_header
from etcdz.proto.tags import (
    OP_RESPONSE_DELETE_RANGE,
    OP_RESPONSE_PUT,
    OP_RESPONSE_RANGE,
    OP_RESPONSE_TXN,
    RESPONSE_HEADER,
    TXN_RESPONSES,
    TXN_SUCCEEDED_TRUE,
)

_VERSION, _CREATE, _MOD, _VALUE, _LEASE = range(5)
_EQUAL, _GREATER, _LESS, _NOT_EQUAL = range(4)
_NO_KEY = mvccpb.KeyValue()


_Operation = tuple[str | None, Any]
"""An operation of the path with its kind; a nested transaction stands there as the _Step that it has become."""
_Step = tuple[bool, list[_Operation]]
"""One txn message on the path: whether its compares held, and the operations of that branch."""


def run(state: KvState, request: pb.TxnRequest) -> EtcdError | bytes:
    """The fields of a TxnResponse behind its header. An error means that nothing was changed."""
    flat: list[_Operation] = []
    path = _decide(state, request, flat)
    error = _check(state, flat)
    return error if error is not None else _apply(state, path, _Headers(state.revision))


def answer_to_puts(revision: int, count: int) -> bytes:
    """The same for a transaction of so many plain puts that nothing speaks against. revision: the one before it."""
    return TXN_SUCCEEDED_TRUE + _answer_to_put(revision_header(revision + 1)) * count


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


def _decide(state: KvState, request: pb.TxnRequest, flat: list[_Operation]) -> _Step:
    """The path from here on; flat collects its operations without the nesting, in order."""
    succeeded = True
    for compare in request.compare:
        if not _holds(state, compare):
            succeeded = False
            break
    operations: list[_Operation] = []
    for op in request.success if succeeded else request.failure:
        kind = op.WhichOneof("request")
        if kind == "request_txn":
            operations.append((kind, _decide(state, op.request_txn, flat)))
        else:
            operation = (kind, getattr(op, kind) if kind else None)
            operations.append(operation)
            flat.append(operation)
    return succeeded, operations


def _holds(state: KvState, compare: pb.Compare) -> bool:
    """Over a range it must hold for every key. On a missing key all is zero, but no value compare holds."""
    target = compare.target
    if not compare.range_end and _VERSION <= target <= _MOD:
        latest = state.index.latest(compare.key)  # all that is asked for is in the index
        if latest is None:
            return _compare(compare.result, 0, _operand(compare, target))
        main, _, created, version = latest
        return _compare(compare.result, (version, created, main)[target], _operand(compare, target))
    records = ranges.records_now(state, compare.key, ranges.range_end(compare.range_end))
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
        return compare.mod_revision
    if target == _VERSION:
        return compare.version
    return compare.create_revision if target == _CREATE else 0


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


def _check(state: KvState, flat: list[_Operation]) -> EtcdError | None:
    """Puts first, then ranges, each in order."""
    ranges_asked = False
    for kind, operation in flat:
        if kind == "request_put":
            if (operation.ignore_value or operation.ignore_lease or operation.lease) and (
                error := _check_put(state, operation)
            ):
                return error
        elif kind == "request_range":
            ranges_asked = True
    if ranges_asked:
        for kind, operation in flat:
            if kind == "request_range" and (error := _check_range(state, operation)):
                return error
    return None


def _check_put(state: KvState, request: pb.PutRequest) -> EtcdError | None:
    if (request.ignore_value or request.ignore_lease) and state.index.latest(request.key) is None:
        return errors.KEY_NOT_FOUND
    if request.lease and request.lease not in state.leases.by_id:
        return errors.LEASE_NOT_FOUND
    return None


def _check_range(state: KvState, request: pb.RangeRequest) -> EtcdError | None:
    """NB: a negative revision is "now" for a range of its own, but compacted in a transaction, once there was one."""
    if request.revision == 0:
        return None
    if request.revision > state.revision:
        return errors.FUTURE_REV
    return errors.COMPACTED if request.revision < state.compact_revision else None


# operations


class _Headers:
    """The headers inside one transaction: before its first change, and from then on. A put's whole answer as well."""

    __slots__ = ("after", "before", "put")

    def __init__(self, revision: int) -> None:
        self.before = revision_header(revision)
        self.after = revision_header(revision + 1)
        self.put = _answer_to_put(self.after)


def _answer_to_put(header: bytes) -> bytes:
    """A whole ResponseOp."""
    return message_field(TXN_RESPONSES, message_field(OP_RESPONSE_PUT, header))


def _apply(state: KvState, path: _Step, headers: _Headers) -> bytes:
    """The fields `succeeded` and `responses` of a TxnResponse."""
    succeeded, operations = path
    parts = [TXN_SUCCEEDED_TRUE] if succeeded else []
    for kind, operation in operations:
        if kind == "request_put":
            prev_field = writes.put(state, operation)
            if not prev_field:
                parts.append(headers.put)
                continue
            response = message_field(OP_RESPONSE_PUT, headers.after + prev_field)
        elif kind == "request_txn":
            # Its header is empty, as etcd's is.
            response = message_field(OP_RESPONSE_TXN, RESPONSE_HEADER + b"\0" + _apply(state, operation, headers))
        else:
            response = _read_or_delete(state, kind, operation, headers)
        parts.append(message_field(TXN_RESPONSES, response))
    return b"".join(parts)


def _read_or_delete(state: KvState, kind: str | None, operation: Any, headers: _Headers) -> bytes:
    """A ResponseOp; its header shows the changes so far, a delete's own included."""
    if kind == "request_range":
        fields = ranges.run(state, operation)
        if isinstance(fields, EtcdError):
            raise AssertionError(f"range not checked before the transaction: {fields.name}")
        tag = OP_RESPONSE_RANGE
    elif kind == "request_delete_range":
        fields = writes.delete_range(state, operation)
        tag = OP_RESPONSE_DELETE_RANGE
    else:
        return b""
    changed = state.write_revision != state.revision
    return message_field(tag, (headers.after if changed else headers.before) + fields)
