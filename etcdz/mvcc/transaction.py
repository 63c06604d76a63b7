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
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.state import KvState
from etcdz.mvcc.steps import STEP_BYTES, Steps
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
_PLACES = (3, 2, 0)
"""Of a key's version, create and mod revision in what KeyIndex.details_at gives."""
_NO_KEY = mvccpb.KeyValue()
_EMPTY_HEADER = RESPONSE_HEADER + b"\0"
"""Of a nested transaction's answer, as etcd's is."""


_Operation = tuple[str | None, Any]
"""An operation of the path with its kind; a nested transaction stands there as the _Step that it has become."""
_Step = tuple[bool, list[_Operation]]
"""One txn message on the path: whether its compares held, and the operations of that branch."""


def steps(state: KvState, request: pb.TxnRequest, revision: int, answer: Answer) -> Steps[EtcdError | None]:
    """Adds the fields of a TxnResponse behind its header. An error means that nothing was changed.

    revision    the latest before it. Requires: it is run to its end at once, unless it only reads; then it shows the
                state at this revision, whatever has changed since
    """
    flat: list[_Operation] = []
    looks = _Looks()
    path = yield from _decide(state, request, flat, revision, looks)
    error = _check(state, flat, revision)
    if error is None:
        yield from _apply(state, path, _Headers(revision), answer)
    _count(state, request, flat, looks, error)
    return error


