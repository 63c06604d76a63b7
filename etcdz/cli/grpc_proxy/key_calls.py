"""What the proxy reads of calls about keys: what they ask is looked up in the cache and put into the namespace, and
what they write makes the cache forget.

Each of `readers` takes a request and says what becomes of it: Forward, or Answer.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from etcdz.api import errors as api
from etcdz.api import methods as m
from etcdz.cli.grpc_proxy.callers import Caller, has_token
from etcdz.cli.grpc_proxy.namespace import Namespace
from etcdz.cli.grpc_proxy.range_cache import RangeCache, Span
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.tags import RESPONSE_HEADER


class Forward(NamedTuple):
    """body: to be sent to the cluster; then: makes of its answer the one for the client; is_long: the answer may be
    large"""

    body: bytes
    then: Callable[[bytes], bytes] | None = None
    is_long: bool = False


class Answer(NamedTuple):
    """The answer is known: code 0 and a message, or an error and its text."""

    code: int
    body: bytes


Reader = Callable[[bytes, Caller], Forward | Answer]
_EMPTY_KEY: Final = Answer(api.EMPTY_KEY.code, api.EMPTY_KEY.text.encode())


class KeyCalls:
    """cache: of all clients; keeps: whether it is used"""

    def __init__(self, prefix: bytes, keeps: bool = True) -> None:
        self.cache = RangeCache()
        self._keeps = keeps
        self._written = 0
        """The revision of the last write that was answered."""
        self._namespace = Namespace(prefix)
        self.readers: dict[int, Reader] = {
            m.RANGE: self._range,
            m.PUT: self._put,
            m.DELETE_RANGE: self._delete_range,
            m.TXN: self._txn,
            m.COMPACT: self._compact,
            m.LEASE_TIME_TO_LIVE: self._time_to_live,
            **dict.fromkeys(_TOUCH_ALL, self._touch_all),
        }

    @property
    def namespace(self) -> Namespace:
        return self._namespace

    def _range(self, body: bytes, caller: Caller) -> Forward | Answer:
        """NB: what a caller with a token is answered depends on its rights, and is not kept."""
        request = pb.RangeRequest.FromString(body)
        may_keep = self._keeps and not has_token(caller)
        if self._namespace:
            if not request.key:
                return _EMPTY_KEY
            self._namespace.enter(request)
            body = request.SerializeToString()
        is_long = bool(request.range_end) and not request.count_only
        if not may_keep:
            return Forward(body, self._leave_range if self._namespace else None, is_long)
        is_serializable = request.serializable
        request.serializable = True
        known = request.SerializeToString(deterministic=True)
        if is_serializable and (answer := self.cache.get(known)) is not None:
            return Answer(0, answer)
        span, revision, stamp = Span(request.key, request.range_end), request.revision, self.cache.stamp

        def keep(answer: bytes) -> bytes:
            is_behind = _revision_of(answer) < self._written
            answer = self._leave_range(answer) if self._namespace else answer
            if not is_behind:  # of a member that does not know yet what this proxy's clients have written
                self.cache.add(known, span, revision, answer, stamp)
            return answer

        return Forward(body, keep, is_long)

    def _leave_range(self, answer: bytes) -> bytes:
        response = pb.RangeResponse.FromString(answer)
        self._namespace.leave(response.kvs)
        return response.SerializeToString()

    def _put(self, body: bytes, caller: Caller) -> Forward | Answer:
        request = pb.PutRequest.FromString(body)
        if self._namespace:
            if not request.key:
                return _EMPTY_KEY
            self._namespace.enter_put(request)
            body = request.SerializeToString()
        return self._write(body, [Span(request.key, b"")], pb.PutResponse, self._namespace.leave_put)

    def _delete_range(self, body: bytes, caller: Caller) -> Forward | Answer:
        request = pb.DeleteRangeRequest.FromString(body)
        if self._namespace:
            if not request.key:
                return _EMPTY_KEY
            self._namespace.enter(request)
            body = request.SerializeToString()
        span = Span(request.key, request.range_end)
        return self._write(body, [span], pb.DeleteRangeResponse, lambda r: self._namespace.leave(r.prev_kvs))

    def _txn(self, body: bytes, caller: Caller) -> Forward | Answer:
        request = pb.TxnRequest.FromString(body)
        if self._namespace:
            self._namespace.enter_txn(request)
            body = request.SerializeToString()
        return self._write(body, _written(request), pb.TxnResponse, self._namespace.leave_txn)

    def _write(self, body: bytes, spans: list[Span], kind: Any, leave: Callable[[Any], None]) -> Forward:
        """NB: a range that begins before the write is answered may see what was before it, so the keys are touched
        again then."""

        def touch(answer: bytes) -> bytes:
            self._written = max(self._written, _revision_of(answer))
            for span in spans:
                self.cache.touch(span)
            if not self._namespace:
                return answer
            response = kind.FromString(answer)
            leave(response)
            encoded: bytes = response.SerializeToString()
            return encoded

        for span in spans:
            self.cache.touch(span)
        return Forward(body, touch)

    def _compact(self, body: bytes, caller: Caller) -> Forward:
        revision = pb.CompactionRequest.FromString(body).revision

        def then(answer: bytes) -> bytes:
            self.cache.compact(revision)
            return answer

        return Forward(body, then)

    def _time_to_live(self, body: bytes, caller: Caller) -> Forward:
        return Forward(body, self._leave_lease if self._namespace else None)

    def _leave_lease(self, answer: bytes) -> bytes:
        response = pb.LeaseTimeToLiveResponse.FromString(answer)
        self._namespace.leave_keys(response)
        return response.SerializeToString()

    def _touch_all(self, body: bytes, caller: Caller) -> Forward:
        self.cache.clear()

        def then(answer: bytes) -> bytes:
            self.cache.clear()
            return answer

        return Forward(body, then)


_TOUCH_ALL: Final = (m.LEASE_REVOKE, m.UNLOCK, m.RESIGN, m.CAMPAIGN, m.PROCLAIM, m.LOCK, m.AUTH_ENABLE)
"""They delete or write keys that their requests do not name, or change who may read what is kept."""


def _revision_of(answer: bytes) -> int:
    """That of its header, which is its first field, and short; 0: it has none there"""
    if answer[:1] != RESPONSE_HEADER:
        return 0
    revision: int = pb.ResponseHeader.FromString(answer[2 : 2 + answer[1]]).revision
    return revision


def _written(txn: Any) -> list[Span]:
    """What a transaction may write. NB: what it compares, too: if the comparison fails, what was read before is old."""
    found = [Span(compare.key, compare.range_end) for compare in txn.compare]
    for op in (*txn.success, *txn.failure):
        kind = op.WhichOneof("request")
        if kind == "request_put":
            found.append(Span(op.request_put.key, b""))
        elif kind == "request_delete_range":
            found.append(Span(op.request_delete_range.key, op.request_delete_range.range_end))
        elif kind == "request_txn":
            found += _written(op.request_txn)
    return found
