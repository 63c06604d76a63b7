"""The listener's side of Watch: streams of clients on one hand, the backend on the other, the hub between them.

Everything that arrived in one turn of the event loop, from clients or from the backend, is told to the hub before it is
asked what it wants to know next.
"""

import asyncio
import random
import time
from typing import Protocol

from google.protobuf.message import DecodeError

from actors.listener.streams import StreamCall, Streams, end_for_resumption, unreadable
from actors.runtime.link import Links
from etcdz import limits
from etcdz.api import errors
from etcdz.api.errors import Code
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import WatchAsk, WatchChanges, WatchChunk, WatchHistory, WatchPosition
from etcdz.proto import etcdserverpb as pb
from etcdz.watch.events import Changes
from etcdz.watch.hub import Hub, Position
from etcdz.watch.progress import ProgressClock
from etcdz.watch.ranges import Range
from etcdz.watch.watcher import UNSYNCED, VICTIM

PROGRESS_S = 600.0
PROGRESS_S_MIN = 0.1
"""Source: etcd's minWatchProgressInterval; an interval of 0 is the default."""


class Host(Protocol):
    """What watching needs of its actor."""

    boot: Boot
    links: Links
    streams: Streams
    event_loop: asyncio.AbstractEventLoop

    def fail(self, error: Exception) -> None: ...


class WatchCall:
    """One client's stream, its StreamHandler: its requests go to the hub."""

    __slots__ = ("_call", "_stream", "_watching")

    def __init__(self, watching: "Watching", call: StreamCall) -> None:
        self._watching = watching
        self._call = call
        self._stream = watching.hub.open(call)

    def on_message(self, body: bytes) -> None:
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


class Watching:
    """The Watch service of one listener, and the `Backend` of its hub."""

    def __init__(self, host: Host, config: MemberConfig) -> None:
        self._host = host
        interval_s = config.watch_progress_notify_s
        interval_s = max(PROGRESS_S_MIN, interval_s) if interval_s > 0 else PROGRESS_S
        clock = ProgressClock(interval_s, time.monotonic, random.random)
        self.hub = Hub(self, config.max_request_bytes + limits.RECEIVE_OVERHEAD_BYTES, clock)
        self._due = False

    def open(self, call: StreamCall) -> WatchCall:
        """The service of actors/listener/streams.py."""
        return WatchCall(self, call)

    def metrics(self) -> dict[str, int]:
        """Figures for /metrics, counted when they are asked for: they cost a watch nothing."""
        calls = [handler for handler in self._host.streams.handlers() if isinstance(handler, WatchCall)]
        states = [state for call in calls for state in call.states()]
        return {
            "watch_streams": len(calls),
            "watchers": len(states),
            "slow_watchers": sum(state in (UNSYNCED, VICTIM) for state in states),
        }

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
        self.hub.on_changes(message.before, Position(*message.position), Changes(*message.changes))
        self.turn_soon()

    def on_chunk(self, message: WatchChunk) -> None:
        """A chunk of history: events for unsynced watchers."""
        position, changes = Position(*message.position), Changes(*message.changes)
        self.hub.on_history(message.seq, message.through, position, changes)
        self.turn_soon()
