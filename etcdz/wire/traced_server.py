"""The server's end of a gRPC connection that tells of each call and stream that is traced when it ends.

It stands in for GrpcServerConnection where traces are asked for, so that a member that is not asked does nothing for
them. What is refused before it began is not traced, as in etcd, whose interceptors refuse it before the one that does.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from etcdz.api.errors import Code
from etcdz.wire.call_tally import CallTally
from etcdz.wire.call_times import CallTimes
from etcdz.wire.events import CALL, CANCEL, STREAM_OPEN, ServerEvent
from etcdz.wire.request_head import Metadata, Method, Refusal
from etcdz.wire.server import ServerSettings
from etcdz.wire.stream import Stream
from etcdz.wire.timed_server import TimedServerConnection
from etcdz.wire.unfinished import UnfinishedRequests


class Tracer(Protocol):
    """What is told of calls and streams."""

    def begin(self, path: bytes, metadata: Metadata) -> Any:
        """One has begun. return what `end` is to be given; None: it is not traced"""

    def end(self, span: Any, code: int, text: str) -> None:
        """It has ended, with this gRPC code and the text of its error."""


class TracedServerConnection(TimedServerConnection):
    """tracer: of this connection"""

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        settings: ServerSettings,
        now: Callable[[], float],
        unfinished: UnfinishedRequests,
        tally: CallTally,
        tracer: Tracer,
    ) -> None:
        super().__init__(methods, settings, now, unfinished, tally, tally.times or CallTimes())
        self._tracer = tracer
        self._spans: dict[int, Any] = {}
        """By stream id, of those that are traced and under way."""

    def receive(self, data: bytes) -> list[ServerEvent]:
        events = super().receive(data)
        for kind, stream_id, method, _, _, metadata in events:
            if kind in (CALL, STREAM_OPEN):
                span = self._tracer.begin(method.path, metadata)
                if span is not None:
                    self._spans[stream_id] = span
            elif kind == CANCEL:  # of one that began in the same bytes
                self._end_span(stream_id, Code.CANCELED)
        return events

    def reply(self, stream_id: int, message: bytes) -> None:
        super().reply(stream_id, message)
        self._end_span(stream_id, Code.OK)

    def refuse(self, stream_id: int, code: int, text: str) -> None:
        self._spans.pop(stream_id, None)
        super().refuse(stream_id, code, text)

    def count_lost(self) -> None:
        super().count_lost()
        for stream_id in list(self._spans):
            self._end_span(stream_id, Code.CANCELED)

    def _refuse(self, stream: Stream, refusal: Refusal) -> None:
        self._end_span(stream.id, refusal.code, refusal.text)
        super()._refuse(stream, refusal)

    def _count_end(self, stream: Stream, code: int) -> None:
        super()._count_end(stream, code)
        self._end_span(stream.id, code)

    def _count_answer(self, stream: Stream) -> None:
        super()._count_answer(stream)
        self._end_span(stream.id, Code.OK)

    def _drop(self, stream_id: int, code: int) -> None:
        super()._drop(stream_id, code)
        self._end_span(stream_id, Code.CANCELED)

    def _end_span(self, stream_id: int, code: int, text: str = "") -> None:
        span = self._spans.pop(stream_id, None)
        if span is not None:
            self._tracer.end(span, code, text)
