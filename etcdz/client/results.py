"""What calls answer: plain values, whose keys and values are bytes; `.text` is the value as UTF-8."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb

PUT: Final = "put"
DELETE: Final = "delete"
PROGRESS: Final = "progress"


class KeyValue(NamedTuple):
    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @property
    def text(self) -> str:
        return self.value.decode()


class PutResult(NamedTuple):
    """prev: what was there before, if it was asked for and there was something."""

    revision: int
    prev: KeyValue | None


class DeleteResult(NamedTuple):
    revision: int
    deleted: int
    prev: tuple[KeyValue, ...]


class RangeResult(NamedTuple):
    """total: of all keys in the range, whatever the limit. more: there are others behind these."""

    revision: int
    kvs: tuple[KeyValue, ...]
    total: int
    more: bool


class TxnResult(NamedTuple):
    """results: of each operation of the branch that was taken, in order; of a get, a RangeResult."""

    revision: int
    succeeded: bool
    results: "tuple[PutResult | DeleteResult | RangeResult | TxnResult, ...]"


class Event(NamedTuple):
    """type: PUT, DELETE, or PROGRESS, which has nothing but a revision. kv of a DELETE: key and mod_revision alone."""

    type: str
    kv: KeyValue
    prev: KeyValue | None
    revision: int

    @property
    def key(self) -> bytes:
        return self.kv.key

    @property
    def value(self) -> bytes:
        return self.kv.value

    @property
    def text(self) -> str:
        return self.kv.value.decode()


class Grant(NamedTuple):
    id: int
    ttl: int


class TimeToLive(NamedTuple):
    """ttl: seconds that are left, -1: there is no such lease."""

    id: int
    ttl: int
    granted_ttl: int
    keys: tuple[bytes, ...]


class Member(NamedTuple):
    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool


class Status(NamedTuple):
    version: str
    db_size: int
    db_size_in_use: int
    leader: int
    raft_index: int
    raft_term: int
    raft_applied_index: int
    errors: tuple[str, ...]
    is_learner: bool
    member_id: int
    cluster_id: int
    revision: int


class Alarm(NamedTuple):
    """kind: NOSPACE or CORRUPT."""

    member_id: int
    kind: str


class HashResult(NamedTuple):
    revision: int
    hash: int
    compact_revision: int


class Permission(NamedTuple):
    """kind: READ, WRITE or READWRITE."""

    kind: str
    key: bytes
    range_end: bytes


class AuthStatus(NamedTuple):
    enabled: bool
    auth_revision: int


NO_KEY: Final = KeyValue(b"", b"", 0, 0, 0, 0)


def key_value(kv: Any) -> KeyValue:
    """Of a mvccpb.KeyValue."""
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def put_result(answer: "pb.PutResponse") -> PutResult:
    prev = key_value(answer.prev_kv) if answer.HasField("prev_kv") else None
    return PutResult(answer.header.revision, prev)


def delete_result(answer: "pb.DeleteRangeResponse") -> DeleteResult:
    return DeleteResult(answer.header.revision, answer.deleted, tuple([key_value(kv) for kv in answer.prev_kvs]))


def range_result(answer: "pb.RangeResponse") -> RangeResult:
    kvs = tuple([key_value(kv) for kv in answer.kvs])
    return RangeResult(answer.header.revision, kvs, answer.count, answer.more)


def txn_result(answer: "pb.TxnResponse") -> TxnResult:
    return TxnResult(answer.header.revision, answer.succeeded, tuple([_op_result(op) for op in answer.responses]))


def _op_result(op: "pb.ResponseOp") -> "PutResult | DeleteResult | RangeResult | TxnResult":
    which = op.WhichOneof("response")
    if which == "response_put":
        return put_result(op.response_put)
    if which == "response_range":
        return range_result(op.response_range)
    if which == "response_delete_range":
        return delete_result(op.response_delete_range)
    return txn_result(op.response_txn)


def member(found: "pb.Member") -> Member:
    return Member(found.ID, found.name, tuple(found.peerURLs), tuple(found.clientURLs), found.isLearner)


def members(found: "Iterable[pb.Member]") -> list[Member]:
    return [member(each) for each in found]
