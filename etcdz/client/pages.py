"""A range of any size, page by page at one revision, so that no answer is larger than about PAGE_BYTES."""

from typing import Final

from etcdz.client import methods
from etcdz.client.pending import Request
from etcdz.client.requests import range_body
from etcdz.client.results import KeyValue, RangeResult, range_result
from etcdz.proto import etcdserverpb as pb

PAGE_BYTES: Final = 1 << 20
FIRST_KEYS: Final = 64
GROWTH: Final = 8
KEYS_MAX: Final = 10_000


class Pages:
    """`request` is the next one to be made, `take` says what its answer brings; until `done`."""

    def __init__(self, key: bytes, range_end: bytes, limit: int, at: int, keys_only: bool, serializable: bool) -> None:
        self.done = False
        self.revision = at
        self._key = key
        self._range_end = range_end
        self._is_limited = limit > 0
        self._left = limit
        self._keys_only = keys_only
        self._serializable = serializable
        self._keys = FIRST_KEYS

    def request(self, timeout: float | None) -> Request[RangeResult]:
        limit = min(self._keys, self._left) if self._is_limited else self._keys
        body = range_body(
            self._key,
            self._range_end,
            limit=limit,
            at=self.revision,
            keys_only=self._keys_only,
            serializable=self._serializable,
        )
        return Request(methods.RANGE, body.SerializeToString(), _decode, timeout)

    def take(self, page: RangeResult) -> tuple[KeyValue, ...]:
        """The keys of the answer to the last request."""
        kvs = page.kvs
        self.revision = self.revision or page.revision
        self._left -= len(kvs)
        self.done = not page.more or not kvs or (self._is_limited and self._left <= 0)
        if kvs:
            self._key = kvs[-1].key + b"\0"
            size = sum([len(kv.key) + len(kv.value) + 32 for kv in kvs])
            fitting = max(1, PAGE_BYTES * len(kvs) // size)
            self._keys = min(fitting, self._keys * GROWTH, KEYS_MAX)
        return kvs


def _decode(message: bytes) -> RangeResult:
    return range_result(pb.RangeResponse.FromString(message))
