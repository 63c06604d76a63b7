"""The client without I/O: endpoints, connections, calls in flight, retries, the token, watches and leases.

A shell owns the sockets and the clock. It must not let two threads in at once.

    core.call(method, body, timeout_s) -> Call      and cancel(call)
    core.take_dials() -> [Line]                     to be dialled; then one of
        connected(line)  dial_failed(line, text)
    core.received(line, data)  lost(line, text)     what the transport says
    core.take_writes() -> [Line]                    line.grpc.take_output() is to be written
    core.take_hangups() -> [Line]                   to be closed, after what is to be written
    core.next_deadline()  expire()                  when the time has come
    core.close()                                    everything ends with ClientClosed

After each of these the shell looks at the three lists again. Nothing here raises but call and stream, if it is closed.
"""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from etcdz.api.errors import Code
from etcdz.client.errors import Canceled, ClientClosed, DeadlineExceeded, EtcdError, Unavailable, error_of
from etcdz.client.leases import KeepAlives
from etcdz.client.lines import Line, Remote
from etcdz.client.methods import Method
from etcdz.client.options import Options
from etcdz.client.pending import Call
from etcdz.client.retries import (
    RENEWALS_MAX,
    ROUND_PAUSE_S,
    TRIES_MAX,
    Failure,
    failure_of,
    is_maybe_applied,
    is_sent_again,
    pause_s,
)
from etcdz.client.streams import StreamCall
from etcdz.client.syncing import MemberSync
from etcdz.client.token import Token
from etcdz.client.watches import WatchStreams
from etcdz.wire.client import CannotOpen
from etcdz.wire.events import DONE, MESSAGE, ClientEvent
from etcdz.wire.header_block import Field

_SILENT: Final = "no sign of life"
_REQUIRE_LEADER: Final = ((b"hasleader", b"true"),)


