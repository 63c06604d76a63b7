"""Streaming calls of one listener: what a service needs to know of HTTP/2, which is nothing.

A service that has streams (Watch, LeaseKeepAlive, Snapshot, ...) is a function from a `StreamCall` to a
`StreamHandler`, registered by the method's tag in `Streams.services`; `etcdz.methods.STREAM_PATHS` has the paths.
Server streams are no different: their one request is the handler's only message.

    client                         Streams                          handler
    HEADERS                        services[tag](call)              __init__: may send, may finish
    a message                                                       on_message(body)
    END_STREAM                                                      on_end(): mostly `call.finish()`
    RST_STREAM, deadline, gone                                      on_gone(): nothing can be sent any more
    reads on after it stalled                                       on_writable(), once after each `is_clogged`
    -                              the listener is to end           on_drain(): finish soon, the client will resume

After `finish`, `on_gone` is still called, so that it is the one place to let go of things.
What is sent leaves with the connection's flush: at once for what a client's bytes brought about, else at the end of the
turn, one write per connection; a handler that sends outside of its own `on_` calls tells `call.touch()`.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from actors.listener.identities import Credentials, credentials_of
from actors.listener.learner_gate import STREAMS_SERVED
from etcdz.api.errors import NO_LEADER, NOT_SUPPORTED_FOR_LEARNER, STOPPED, EtcdError
from etcdz.wire.call_tally import CallTally
from etcdz.wire.events import CALL, CANCEL, REQUEST, STREAM_END, STREAM_MESSAGE, STREAM_OPEN, ServerEvent
from etcdz.wire.request_head import Metadata, Method

CLOGGED_BYTES: Final = 64 << 10
"""A stream that holds back more than this is clogged: a handler that has much to send waits for on_writable."""


class Connection(Protocol):
    """What streams need of a client connection."""

    grpc: Any
    http2: Any
    common_name: str

    @property
    def is_backed_up(self) -> bool: ...
    def reply(self, stream_id: int, code: int, body: bytes) -> None: ...
    def take_request(self, event: ServerEvent) -> None: ...
    def flush(self) -> None: ...
    def fail(self, error: Exception) -> None: ...


def unreadable(problem: DecodeError) -> str:
    """grpc-go's words for a message of a stream that is none."""
    return f"grpc: failed to unmarshal the received message {problem}"


class StreamHandler(Protocol):
    """One streaming call, seen from its service. When each is called: see the table above."""

    def on_message(self, body: bytes) -> None: ...
    def on_end(self) -> None: ...
    def on_gone(self) -> None: ...
    def on_writable(self) -> None: ...
    def on_drain(self) -> None: ...


Service = Callable[["StreamCall"], StreamHandler]
SingleService = Callable[[Connection, int, bytes, Metadata], None]
"""Of calls that are one message and the end: (connection, stream id, message, metadata), to be answered by
connection.reply."""


class StreamCall:
    """The way back to the client of one streaming call. An error of it ends the connection, and is not the caller's.

    needs_leader    whether the client asks to be told when there is no leader
    credentials     what says who asks
    """

    __slots__ = ("_streams", "connection", "credentials", "handler", "is_open", "needs_leader", "stream_id", "waiting")

    def __init__(self, streams: "Streams", connection: Connection, stream_id: int, metadata: Metadata) -> None:
        self._streams = streams
        self.connection = connection
        self.stream_id = stream_id
        # NB: the metadata are not kept: a stream may last for ever, and they may be long.
        self.needs_leader = _needs_leader(metadata)
        self.credentials: Credentials = credentials_of(metadata)
        self.handler: Any = None
        self.is_open = True
        self.waiting = False

    def send(self, message: bytes) -> None:
        """One message. After the end: nothing."""
        if self.is_open:
            try:
                self.connection.grpc.send_message(self.stream_id, message)
            except Exception as error:
                self.connection.fail(error)

    def send_parts(self, head: bytes, body: bytes) -> None:
        """One message in two parts, the second of which many streams may share: it is not copied."""
        if self.is_open:
            try:
                self.connection.grpc.send_parts(self.stream_id, head, body)
            except Exception as error:
                self.connection.fail(error)

    def send_joined(self, messages: bytes, count: int) -> None:
        """So many messages, each behind its gRPC prefix; best no more than a frame holds."""
        if self.is_open:
            try:
                self.connection.grpc.send_joined(self.stream_id, messages, count)
            except Exception as error:
                self.connection.fail(error)

    def finish_with(self, message: bytes) -> None:
        """The last message and the end, at once."""
        if self.is_open:
            self.connection.reply(self.stream_id, 0, message)
            self._streams.forget(self)

    def finish(self, code: int = 0, text: str = "") -> None:
        """Ends the call after what was sent."""
        if self.is_open:
            try:
                self.connection.grpc.finish(self.stream_id, code, text)
            except Exception as error:
                self.connection.fail(error)
            self._streams.forget(self)

    def flush(self) -> None:
        """Writes now; for a service that sends so much at once that it should not wait for the end of the turn."""
        self.connection.flush()

    def touch(self) -> None:
        """Something was sent outside of the client's turn: flush with this one."""
        self._streams.touched[self.connection] = None

    @property
    def common_name(self) -> str:
        """Of the client's certificate, if clients are known by that."""
        return self.connection.common_name

    @property
    def pending_bytes(self) -> int:
        """What the client's windows hold back of this stream."""
        return self.connection.grpc.pending_stream_bytes(self.stream_id) if self.is_open else 0

    @property
    def is_clogged(self) -> bool:
        """Whether the client does not keep up; then on_writable comes as soon as it does."""
        if not self.is_open:
            return False
        connection = self.connection
        if connection.grpc.pending_stream_bytes(self.stream_id) <= CLOGGED_BYTES and not connection.is_backed_up:
            return False
        self._streams.await_writable(self)
        return True


