"""The listener's side of Watch: streams of clients on one hand, the backend on the other, the hub between them.

Everything that arrived in one turn of the event loop, from clients or from the backend, is told to the hub before it is
asked what it wants to know next.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, cast

from google.protobuf.message import DecodeError

from actors.listener.auth_gate import StreamCaller
from actors.listener.auth_news import AuthNews
from actors.listener.calls import Calls
from actors.listener.identities import Caller, UnknownToken
from actors.listener.streams import StreamCall, Streams, end_for_resumption, unreadable
from actors.runtime.link import Links
from etcdz import limits
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import WATCH
from etcdz.auth.intervals import OPEN_END
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import WatchAsk, WatchChanges, WatchChunk, WatchHistory, WatchPosition
from etcdz.proto import etcdserverpb as pb
from etcdz.watch.events import Changes
from etcdz.watch.hub import Hub, Position
from etcdz.watch.progress import ProgressClock
from etcdz.watch.ranges import Range
from etcdz.watch.watcher import UNSYNCED, VICTIM, Watcher, WatchStream

CHECKED_AT_ONCE: Final = 2_000
"""Watchers, when users or roles have changed: some milliseconds. Events that come meanwhile wait for all of them."""
_CODE_NAMES: Final = {
    Code.INVALID_ARGUMENT: "InvalidArgument",
    Code.PERMISSION_DENIED: "PermissionDenied",
    Code.UNAUTHENTICATED: "Unauthenticated",
}
PROGRESS_S = 600.0
PROGRESS_S_MIN = 0.1
"""Source: etcd's minWatchProgressInterval; an interval of 0 is the default."""


class Host(Protocol):
    """What watching needs of its actor."""

    boot: Boot
    links: Links
    streams: Streams
    event_loop: asyncio.AbstractEventLoop
    auth_news: AuthNews
    calls: Calls

    def call_later(self, seconds: float, do: Callable[[], None]) -> None: ...
    def fail(self, error: Exception) -> None: ...


class WatchCall:
    """One client's stream, its StreamHandler: its requests go to the hub."""

    __slots__ = ("_call", "_early", "_stream", "_watching")

    def __init__(self, watching: "Watching", call: StreamCall) -> None:
        self._watching = watching
        self._call = call
        self._stream = watching.hub.open(call)
        self._early: list[bytes] | None = None
        """Messages that wait until it is known whose token the client has; None: nothing waits."""

    def on_message(self, body: bytes) -> None:
        if self._early is None and self._watching.knows_caller(self._call):
            self._take(body)
        elif self._early is None:
            self._early = [body]
            self._watching.ask_whose_token(self._call, self.go_on)
        elif len(self._early) < limits.WATCH_REQUESTS_PENDING:
            self._early.append(body)
        else:
            self._call.finish(errors.REQUEST_TOO_MANY_REQUESTS.code, errors.REQUEST_TOO_MANY_REQUESTS.text)

    def go_on(self) -> None:
        """It is known now, or known to be none."""
        early, self._early = self._early or [], None
        for body in early:
            if self._call.is_open:
                self._take(body)

    def _take(self, body: bytes) -> None:
        try:
            request = pb.WatchRequest.FromString(body)
        except DecodeError as problem:
            self._call.finish(Code.INTERNAL, unreadable(problem))
            return
        if self._stream.pending >= limits.WATCH_REQUESTS_PENDING or self._call.pending_bytes > limits.UNREAD_BYTES_MAX:
            self._call.finish(errors.REQUEST_TOO_MANY_REQUESTS.code, errors.REQUEST_TOO_MANY_REQUESTS.text)
            return
        self._watching.hub.request(self._stream, request)
        self._watching.turn_soon()

    def on_end(self) -> None:
        """NB: etcd goes on sending to a client that sends no more requests."""

    def on_gone(self) -> None:
        self._watching.hub.close(self._stream)
        self._watching.turn_soon()

    def on_writable(self) -> None:
        self._watching.hub.resume(self._stream)
        self._watching.turn_soon()

    def on_drain(self) -> None:
        end_for_resumption(self._call)

    def states(self) -> list[int]:
        """The states of its watchers, of etcdz.watch.watcher."""
        return [watcher.state for watcher in self._stream.watchers.values()]


class _Waiting(StreamCaller):
    """A Watch stream whose caller is not known yet. What is wrong with its token its requests are told."""

    __slots__ = ("_go_on",)

    def __init__(self, call: StreamCall, go_on: Callable[[], None]) -> None:
        super().__init__(call)
        self._go_on = go_on

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self._go_on()


