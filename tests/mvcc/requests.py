"""Random KV requests over an alphabet so small that they meet one another, drawn from a random.Random.

Revisions lie around `newest`, so that most of them exist, some are compacted and few lie in the future.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from etcdz.proto import etcdserverpb as pb

_T = TypeVar("_T")

KEYS = [b"a", b"b", b"c", b"aa", b"a\0", b"\xff", b"k" * 130]
ENDS = [b"", b"", b"", b"\0", b"b", b"c", b"a", b"\xff", b"aa"]
VALUES = [b"", b"1", b"2", b"v" * 200]
LEASES = [5, 6, 99]  # 99 is never granted
COMPARED = ["version", "create_revision", "mod_revision", "value", "lease"]


class Draw:
    """One conversation's requests. newest: the store's revision, kept up to date by whoever asks."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.newest = 1

    def call(self) -> tuple[str, Any]:
        """(name of the call, request); names are fields of InternalRaftRequest."""
        kinds = ["put"] * 6 + ["txn"] * 5 + ["range"] * 3 + ["delete_range"] * 3 + ["compaction"]
        name = self._pick(kinds)
        return name, getattr(self, name)()

    def put(self) -> Any:
        request = pb.PutRequest(key=self._pick(KEYS), value=self._pick(VALUES), prev_kv=self._chance(3))
        if self._chance(4):
            request.lease = self._pick(LEASES)
        if self._chance(8):
            request.ignore_lease, request.lease = True, 0
        if self._chance(8):
            request.ignore_value, request.value = True, b""
        return request

    def delete_range(self) -> Any:
        return pb.DeleteRangeRequest(key=self._pick(KEYS), range_end=self._pick(ENDS), prev_kv=self._chance(3))

    def compaction(self) -> Any:
        return pb.CompactionRequest(revision=self._revision())

    def range(self) -> Any:
        request = pb.RangeRequest(key=self._pick(KEYS), range_end=self._pick(ENDS))
        if self._chance(2):
            request.revision = self._revision()
        if self._chance(3):
            request.limit = self._pick([1, 2, 3, 5, -1])
        if self._chance(3):
            request.sort_order, request.sort_target = self._below(3), self._below(5)
        request.keys_only, request.count_only = self._chance(6), self._chance(6)
        for field in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if self._chance(8):
                setattr(request, field, self._revision())
        return request

    def txn(self, depth: int = 2) -> Any:
        """Keys are handed out so that few transactions write one twice; those that do are refused anyway."""
        request = pb.TxnRequest(compare=[self._compare() for _ in range(self._below(3))])
        for branch in (request.success, request.failure):
            free = self.random.sample(KEYS, len(KEYS))
            for _ in range(self._below(4)):
                branch.append(self._operation(depth, free))
        return request

    def _operation(self, depth: int, free: list[bytes]) -> Any:
        kind = self._below(10)
        if kind < 4:
            put = self.put()
            put.key = free.pop()
            return pb.RequestOp(request_put=put)
        if kind < 6:
            return pb.RequestOp(request_range=self.range())
        if kind < 8 or not depth:
            delete = self.delete_range()
            if self._chance(2):
                delete.key, delete.range_end = free.pop(), b""
            return pb.RequestOp(request_delete_range=delete)
        return pb.RequestOp(request_txn=self.txn(depth - 1))

    def _compare(self) -> Any:
        compare = pb.Compare(key=self._pick(KEYS), range_end=self._pick(ENDS), result=self._below(4))
        compare.target = self._below(5)
        field = COMPARED[compare.target]
        if field == "value":
            compare.value = self._pick(VALUES)
        elif field == "lease":
            compare.lease = self._pick([0, *LEASES])
        else:
            setattr(compare, field, self._below(4) if field == "version" else self._revision())
        return compare

    def _revision(self) -> int:
        return max(-1, self.newest + 1 - self._below(8))

    def _pick(self, items: Sequence[_T]) -> _T:
        return items[self._below(len(items))]

    def _below(self, n: int) -> int:
        return self.random.randrange(n)

    def _chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0