class Core:
    """One client. random: in [0, 1), for pauses that differ."""

    def __init__(self, options: Options, now: Callable[[], float], random: Callable[[], float]) -> None:
        self.options = options
        self.now = now
        self.closed: str = ""
        self.has_range_stream = True  # until a server says that it has not
        self.token = Token(self)
        self.watches = WatchStreams(self)
        self.keep_alives = KeepAlives(self)
        self._random = random
        self._remotes = [Remote(endpoint) for endpoint in options.endpoints]
        self._up: list[Line] = []
        self._leaving: list[Line] = []  # up, with calls under way, but for no new ones
        self._turn = 0
        self._waiting: deque[Any] = deque()  # Call and StreamCall, until a connection is up
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._timer_number = 0
        self._dials: list[Line] = []
        self._writes: dict[Line, None] = {}
        self._hangups: list[Line] = []
        quorum = len(self._remotes) // 2 + 1
        self._patience_s = TRIES_MAX * ROUND_PAUSE_S / quorum
        if options.sync_every_s:
            MemberSync(self, options.sync_every_s)

    # ---- what is asked for ----

    def call(
        self, method: Method, body: bytes, timeout_s: float | None = None, metadata: tuple[Field, ...] = ()
    ) -> Call:
        """Begins a unary call. metadata: of this call alone. raises ClientClosed"""
        if self.closed:
            raise ClientClosed(self.closed)
        if timeout_s is None:
            timeout_s = self.options.timeout_s
        is_bounded = timeout_s and timeout_s < float("inf")  # it goes to the server as a number of digits
        call = Call(method, body, self.now() + timeout_s if is_bounded else None, metadata)
        self._begin(call)
        return call

    def stream(self, stream: StreamCall) -> None:
        """Begins a streaming call. raises ClientClosed"""
        if self.closed:
            raise ClientClosed(self.closed)
        stream.core = self
        self._begin(stream)

    def cancel(self, call: Call) -> None:
        """Nobody waits for it any more; it fails with Canceled."""
        self._take_back(call)
        call.fail(Canceled(maybe_applied=not call.method.repeatable and call.line is not None))

    def end_stream(self, stream: StreamCall) -> None:
        """Nothing more is told of it."""
        self._take_back(stream)

    def send(self, stream: StreamCall, message: bytes) -> None:
        """Requires: the stream is open."""
        line = stream.line
        if line is not None:
            line.grpc.send_message(stream.stream_id, message)
            self._writes[line] = None

    def half_close(self, stream: StreamCall) -> None:
        """Nothing more will be sent on it."""
        line = stream.line
        if line is not None:
            line.grpc.half_close(stream.stream_id)
            self._writes[line] = None

    def hold(self, stream: StreamCall) -> None:
        """Who reads it is behind: the server may send no more, but for what fits the window."""
        if stream.line is not None:
            stream.line.grpc.hold(stream.stream_id)

    def go_on(self, stream: StreamCall) -> None:
        """After `hold`."""
        if stream.line is not None:
            stream.line.grpc.go_on(stream.stream_id)
            self._writes[stream.line] = None

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Once, from `expire`."""
        self._timer_number += 1
        heapq.heappush(self._timers, (self.now() + seconds, self._timer_number, do))

    def set_endpoints(self, endpoints: tuple[Any, ...]) -> None:
        """Connections to those that are no longer among them end when their calls have."""
        kept = {remote.endpoint: remote for remote in self._remotes}
        for endpoint, remote in kept.items():
            if endpoint not in endpoints and remote.line is not None:
                self._retire(remote.line)
        self.options = self.options._replace(endpoints=endpoints)
        self.has_range_stream = True
        self._remotes = [kept.get(endpoint) or Remote(endpoint) for endpoint in endpoints]
        self._dial_all()

    @property
    def can_renew_token(self) -> bool:
        return self.token.can_renew

    def renew_token(self, generation: int) -> bool:
        """That of this generation is not taken. return False: no other is to be had"""
        return self.token.renew(generation)

    # ---- sending ----

    def _begin(self, call: Any) -> None:
        if self.token.is_wanted(call.method):
            self.token.wait(call)
            return
        line = self._next_line()
        if line is None:
            call.since = self.now()
            self._waiting.append(call)
            self._dial_all()
        else:
            self._send(line, call)

    def _next_line(self) -> Line | None:
        """Round robin over the connections that are up and have room; a suspect only if there is no other."""
        up = self._up
        suspect = None
        for _ in up:
            self._turn += 1
            line = up[self._turn % len(up)]
            if line.grpc.room:
                if not line.is_suspect:
                    return line
                suspect = line
        return suspect

    def _send(self, line: Line, call: Any) -> None:
        call.tries += 1
        token = self.token
        call.generation = token.generation
        metadata = token.metadata + call.metadata
        try:
            if call.__class__ is Call:
                left = None
                if call.deadline is not None:
                    left = call.deadline - self.now()
                    if left <= 0:
                        call.fail(DeadlineExceeded())
                        return
                stream_id = line.grpc.call(call.method.path, call.body, left, metadata)
            else:
                if call.requires_leader:
                    metadata += _REQUIRE_LEADER
                stream_id = line.grpc.open(call.method.path, None, metadata)
        except CannotOpen:
            call.since = self.now()
            self._waiting.append(call)
            return
        call.line = line
        call.stream_id = stream_id
        if not line.calls:
            line.heard_at = self.now()  # silence counts from here
        line.calls[stream_id] = call
        self._writes[line] = None
        if call.__class__ is not Call:
            call.on_open()

    def again(self, call: Any) -> None:
        """Of a call that waited for a token, or for its pause."""
        if call.done:
            return
        if self.closed:
            call.fail(ClientClosed(self.closed))
        else:
            self._begin(call)

    def _take_back(self, call: Any) -> None:
        line = call.line
        if line is not None and line.calls.get(call.stream_id) is call:
            del line.calls[call.stream_id]
            line.grpc.cancel(call.stream_id)
            self._writes[line] = None
        elif call in self._waiting:
            self._waiting.remove(call)

    # ---- connections ----

    def take_dials(self) -> list[Line]:
        taken, self._dials = self._dials, []
        return taken

    def take_writes(self) -> list[Line]:
        taken = list(self._writes)
        self._writes.clear()
        return taken

    def take_hangups(self) -> list[Line]:
        taken, self._hangups = self._hangups, []
        return taken

    def _dial_all(self) -> None:
        """Those that are due. Requires: somebody wants a connection"""
        now = self.now()
        for remote in self._remotes:
            if remote.line is None and remote.redial_at <= now and not self.closed:
                remote.line = Line(remote, self.options, self.now)
                self._dials.append(remote.line)

    def connected(self, line: Line) -> None:
        if line.is_ended:
            self._hangups.append(line)
            return
        self._writes[line] = None  # the greeting
        self.after(self.options.dial_timeout_s, lambda: self._check_greeting(line))

    def _check_greeting(self, line: Line) -> None:
        if not (line.is_up or line.is_ended):
            self._hangups.append(line)
            self.dial_failed(line, "the server does not greet")

    def dial_failed(self, line: Line, text: str) -> None:
        if line.is_ended:
            return
        line.is_ended = True
        line.remote.on_failure(text, self.now(), self._random())

    def received(self, line: Line, data: bytes) -> None:
        line.on_bytes(self.now())
        events = line.grpc.receive(data)
        if not line.is_up:
            if line.grpc.closed:
                self._hangups.append(line)
                self.dial_failed(line, "what answers there does not speak HTTP/2")
                return
            if not line.is_ended:
                self._greeted(line)
        if events:
            self._take(line, events)
        self._writes[line] = None
        grpc = line.grpc
        if grpc.should_close:
            self._end(line, "")
        elif self._waiting and grpc.room:
            self._send_waiting()

    def _greeted(self, line: Line) -> None:
        line.is_up = True
        line.remote.failures = 0
        self._up.append(line)
        self._send_waiting()
        for other in (*self._up, *self._leaving):
            if other.is_suspect:
                self._move_reads(other)

    def _send_waiting(self) -> None:
        waiting = self._waiting
        for _ in range(len(waiting)):
            line = self._next_line()
            if line is None:
                return
            self._send(line, waiting.popleft())

    def lost(self, line: Line, text: str = "") -> None:
        """The transport has ended."""
        if not line.is_up:
            self.dial_failed(line, text or "the connection was closed before a word was said")
            return
        self._end(line, text)

    def _retire(self, line: Line) -> None:
        """No new calls for it."""
        if line in self._up:
            self._up.remove(line)
            self._leaving.append(line)
        if line.remote.line is line:
            line.remote.line = None

    def _end(self, line: Line, text: str) -> None:
        if line.is_ended:
            return
        line.is_ended = True
        self._retire(line)
        self._leaving.remove(line)
        line.remote.error = text or "the connection has ended"
        self._hangups.append(line)
        self._take(line, line.grpc.connection_lost())
        if self._is_wanted():
            self._dial_all()

    @property
    def is_busy(self) -> bool:
        """Something may come at any moment."""
        if self._waiting or any([line.calls for line in (*self._up, *self._leaving)]):
            return True
        return any([remote.line is not None and not remote.line.is_up for remote in self._remotes])

    def _is_wanted(self) -> bool:
        return bool(self._waiting or self.watches.is_active or self.keep_alives.is_active)

    # ---- answers ----

    def _take(self, line: Line, events: list[ClientEvent]) -> None:
        calls = line.calls
        for kind, stream_id, code, text, message in events:
            if kind == DONE:
                call = calls.pop(stream_id, None)
                if call is None:
                    continue
                if code == 0:
                    if call.__class__ is Call:
                        call.finish(message)
                    else:
                        call.line = None
                        call.on_end(None)
                else:
                    self._failed(call, failure_of(code, text), code, text)
            elif kind == MESSAGE:
                stream = calls.get(stream_id)
                if stream is not None:
                    stream.on_message(message)
            else:  # GOAWAY
                self._retire(line)
                if self._is_wanted():
                    self._dial_all()

    def _failed(self, call: Any, failure: Failure, code: int, text: str) -> None:
        line = call.line
        if call.__class__ is not Call:
            call.line = None
            if failure is Failure.TOKEN and self.token.renew_for(call):
                return
            call.on_end(error_of(code, text))
            return
        repeatable = call.method.repeatable
        if failure is Failure.TOKEN and call.renewals < RENEWALS_MAX and self.token.renew_for(call):
            call.renewals += 1
        elif failure is not Failure.TOKEN and is_sent_again(failure, repeatable) and call.tries < TRIES_MAX:
            pause = pause_s(call.tries, len(self._remotes), self._random())
            if pause:
                self.after(pause, lambda: self.again(call))
            else:
                self._begin(call)
        else:
            maybe = is_maybe_applied(failure, code, text, repeatable)
            if failure is Failure.LOST:
                text = f"the connection to {line.remote.endpoint.text} was lost: {line.remote.error or text}"
                call.fail(Unavailable(text, code, maybe))
            else:
                call.fail(error_of(code, text, maybe))

    # ---- time ----

    def next_deadline(self) -> float | None:
        """When `expire` has something to do; None: not of itself."""
        times = [self._timers[0][0]] if self._timers else []
        is_hopeless = self._is_hopeless
        for call in self._waiting:
            if is_hopeless:
                times.append(call.since + self._patience_s)
            if call.deadline is not None:
                times.append(call.deadline)
        if self._waiting or self.watches.is_active or self.keep_alives.is_active:
            times += [remote.redial_at for remote in self._remotes if remote.line is None]
        for line in (*self._up, *self._leaving):
            if line.calls:
                deadline = line.grpc.next_deadline()
                if deadline is not None:
                    times.append(deadline)
            if line.calls or line.pinged or self.options.pings_idle:
                times.append(line.looked_at_next(self.options))
        return min(times) if times else None

    def expire(self) -> None:
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        for line in (*self._up, *self._leaving):
            if line.calls:
                events = line.grpc.expire(now)
                if events:
                    self._take(line, events)
                    self._writes[line] = None
            if line.calls or line.pinged or self.options.pings_idle:
                self._look_for_life(line, now)
        self._expire_waiting(now)
        if self._is_wanted():
            self._dial_all()

    def _look_for_life(self, line: Line, now: float) -> None:
        if now < line.looked_at_next(self.options):
            return
        if not line.pinged:
            line.ping(now)
            self._writes[line] = None
        elif now >= line.pinged_at + self.options.ping_timeout_s:
            self._end(line, _SILENT)
        else:
            line.is_suspect = True
            self._move_reads(line)

    def _move_reads(self, line: Line) -> None:
        """What may be sent again is, if there is a better connection; writes go on waiting for their answers."""
        if all([other.is_suspect for other in self._up]):
            return
        for call in list(line.calls.values()):
            if call.__class__ is Call:
                if call.method.repeatable and call.tries < TRIES_MAX:
                    self._take_back(call)
                    self._begin(call)
            elif call.resumes:
                self._take_back(call)
                call.line = None
                call.on_end(Unavailable(_SILENT))

    @property
    def _is_hopeless(self) -> bool:
        """NB: while an endpoint is being dialled for the first time there is hope."""
        return bool(self._waiting) and not self._up and all([remote.failures for remote in self._remotes])

    def _expire_waiting(self, now: float) -> None:
        hopeless = self._is_hopeless
        for call in list(self._waiting):
            if call.deadline is not None and call.deadline <= now:
                error: EtcdError = DeadlineExceeded(f"{DeadlineExceeded().text}{self._why()}")
            elif hopeless and now >= call.since + self._patience_s:
                error = self.unavailable()
            else:
                continue
            self._waiting.remove(call)
            if call.__class__ is Call:
                call.fail(error)
            else:
                call.on_end(error)

    def unavailable(self) -> Unavailable:
        return Unavailable(f"no endpoint can be reached{self._why()}")

    def _why(self) -> str:
        tried = [f"{remote.endpoint.text}: {remote.error}" for remote in self._remotes if remote.failures]
        return f" ({'; '.join(tried)})" if tried else ""

    # ---- the end ----

    def close(self, text: str = "the client is closed") -> None:
        """Everything that is under way fails; the lines are to be hung up."""
        if self.closed:
            return
        self.closed = text
        error = ClientClosed(text, Code.CANCELED)
        self.watches.close(error)
        self.keep_alives.close()
        self.token.close(error)
        waiting = [*self._waiting]
        self._waiting.clear()
        dialled = [remote.line for remote in self._remotes if remote.line is not None]
        for line in {*dialled, *self._up, *self._leaving}:
            waiting += line.calls.values()
            self._close_line(line)
        for call in waiting:
            if call.__class__ is Call:
                call.fail(error)
            else:
                call.on_end(error)
        timers, self._timers = self._timers, []
        for _, _, do in timers:
            do()

    def _close_line(self, line: Line) -> None:
        for stream_id in list(line.calls):
            line.grpc.cancel(stream_id)
        line.calls = {}
        if not line.is_ended:
            line.is_ended = True
            self._writes[line] = None
            self._hangups.append(line)