class Watching:
    """The Watch service of one listener, and the `Backend` of its hub."""

    def __init__(self, host: Host, config: MemberConfig) -> None:
        self._host = host
        interval_s = config.watch_progress_notify_s
        interval_s = max(PROGRESS_S_MIN, interval_s) if interval_s > 0 else PROGRESS_S
        clock = ProgressClock(interval_s, time.monotonic, random.random)
        self.hub = Hub(self, config.max_request_bytes + limits.RECEIVE_OVERHEAD_BYTES, clock)
        self.hub.permit = self._permit
        self._due = False
        self._identities = host.calls.identities
        self._unchecked: deque[Watcher] = deque()
        """Watchers that are to be looked at again, since users or roles have changed."""

    def open(self, call: StreamCall) -> WatchCall:
        """The service of actors/listener/streams.py."""
        return WatchCall(self, call)

    def metrics(self) -> dict[str, int]:
        """Figures for /metrics. Watchers are counted when they are asked for: that costs a watch nothing.

        NB: no event is pending, since no watcher has a queue: one that is behind keeps its next revision alone.
        """
        calls = [handler for handler in self._host.streams.handlers() if isinstance(handler, WatchCall)]
        states = [state for call in calls for state in call.states()]
        return {
            "watch_streams": len(calls),
            "watchers": len(states),
            "slow_watchers": sum(state in (UNSYNCED, VICTIM) for state in states),
            "events_sent": self.hub.events_sent,
            "events_pending": 0,
        }

    # ---- who may watch what ----

    def knows_caller(self, call: StreamCall) -> bool:
        """Whether it is known who asks, or that nobody does."""
        auth = self._identities.of_stream(call)
        return not isinstance(auth, UnknownToken) or not auth.token

    def ask_whose_token(self, call: StreamCall, go_on: Callable[[], None]) -> None:
        """go_on is called when it is known: the token may be one that this member has not applied yet."""
        auth = self._identities.of_stream(call)
        if auth is None:
            go_on()
        else:
            self._host.calls.gate.hold(_Waiting(call, go_on), 0, WATCH, b"", auth, lambda _: go_on())

    def _permit(self, stream: WatchStream, request: pb.WatchCreateRequest) -> EtcdError | None:
        """NB: the key's range as the client has written it: what is made of it may be wider than what it may read."""
        auth = self._identities.of_stream(cast(Caller, stream.client))
        if auth is None:
            return None
        error: EtcdError | None = errors.INVALID_AUTH_TOKEN
        if not isinstance(auth, UnknownToken):
            stream.username = auth.username
            error = self._host.auth_news.access.check_read(auth, request.key or b"\0", request.range_end)
        return None if error is None else _as_status(error)

    def on_auth_change(self) -> None:
        """Users or roles have changed: who may not read any more what it watches, is told so and nothing else."""
        if not self._identities.enabled:
            return
        is_checking = bool(self._unchecked)
        self._unchecked = deque([one for stream in self.hub.streams for one in stream.watchers.values()])
        if not is_checking:
            self._check_again()

    def _check_again(self) -> None:
        """Some of them, and the rest when others have had their turn."""
        self._check(CHECKED_AT_ONCE)
        if self._unchecked:
            self._host.call_later(0, self._check_again)
        self.turn_soon()

    def _check(self, count: int) -> None:
        for _ in range(min(count, len(self._unchecked))):
            watcher = self._unchecked.popleft()
            if watcher.stream.watchers.get(watcher.id) is watcher and not self._may_go_on(watcher):
                self.hub.revoke(watcher, _as_status(errors.PERMISSION_DENIED).text)

    def _may_go_on(self, watcher: Watcher) -> bool:
        """NB: who began to watch by a token that has run out since goes on, as in etcd."""
        stream, (lo, hi) = watcher.stream, watcher.span
        if stream.username:
            auth: AuthInfo | None = self._identities.owner(stream.username)
        else:
            auth = self._identities.of_stream(cast(Caller, stream.client))
        return self._host.auth_news.access.check_read(auth, lo, OPEN_END if hi is None else hi) is None

    # ---- the turn ----

    def turn_soon(self) -> None:
        """The hub has been told something: its turn ends once everything that is readable now has been read."""
        if not self._due:
            self._due = True
            self._host.event_loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._due = False
        try:
            self.hub.end_turn()
            self._host.streams.flush()
            self._host.links.flush()
        except Exception as error:
            self._host.fail(error)

    def on_timer(self, now: float) -> None:
        """Sends the progress notifications that are due. now: on the monotonic clock"""
        self.hub.notify(now)

    # ---- the backend ----

    def ask_position(self, seq: int, wants: int) -> None:
        """See etcdz.watch.hub.Backend."""
        self._host.links.send("backend", WatchAsk(self._host.boot.slot, seq, wants))

    def ask_history(self, seq: int, first: int, spans: list[Range], with_prev_kv: bool) -> None:
        """See etcdz.watch.hub.Backend."""
        self._host.links.send("backend", WatchHistory(self._host.boot.slot, seq, first, spans, with_prev_kv))

    def on_new_backend(self) -> None:
        """What the last backend has not answered is asked anew."""
        self.hub.on_new_backend()
        self.turn_soon()

    def on_position(self, message: WatchPosition) -> None:
        """Where the backend stands: watches that waited for it begin."""
        self.hub.on_position(message.seq, Position(*message.position))
        self.turn_soon()

    def on_changes(self, message: WatchChanges) -> None:
        """What one batch of the backend has changed: events for synced watchers."""
        if self._unchecked:
            self._check(len(self._unchecked))
        self.hub.on_changes(message.before, Position(*message.position), Changes(*message.changes))
        self.turn_soon()

    def on_chunk(self, message: WatchChunk) -> None:
        """A chunk of history: events for unsynced watchers."""
        if self._unchecked:
            self._check(len(self._unchecked))
        position, changes = Position(*message.position), Changes(*message.changes)
        self.hub.on_history(message.seq, message.through, position, changes)
        self.turn_soon()


def _as_status(error: EtcdError) -> EtcdError:
    """Why a watch is cancelled over who asks, in the words that clients compare: those of Go's gRPC for a status."""
    return error._replace(text=f"rpc error: code = {_CODE_NAMES[error.code]} desc = {error.text}")
