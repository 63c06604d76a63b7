"""Requests as text for log lines, as etcd writes them: values are left out, only their sizes are told.

    put:<key:"a" value_size:5 >      range_end:"k" limit:3 keys_only:true      compare:<...> success:<...> failure:<...>

Of passwords, their hashes and tokens not even the size is told.

Source: the compact text form of gogo protobuf, and etcd's redacting stringers.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from etcdz.api.methods import DELETE_RANGE, PUT, RANGE, TXN
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import encode_text

_U64: Final = (1 << 64) - 1
_SECRETS: Final = frozenset(["password", "hashedPassword", "simple_token", "token"])
"""Names of fields, whatever the message."""
_ESCAPES: Final = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\"}


def message_text(message: Any) -> str:
    """Every field that is set, in the order of their numbers; each is followed by a space."""
    return "".join([_field_text(field, value) for field, value in message.ListFields()])


def _field_text(field: Any, value: Any) -> str:
    if field.name in _SECRETS:
        return f"{field.name}:<redacted> "
    values: Iterable[Any] = value if hasattr(value, "extend") else (value,)  # repeated, whatever the library's version
    return "".join([f"{field.name}:{_value_text(field, one)} " for one in values])


def _value_text(field: Any, value: Any) -> str:
    if field.message_type is not None:
        return f"<{message_text(value)}>"
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | str):
        return _quoted(value if isinstance(value, bytes) else encode_text(value))
    return str(value)


def _quoted(data: bytes) -> str:
    return '"' + "".join([_ESCAPES.get(c) or (chr(c) if 0x20 <= c < 0x7F else f"\\{c:03o}") for c in data]) + '"'


def _with_size(message: Any, value_field: str, order: tuple[str, ...]) -> str:
    """Fields in this order, the value's size at "value_size"."""
    parts = []
    fields = {field.name: (field, value) for field, value in message.ListFields()}
    for name in order:
        if name == "value_size":
            size = len(getattr(message, value_field))
            parts.append(f"value_size:{size} " if size else "")
        elif name in fields:
            parts.append(_field_text(*fields[name]))
    return "".join(parts)


def put_text(put: pb.PutRequest) -> str:
    """A put, the size of its value in place of the value."""
    return _with_size(put, "value", ("key", "value_size", "lease", "prev_kv", "ignore_value", "ignore_lease"))


def _compare_text(compare: pb.Compare) -> str:
    if compare.WhichOneof("target_union") != "value":
        return message_text(compare)
    return _with_size(compare, "value", ("result", "target", "key", "value_size", "range_end"))


def _operation_text(op: pb.RequestOp) -> str:
    kind = op.WhichOneof("request")
    if kind == "request_put":
        return f"request_put:<{put_text(op.request_put)}>"
    if kind == "request_txn":
        return f"request_txn:<{txn_text(op.request_txn)}>"
    return message_text(op)


def txn_text(txn: pb.TxnRequest) -> str:
    """A transaction, the sizes of values in place of the values."""
    compare = " ".join(map(_compare_text, txn.compare))
    success = " ".join(map(_operation_text, txn.success))
    failure = " ".join(map(_operation_text, txn.failure))
    return f"compare:<{compare}> success:<{success}> failure:<{failure}>"


def raft_request_text(request: pb.InternalRaftRequest) -> str:
    """The request in an entry of the log; empty for one that is empty."""
    header = f"header:<{message_text(request.header)}>"
    if request.HasField("put"):
        return f"{header} put:<{put_text(request.put)}>"
    if request.HasField("txn"):
        return f"{header} txn:<{txn_text(request.txn)}>"
    if request.HasField("lease_grant"):
        grant = request.lease_grant
        return f"{header} lease_grant:<ttl:{grant.TTL}-second id:{grant.ID & _U64:016x}>"
    if request.HasField("lease_revoke"):
        return f"{header} lease_revoke:<id:{request.lease_revoke.ID & _U64:016x}>"
    fields = request.ListFields()  # the header is the first in print, though its number is high
    return "".join([_field_text(*field) for field in sorted(fields, key=lambda field: field[0].name != "header")])


class CallStats(NamedTuple):
    """Of one unary call, in etcd's count: -1 for what is not counted, sizes in bytes."""

    request_count: int = -1
    request_size: int = -1
    response_count: int = -1
    response_size: int = -1
    content: str = ""


def call_stats(method: int, request: bytes, response: bytes) -> CallStats:
    """request, response: encoded messages; no response for a call that failed."""
    count = _COUNTED.get(method)
    return CallStats() if count is None else count(request, response)


def _range_stats(body: bytes, answer: bytes) -> CallStats:
    text = message_text(pb.RangeRequest.FromString(body))
    return CallStats(0, len(body), pb.RangeResponse.FromString(answer).count, len(answer), text)


def _put_stats(body: bytes, answer: bytes) -> CallStats:
    return CallStats(1, len(body), 0, len(answer), put_text(pb.PutRequest.FromString(body)))


def _delete_stats(body: bytes, answer: bytes) -> CallStats:
    text = message_text(pb.DeleteRangeRequest.FromString(body))
    return CallStats(0, len(body), pb.DeleteRangeResponse.FromString(answer).deleted, len(answer), text)


def _txn_stats(body: bytes, answer: bytes) -> CallStats:
    if not answer:
        return CallStats(0, 0, 0, 0)
    txn = pb.TxnRequest.FromString(body)
    taken = txn.success if pb.TxnResponse.FromString(answer).succeeded else txn.failure
    return CallStats(len(taken), sum([op.ByteSize() for op in taken]), 0, len(answer), txn_text(txn))


_COUNTED: Final[dict[int, Callable[[bytes, bytes], CallStats]]] = {
    RANGE: _range_stats,
    PUT: _put_stats,
    DELETE_RANGE: _delete_stats,
    TXN: _txn_stats,
}
