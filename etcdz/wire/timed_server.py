"""The server's end of a gRPC connection that times calls, from the request's end, or a stream's begin, to the answer.

It stands in for GrpcServerConnection where times are asked for, so that a member that is not asked does nothing for it.
It looks at the clock once for what was read together, and once for each answer.
"""

from collections.abc import Callable, Mapping

from etcdz.wire.call_tally import CallTally
from etcdz.wire.call_times import CallTimes
from etcdz.wire.events import CALL, CANCEL, STREAM_OPEN, ServerEvent
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from etcdz.wire.stream import Stream
from etcdz.wire.unfinished import UnfinishedRequests


class TimedServerConnection(GrpcServerConnection):
    """times: of all connections of a listener"""

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        settings: ServerSettings,
        now: Callable[[], float],
        unfinished: UnfinishedRequests,
        tally: CallTally,
        times: CallTimes,
    ) -> None:
        super().__init__(methods, settings, now, unfinished, tally)
        self._times = times
        self._begun: dict[int, tuple[int, float]] = {}
        """By stream id, of those that are counted when they end: (tag, when)."""

    def receive(self, data: bytes) -> list[ServerEvent]:
        events = super().receive(data)
        now = self._now()
        for kind, stream_id, method, _, _, _ in events:
            if kind in (CALL, STREAM_OPEN):
                self._begun[stream_id] = method.tag, now
            elif kind == CANCEL:  # of one that began in the same bytes
                self._end_call(stream_id)
        return events

    def reply(self, stream_id: int, message: bytes) -> None:
        super().reply(stream_id, message)
        self._end_call(stream_id)

    def refuse(self, stream_id: int, code: int, text: str) -> None:
        self._begun.pop(stream_id, None)
        super().refuse(stream_id, code, text)

    def count_lost(self) -> None:
        super().count_lost()
        for stream_id in list(self._begun):
            self._end_call(stream_id)

    def _count_end(self, stream: Stream, code: int) -> None:
        super()._count_end(stream, code)
        self._end_call(stream.id)

    def _count_answer(self, stream: Stream) -> None:
        super()._count_answer(stream)
        self._end_call(stream.id)

    def _drop(self, stream_id: int, code: int) -> None:
        super()._drop(stream_id, code)
        self._end_call(stream_id)

    def _end_call(self, stream_id: int) -> None:
        begun = self._begun.pop(stream_id, None)
        if begun is not None:
            self._times.add(begun[0], self._now() - begun[1])
