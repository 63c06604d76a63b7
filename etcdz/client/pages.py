"""A range of any size, all as of one revision, without all of it being here at once.

The first page is asked for as any range is. What is behind it comes as one stream (RangeStream) from a server that has
it, and else, or when the stream has failed, page by page. Pages are of about PAGE_BYTES; of a stream that nobody takes
a window of a few MiB waits here, and the rest at the server.
"""

from collections import deque
from typing import Any, Final

from etcdz.api.errors import Code
from etcdz.client import methods
from etcdz.client.errors import EtcdError
from etcdz.client.pending import Ask, Pending, Request, Step, done_with
from etcdz.client.requests import range_body
from etcdz.client.results import KeyValue, RangeResult, key_value, range_result
from etcdz.client.streams import StreamCall
from etcdz.proto import etcdserverpb as pb

PAGE_BYTES: Final = 1 << 20
FIRST_KEYS: Final = 64
GROWTH: Final = 8
KEYS_MAX: Final = 10_000


class Pages:
    """`next` gives more of it until it is `done`; `cancel` is for who wants no more before that.

    revision    that it is read at; 0: the first answer says
    """

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
        self._has_begun = False
        self._streams = True
        self._stream: RangeChunks | None = None

    async def next(self, timeout: float | None) -> tuple[KeyValue, ...]:
        """More of it. Requires: it is not done. timeout: of each page or chunk"""
        if self._has_begun and self._streams:
            chunk = await self._chunk(timeout)
            if chunk is not None or self.done:
                return chunk or ()
        self._has_begun = True
        return self.take(await self.request(timeout))

    async def _chunk(self, timeout: float | None) -> tuple[KeyValue, ...] | None:
        """None: that was all, or there is no stream, and pages go on."""
        if self._stream is None:
            self._stream = await OpenRangeStream(self._body(max(0, self._left)))
        stream = self._stream
        if stream is None:
            self._streams = False
            return None
        try:
            chunk = await Ask(stream.next, timeout or None)
        except (EtcdError, TimeoutError):  # a page will say what is wrong, or heal it
            self._streams = False
            await Ask(self.cancel)
            return None
        self.done = chunk is None
        self._behind(chunk or ())
        return chunk

    def cancel(self, core: Any) -> Pending[None]:
        """Nobody reads on."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()
        return done_with(None)

    def request(self, timeout: float | None) -> Request[RangeResult]:
        """The next page."""
        limit = min(self._keys, self._left) if self._is_limited else self._keys
        return Request(methods.RANGE, self._body(limit), _decode, timeout)

    def _body(self, limit: int) -> bytes:
        body: bytes = range_body(
            self._key,
            self._range_end,
            limit=limit,
            at=self.revision,
            keys_only=self._keys_only,
            serializable=self._serializable,
        ).SerializeToString()
        return body

    def take(self, page: RangeResult) -> tuple[KeyValue, ...]:
        """The keys of the answer to the last request."""
        kvs = page.kvs
        self.revision = self.revision or page.revision
        self._behind(kvs)
        self.done = not page.more or not kvs or (self._is_limited and self._left <= 0)
        if kvs:
            size = sum([len(kv.key) + len(kv.value) + 32 for kv in kvs])
            fitting = max(1, PAGE_BYTES * len(kvs) // size)
            self._keys = min(fitting, self._keys * GROWTH, KEYS_MAX)
        return kvs

    def _behind(self, kvs: tuple[KeyValue, ...]) -> None:
        """These have come."""
        self._left -= len(kvs)
        if kvs:
            self._key = kvs[-1].key + b"\0"


class RangeChunks:
    """A stream of chunks. strip: so many bytes of each key are left out: the prefix of a namespace"""

    def __init__(self, body: bytes, strip: int) -> None:
        call = self._call = StreamCall(methods.RANGE_STREAM, resumes=True)
        call.open = self._on_open
        call.message = self._on_message
        call.end = self._on_end
        self._body = body
        self._strip = strip
        self._chunks: deque[tuple[KeyValue, ...]] = deque()
        self._ended = False
        self._error: EtcdError | None = None
        self._waiter: Pending[tuple[KeyValue, ...] | None] | None = None

    def begin(self, core: Any) -> None:
        core.stream(self._call)

    def next(self, core: Any) -> Pending[tuple[KeyValue, ...] | None]:
        """None: that was all. It fails with what has ended the stream."""
        pending: Pending[tuple[KeyValue, ...] | None] = Pending()
        self._waiter = pending
        if len(self._chunks) <= 1 and not self._ended:
            core.go_on(self._call)
        self._serve()
        return pending

    def cancel(self) -> None:
        self._call.cancel()

    def _serve(self) -> None:
        waiter = self._waiter
        if waiter is None or not (self._chunks or self._ended):
            return
        self._waiter = None
        if self._chunks:
            waiter.finish(self._chunks.popleft())
        elif self._error is not None:
            waiter.fail(self._error)
        else:
            waiter.finish(None)

    def _on_open(self) -> None:
        self._call.core.send(self._call, self._body)
        self._call.core.half_close(self._call)

    def _on_message(self, message: bytes) -> None:
        found = pb.RangeStreamResponse.FromString(message).range_response.kvs
        strip = self._strip
        kvs = tuple([key_value(kv) for kv in found])
        if strip:
            kvs = tuple([kv._replace(key=kv.key[strip:]) for kv in kvs])
        if kvs:
            self._chunks.append(kvs)
        if self._waiter is None:
            self._call.core.hold(self._call)
        self._serve()

    def _on_end(self, error: EtcdError | None) -> None:
        self._ended = True
        self._error = error
        if error is not None and error.code == Code.UNIMPLEMENTED:
            self._call.core.has_range_stream = False
        self._serve()


class OpenRangeStream(Step[RangeChunks | None]):
    """None: the server is known not to have it."""

    __slots__ = ("body", "strip")

    def __init__(self, body: bytes, strip: int = 0) -> None:
        self.body = body
        self.strip = strip

    def begin(self, core: Any) -> Pending[RangeChunks | None]:
        if not core.has_range_stream:
            return done_with(None)
        chunks = RangeChunks(self.body, self.strip)
        chunks.begin(core)
        return done_with(chunks)

    def result(self, value: RangeChunks | None) -> RangeChunks | None:
        return value


def _decode(message: bytes) -> RangeResult:
    return range_result(pb.RangeResponse.FromString(message))