class _Looks:
    """How many compares were evaluated."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


def _count(
    state: KvState, request: pb.TxnRequest, flat: list[_Operation], looks: _Looks, error: EtcdError | None
) -> None:
    """Counts what was done, once it is done: a read may be begun twice. See operation_tally.py for the rules."""
    ranges = puts = deletes = checks = 0
    for kind, operation in flat:
        if kind == "request_put":
            checks += operation.ignore_value or operation.ignore_lease
            ranges += operation.prev_kv or operation.ignore_value or operation.ignore_lease
            puts += 1
        elif kind == "request_range":
            ranges += 1
        elif kind == "request_delete_range":
            ranges += operation.prev_kv
            deletes += 1
    if error is not None:
        state.tally.count(ranges=looks.count + _checked(state, flat))
    elif is_read_only(request):
        state.tally.count(ranges=looks.count + ranges)
    else:
        state.tally.count(ranges=looks.count + checks)
        state.tally.count(ranges, puts, deletes)


def _checked(state: KvState, flat: list[_Operation]) -> int:
    """How many puts looked for their key until one was refused."""
    looked = 0
    for kind, operation in flat:
        if kind == "request_put":
            looked += operation.ignore_value or operation.ignore_lease
            if _check_put(state, operation) is not None:
                break
    return looked


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


def _decide(
    state: KvState, request: pb.TxnRequest, flat: list[_Operation], revision: int, looks: _Looks
) -> Steps[_Step]:
    """The path from here on; flat collects its operations without the nesting, in order."""
    succeeded = True
    for compare in request.compare:
        looks.count += 1
        if compare.range_end:
            succeeded = yield from _holds_for_all(state, compare, revision)
        else:
            succeeded = _holds(state, compare, revision)
        if not succeeded:
            break
    operations: list[_Operation] = []
    for op in request.success if succeeded else request.failure:
        kind = op.WhichOneof("request")
        if kind == "request_txn":
            step = yield from _decide(state, op.request_txn, flat, revision, looks)
            operations.append((kind, step))
        else:
            operation = (kind, getattr(op, kind) if kind else None)
            operations.append(operation)
            flat.append(operation)
    return succeeded, operations


def _holds(state: KvState, compare: pb.Compare, revision: int) -> bool:
    """On a missing key all is zero, but no value compare holds."""
    target = compare.target
    if _VERSION <= target <= _MOD:
        found = state.index.details_at(compare.key, revision)
        if found is None:
            return _compare(compare.result, 0, _operand(compare, target))
        main, _, created, version = found
        if version:  # all that is asked for is in the index
            return _compare(compare.result, (version, created, main)[target], _operand(compare, target))
    record = state.record_as_of(compare.key, revision)
    if record is None:
        return target != _VALUE and _kv_holds(compare, _NO_KEY)
    return _kv_holds(compare, mvccpb.KeyValue.FromString(record))


def _holds_for_all(state: KvState, compare: pb.Compare, revision: int) -> Steps[bool]:
    """Over a range it must hold for every key; none at all is as one that is missing."""
    if _VERSION <= compare.target <= _MOD:
        return (yield from _numbers_hold(state, compare, revision))
    is_empty = True
    for records in ranges.read_all(state, compare.key, ranges.range_end(compare.range_end), revision):
        if not all(_kv_holds(compare, mvccpb.KeyValue.FromString(record)) for record in records):
            return False
        is_empty = is_empty and not records
        yield
    return not is_empty or (compare.target != _VALUE and _kv_holds(compare, _NO_KEY))


def _numbers_hold(state: KvState, compare: pb.Compare, revision: int) -> Steps[bool]:
    """The same for what is in the index: no record is read."""
    result, operand = compare.result, _operand(compare, compare.target)
    place, version_place = _PLACES[compare.target], _PLACES[_VERSION]
    details_at = state.index.details_at
    is_empty = True
    for keys in ranges.walk(state, compare.key, ranges.range_end(compare.range_end)):
        for key in keys:
            details = details_at(key, revision)
            if details is None:
                continue
            is_empty = False
            if not details[version_place]:  # not known there
                if not _holds(state, _of_one_key(compare, key), revision):
                    return False
            elif not _compare(result, details[place], operand):
                return False
        yield
    return not is_empty or _compare(result, 0, operand)


def _of_one_key(compare: pb.Compare, key: bytes) -> pb.Compare:
    alone = pb.Compare()
    alone.CopyFrom(compare)
    alone.key, alone.range_end = key, b""
    return alone


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


def _check(state: KvState, flat: list[_Operation], revision: int) -> EtcdError | None:
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
            if kind == "request_range" and (error := _check_range(state, operation, revision)):
                return error
    return None


def _check_put(state: KvState, request: pb.PutRequest) -> EtcdError | None:
    if (request.ignore_value or request.ignore_lease) and state.index.latest(request.key) is None:
        return errors.KEY_NOT_FOUND
    if request.lease and request.lease not in state.leases.by_id:
        return errors.LEASE_NOT_FOUND
    return None


def _check_range(state: KvState, request: pb.RangeRequest, revision: int) -> EtcdError | None:
    """NB: a negative revision is "now" for a range of its own, but compacted in a transaction, once there was one."""
    if request.revision == 0:
        return None
    if request.revision > revision:
        return errors.FUTURE_REV
    return errors.COMPACTED if request.revision < state.compact_revision else None


# operations


class _Headers:
    """The headers inside one transaction: before its first change, and from then on. A put's whole answer as well.

    revision    before the transaction
    """

    __slots__ = ("after", "before", "put", "revision")

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.before = revision_header(revision)
        self.after = revision_header(revision + 1)
        self.put = _answer_to_put(self.after)


def _answer_to_put(header: bytes) -> bytes:
    """A whole ResponseOp."""
    return message_field(TXN_RESPONSES, message_field(OP_RESPONSE_PUT, header))


def _apply(state: KvState, path: _Step, headers: _Headers, answer: Answer) -> Steps[None]:
    """The fields `succeeded` and `responses` of a TxnResponse."""
    succeeded, operations = path
    if succeeded:
        answer.add(TXN_SUCCEEDED_TRUE)
    for kind, operation in operations:
        if kind == "request_put":
            prev_field = writes.put(state, operation)
            if prev_field:
                response = message_field(OP_RESPONSE_PUT, headers.after + prev_field)
                answer.add(message_field(TXN_RESPONSES, response))
            else:
                answer.add(headers.put)
            continue
        place = answer.open()
        if kind == "request_range" and not operation.range_end:
            revision = _begin_range(state, operation, headers, answer)
            if not ranges.add_single(state, operation, revision, answer):
                yield from ranges.steps(state, operation, revision, answer)
            answer.close(place, OP_RESPONSE_RANGE, TXN_RESPONSES)
            if answer.size - place[1] > STEP_BYTES:
                yield
            continue
        tag = yield from _answer_operation(state, kind, operation, headers, answer)
        if tag:
            answer.close(place, tag, TXN_RESPONSES)
        else:
            answer.close(place, TXN_RESPONSES)
        yield


def _begin_range(state: KvState, request: pb.RangeRequest, headers: _Headers, answer: Answer) -> int:
    """Adds its header. return the revision that it shows"""
    answer.add(headers.after if state.changes else headers.before)
    asked: int = request.revision
    return asked if asked > 0 else headers.revision + 1 if state.changes else headers.revision


def _answer_operation(
    state: KvState, kind: str | None, operation: Any, headers: _Headers, answer: Answer
) -> Steps[bytes]:
    """What is inside a ResponseOp; its header shows the changes so far, a delete's own included. return its tag"""
    if kind == "request_txn":
        answer.add(_EMPTY_HEADER)
        yield from _apply(state, operation, headers, answer)
        return OP_RESPONSE_TXN
    if kind == "request_range":
        revision = _begin_range(state, operation, headers, answer)
        yield from ranges.steps(state, operation, revision, answer)
        return OP_RESPONSE_RANGE
    if kind == "request_delete_range":
        has_changes = state.changes or ranges.count_now(state, operation.key, ranges.range_end(operation.range_end))
        answer.add(headers.after if has_changes else headers.before)
        yield from writes.delete_range(state, operation, answer)
        return OP_RESPONSE_DELETE_RANGE
    return b""
