"""Transactions, built: compares, and what is done if all of them hold, or else.

    db.txn(key("a").version == 0, key("b").value == b"1").then(put("a", "1")).otherwise(get("b")).commit()

A transaction may be an operation of another: `txn(...).then(...)` without `commit`. One that writes nothing is sent
again as a read is.
"""

from typing import Any, Self

from etcdz.client import methods
from etcdz.client.keys import Key, as_bytes, span
from etcdz.client.pending import Request
from etcdz.client.requests import LeaseId, lease_id, put_body, range_body
from etcdz.client.results import TxnResult, txn_result
from etcdz.proto import etcdserverpb as pb

_EQUAL, _GREATER, _LESS, _NOT_EQUAL = range(4)


class Compare:
    """One condition."""

    __slots__ = ("body",)

    def __init__(self, body: "pb.Compare") -> None:
        self.body = body


class _Side:
    """Something of a key that is compared: == != < > with a number, or with a value."""

    __slots__ = ("_field", "_key", "_range_end", "_target")

    def __init__(self, key: bytes, range_end: bytes, target: int, field: str) -> None:
        self._key = key
        self._range_end = range_end
        self._target = target
        self._field = field

    def _compare(self, result: int, given: Any) -> Compare:
        value: Any = given
        if self._field == "value":
            value = as_bytes(given)
        elif self._field == "lease":
            value = lease_id(given)
        body = pb.Compare(result=result, target=self._target, key=self._key, range_end=self._range_end)
        setattr(body, self._field, value)
        return Compare(body)

    def __eq__(self, given: object) -> Compare:  # type: ignore[override]
        return self._compare(_EQUAL, given)

    def __ne__(self, given: object) -> Compare:  # type: ignore[override]
        return self._compare(_NOT_EQUAL, given)

    def __gt__(self, given: object) -> Compare:
        return self._compare(_GREATER, given)

    def __lt__(self, given: object) -> Compare:
        return self._compare(_LESS, given)

    __hash__ = None  # type: ignore[assignment]


class CompareKey:
    """A key, or all keys of a range: then each of them must be so."""

    __slots__ = ("_key", "_range_end")

    def __init__(self, key: bytes, range_end: bytes) -> None:
        self._key = key
        self._range_end = range_end

    @property
    def version(self) -> _Side:
        """0: there is no such key."""
        return _Side(self._key, self._range_end, 0, "version")

    @property
    def create_revision(self) -> _Side:
        return _Side(self._key, self._range_end, 1, "create_revision")

    @property
    def mod_revision(self) -> _Side:
        return _Side(self._key, self._range_end, 2, "mod_revision")

    @property
    def value(self) -> _Side:
        """NB: no compare of a value holds for a key that is not there."""
        return _Side(self._key, self._range_end, 3, "value")

    @property
    def lease(self) -> _Side:
        return _Side(self._key, self._range_end, 4, "lease")


def key(name: Key | None = None, end: Key | None = None, *, prefix: Key | None = None) -> CompareKey:
    """What is compared: key("a").version == 0."""
    return CompareKey(*span(name, end, prefix))


class Op:
    """One operation of a branch. writes: whether it may change anything."""

    __slots__ = ("body", "writes")

    def __init__(self, body: "pb.RequestOp", writes: bool) -> None:
        self.body = body
        self.writes = writes


def put(
    name: Key,
    value: Key = b"",
    *,
    lease: LeaseId = 0,
    prev: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
) -> Op:
    """Puts a value, in a transaction."""
    return Op(pb.RequestOp(request_put=put_body(name, value, lease, prev, ignore_value, ignore_lease)), True)


def get(
    name: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    limit: int = 0,
    at: int = 0,
    sort: str = "key",
    order: str = "",
    keys_only: bool = False,
    count_only: bool = False,
) -> Op:
    """Reads a key or a range, in a transaction. Its result is a RangeResult."""
    body = range_body(
        *span(name, end, prefix),
        limit=limit,
        at=at,
        sort=sort,
        order=order,
        keys_only=keys_only,
        count_only=count_only,
    )
    return Op(pb.RequestOp(request_range=body), False)


def delete(name: Key | None = None, end: Key | None = None, *, prefix: Key | None = None, prev: bool = False) -> Op:
    """Deletes a key or a range, in a transaction."""
    start, range_end = span(name, end, prefix)
    return Op(
        pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=start, range_end=range_end, prev_kv=prev)), True
    )


class Transaction:
    """Compares and both branches; a shell's has `commit`."""

    def __init__(self, *compares: Compare) -> None:
        self._compares = compares
        self._then: tuple[Op | Transaction, ...] = ()
        self._otherwise: tuple[Op | Transaction, ...] = ()

    def then(self, *ops: "Op | Transaction") -> Self:
        """What is done if all compares hold; several of these add up."""
        self._then += ops
        return self

    def otherwise(self, *ops: "Op | Transaction") -> Self:
        """What is done if one does not."""
        self._otherwise += ops
        return self

    @property
    def writes(self) -> bool:
        return any([op.writes for op in (*self._then, *self._otherwise)])

    @property
    def body(self) -> "pb.TxnRequest":
        """As it is sent."""
        return pb.TxnRequest(
            compare=[compare.body for compare in self._compares],
            success=[_op_body(op) for op in self._then],
            failure=[_op_body(op) for op in self._otherwise],
        )

    def request(self, timeout: float | None = None) -> Request[TxnResult]:
        method = methods.TXN if self.writes else methods.READ_TXN
        return Request(method, self.body.SerializeToString(), _decode, timeout)


def txn(*compares: Compare) -> Transaction:
    """A transaction that is an operation of another, or that is asked for with `request`."""
    return Transaction(*compares)


def _op_body(op: Op | Transaction) -> "pb.RequestOp":
    return op.body if isinstance(op, Op) else pb.RequestOp(request_txn=op.body)


def _decode(message: bytes) -> TxnResult:
    return txn_result(pb.TxnResponse.FromString(message))