class WaitingCall(Protocol):
    """What waits for its client to read on: a StreamCall, or an exchange over HTTP/2."""

    connection: Any
    handler: Any
    waiting: bool

    @property
    def is_open(self) -> bool: ...
    @property
    def is_clogged(self) -> bool: ...


class Streams:
    """All streaming calls of a listener.

    services          by method tag
    singles           the same for methods that are `single`; what they are given is not among the calls here
    touched           connections to flush at the end of the turn: a dict as an ordered set
    waiting           calls that wait for on_writable
    cancelled         unary calls that clients have given up, by stream, and reads of recipes whose clients have gone;
                      Calls.cancel takes them
    leader_timeout_s  a stream that asks for a leader (`hasleader`) is ended when there has been none for so long
    """

    def __init__(self, leader_timeout_s: float, tally: CallTally | None = None) -> None:
        """tally: where those are counted that begin"""
        self._tally = CallTally() if tally is None else tally
        self.services: dict[int, Service] = {}
        self.singles: dict[int, SingleService] = {}
        self.touched: dict[Connection, None] = {}
        self.waiting: dict[Connection, list[WaitingCall]] = {}
        self.cancelled: dict[Any, set[int]] = {}
        self._calls: dict[Connection, dict[int, StreamCall]] = {}
        self._leader_timeout_s = leader_timeout_s
        self._has_leader = False
        self._draining = False
        self._is_learner = False
        self._takes_singles = True
        """Whole calls of one message are served without a stream."""
        self._leaderless_since: float | None = None

    def __len__(self) -> int:
        return sum(map(len, self._calls.values()))

    def handlers(self) -> list[Any]:
        """Of all calls, in no order."""
        return [call.handler for calls in self._calls.values() for call in calls.values()]

    def take(self, connection: Connection, event: ServerEvent) -> None:
        """An event of the wire that is not a unary call."""
        kind, stream_id, method, message, _, metadata = event
        if kind == STREAM_OPEN:
            self._open(connection, stream_id, method.tag, metadata)
            return
        if kind == CALL:
            self._take_single(connection, stream_id, method, message, metadata)
            return
        call = self._calls.get(connection, {}).get(stream_id)
        if call is None:  # a unary call, or a stream that this end has ended
            if kind == CANCEL:
                self.cancelled.setdefault(connection, set()).add(stream_id)
                if connection.http2 is not None:
                    connection.http2.cancel(stream_id)
            elif kind >= REQUEST:
                connection.take_request(event)
            return
        if kind == STREAM_MESSAGE:
            call.handler.on_message(message)
        elif kind == STREAM_END:
            call.handler.on_end()
        elif kind == CANCEL:
            self.forget(call)

    def _take_single(
        self, connection: Connection, stream_id: int, method: Method, message: bytes, metadata: Metadata
    ) -> None:
        """A whole call: one message and the end."""
        if self._takes_singles and b"hasleader" not in metadata:
            self._tally.count_stream(method.tag, metadata)
            self._tally.received[method.tag] += 1
            self.singles[method.tag](connection, stream_id, message, metadata)
            return
        self._open(connection, stream_id, method.tag, metadata)
        call = self._calls.get(connection, {}).get(stream_id)
        if call is not None:
            self._tally.received[method.tag] += 1
            call.handler.on_message(message)
        if call is not None and call.is_open:
            call.handler.on_end()

    def _open(self, connection: Connection, stream_id: int, tag: int, metadata: Metadata) -> None:
        call = StreamCall(self, connection, stream_id, metadata)
        refusal = self._why_refused(call, tag)
        if refusal is not None:
            connection.grpc.refuse(stream_id, refusal.code, refusal.text)
            return
        self._tally.count_stream(tag, metadata)
        self._calls.setdefault(connection, {})[stream_id] = call
        call.handler = self.services[tag](call)
        if self._draining:
            call.handler.on_drain()
        elif not call.is_open:
            call.handler.on_gone()  # refused at once, before there was a handler to be told

    def _why_refused(self, call: StreamCall, tag: int) -> EtcdError | None:
        if self._is_learner and tag not in STREAMS_SERVED:
            return NOT_SUPPORTED_FOR_LEARNER
        return NO_LEADER if call.needs_leader and not self._has_leader else None

    def forget(self, call: StreamCall) -> None:
        """The call is over: the handler is told, once."""
        if not call.is_open:
            return
        call.is_open = False
        calls = self._calls.get(call.connection)
        if calls is not None:
            calls.pop(call.stream_id, None)
            if not calls:
                del self._calls[call.connection]
        if call.handler is not None:
            call.handler.on_gone()

    def lose(self, connection: Connection) -> None:
        """The transport is gone, and all its streams with it."""
        self.touched.pop(connection, None)
        self.waiting.pop(connection, None)
        for call in list(self._calls.get(connection, {}).values()):
            _attempt(call, self.forget)

    def await_writable(self, call: WaitingCall) -> None:
        """Tell the call's handler when its client reads on."""
        if not call.waiting:
            call.waiting = True
            self.waiting.setdefault(call.connection, []).append(call)

    def check_writable(self, connection: Connection) -> None:
        """The client has sent something, or its socket has room: calls that waited may go on. Cheap if none waits."""
        waiting = self.waiting.pop(connection, None)
        if not waiting:
            return
        for call in waiting:
            call.waiting = False
            if call.is_open and not call.is_clogged:
                call.handler.on_writable()

    def flush(self) -> None:
        """One write per connection that something was sent on."""
        if self.touched:
            touched, self.touched = self.touched, {}
            for connection in touched:
                connection.flush()

    def lacks_leader(self, metadata: Metadata) -> bool:
        """Whether a call must be refused because its client asks for a leader and none is known."""
        return not self._has_leader and _needs_leader(metadata)

    def on_leader(self, known: bool) -> None:
        """Whether the member knows a leader now."""
        self._has_leader = known
        if known:
            self._leaderless_since = None

    def serve_as(self, learner: bool) -> None:
        """Whether this member is a learner now, at which streams are refused."""
        self._is_learner = learner
        self._takes_singles = not (learner or self._draining)

    @property
    def is_calm(self) -> bool:
        """Whether expire() has nothing to wait for: no stream could end for want of a leader."""
        return self._has_leader or not self._calls

    def expire(self, now: float) -> None:
        """Ends the streams that ask for a leader, when there has been none for leader_timeout_s.

        now     on the monotonic clock
        source  etcd's monitorLeader
        """
        if self._has_leader:
            return
        if self._leaderless_since is None:
            self._leaderless_since = now
        elif now - self._leaderless_since >= self._leader_timeout_s:
            self._leaderless_since = now
            self._for_all(_end_for_no_leader)

    def _for_all(self, act: Callable[[StreamCall], None]) -> None:
        for calls in list(self._calls.values()):
            for call in list(calls.values()):
                self.touched[call.connection] = None
                _attempt(call, act)

    def drain_connection(self, connection: Connection) -> None:
        """This client is asked to go elsewhere: its streams end so that it resumes them there."""
        for call in list(self._calls.get(connection, {}).values()):
            call.handler.on_drain()

    def drain(self) -> None:
        """The listener is about to end: streams end so that their clients go on elsewhere."""
        self._draining = True
        self._takes_singles = False
        self._for_all(lambda call: call.handler.on_drain())
        self.flush()


def _needs_leader(metadata: Metadata) -> bool:
    return metadata.get(b"hasleader", b"").split(b",")[0] == b"true"


def _attempt(call: StreamCall, act: Callable[[StreamCall], None]) -> None:
    """For one of many: an error over it ends its connection, and the others' turns come all the same."""
    try:
        act(call)
    except Exception as error:
        call.connection.fail(error)


def _end_for_no_leader(call: StreamCall) -> None:
    if call.needs_leader:
        call.finish(NO_LEADER.code, NO_LEADER.text)


def end_for_resumption(call: StreamCall) -> None:
    """What most handlers do in on_drain: clients of etcd open the stream again elsewhere on this answer."""
    call.finish(STOPPED.code, STOPPED.text)
