"""Watches: many watchers on one stream for each kind of it, resumed where they stood, or ended with an error.

A watcher's life, by what comes for it:

    created             it stands: without a start revision, it now is the one behind the header's
    events              told; the next revision is the one behind the last event's
    events, fragment    kept until the last fragment has come, so that a resumption begins at a whole revision
    progress            the next revision is the one behind the header's, unless it is the answer to a request for all
                        watchers: etcd before 3.5.8 gives that before events that are on their way
    canceled, compact   ends with Compacted(compact_revision)
    canceled, token     goes on at its next revision on a stream with another token
    canceled, denied    likewise, once: etcd 3.5.1 says so of a token that it does not know, too
    canceled            ends with the error that the server names
    stream ended        goes on at its next revision on another stream, after 1 ms, then 1.25 times that, up to 100 ms

Nothing is told twice: what lies below the next revision was told before.

Events that nobody takes wait here, up to QUEUE_BYTES and one message; then the watcher is *paused*: removed at the
server, which keeps the history anyway, and created anew at its next revision when all that waited is taken. To read no
more of the stream instead would hold up the other watchers on it. Like any slow watcher it ends with Compacted if its
next revision is compacted meanwhile.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from etcdz.api import errors as api
from etcdz.client import methods
from etcdz.client.errors import ClientClosed, Compacted, EtcdError, WatchCanceled, error_of
from etcdz.client.host import Host
from etcdz.client.pending import Pending
from etcdz.client.results import DELETE, NO_KEY, PROGRESS, PUT, Event, key_value
from etcdz.client.retries import TOKEN_TEXTS
from etcdz.client.streams import StreamCall

RESUME_FIRST_S: Final = 0.001
RESUME_FACTOR: Final = 1.25
RESUME_MAX_S: Final = 0.1
NO_PUT: Final = 0
NO_DELETE: Final = 1
QUEUE_BYTES: Final = 16 << 20
_EVENT_BYTES: Final = 400
"""Of memory that an event takes, but for its key and values."""


class WatchOptions:
    """What is watched. filters: NO_PUT, NO_DELETE.

    whole   what is taken are WatchResponse messages, their fragments put together, not single events; those that tell
            how far the watch is come whenever a server sends them
    strip   so many bytes of each key are left out of what is told: the prefix of a namespace
    """

    __slots__ = (
        "filters", "fragment", "key", "prev", "progress", "range_end", "requires_leader", "start", "strip", "whole",
    )  # fmt: skip

    def __init__(
        self,
        key: bytes,
        range_end: bytes = b"",
        start: int = 0,
        prev: bool = False,
        progress: bool = False,
        filters: tuple[int, ...] = (),
        fragment: bool = True,
        requires_leader: bool = False,
        whole: bool = False,
    ) -> None:
        self.key = key
        self.range_end = range_end
        self.start = start
        self.prev = prev
        self.progress = progress
        self.filters = filters
        self.fragment = fragment
        self.requires_leader = requires_leader
        self.whole = whole
        self.strip = 0


class Watcher:
    """next_revision: where it would be resumed; 0: now. events: that nobody has taken yet.

    is_full     more than QUEUE_BYTES of them wait
    on_empty    called when somebody waits and there are none, if it is paused
    """

    def __init__(self, options: WatchOptions, watch_id: int = 1) -> None:
        self.options = options
        self.watch_id = watch_id
        self.next_revision = options.start
        self.events: deque[Any] = deque()
        self.error: EtcdError | None = None
        self.ended = False
        self.created: Pending[int] = Pending()
        """Done with the revision at which it was created first."""
        self.core: Host | None = None
        self.is_full = False
        self.on_empty: Callable[[], None] | None = None
        self._queued_bytes = 0
        self._was_denied = False
        self._fragments: list[Any] = []
        self._waiters: deque[Pending[Any]] = deque()

    def create_request(self) -> bytes:
        """As it is to be created now, the first time or anew."""
        from etcdz.proto import etcdserverpb as pb

        options = self.options
        create = pb.WatchCreateRequest(
            key=options.key,
            range_end=options.range_end,
            start_revision=self.next_revision,
            progress_notify=options.progress,
            filters=options.filters,
            prev_kv=options.prev,
            watch_id=self.watch_id,
            fragment=options.fragment,
        )
        self._fragments.clear()
        return pb.WatchRequest(create_request=create).SerializeToString()

    def on_response(self, response: Any) -> str:
        """What has come for it alone. return the reason, if it was canceled for one that a resumption heals"""
        if response.canceled:
            return self._on_canceled(response)
        revision = response.header.revision
        self._was_denied = False
        if response.created:
            if not self.next_revision:
                self.next_revision = revision + 1
            self.created.finish(revision)
            return ""
        if response.fragment:
            self._fragments += response.events
            return ""
        if self._fragments:
            events = [*self._fragments, *response.events]
            self._fragments.clear()
            self._tell(response, events)
        elif response.events:
            self._tell(response, response.events)
        else:
            self.next_revision = max(self.next_revision, revision + 1)
            self.on_progress(response)
        return ""

    def on_progress(self, response: Any) -> None:
        """The answer to a request for progress."""
        if self.options.whole:
            self._add([response])
        elif self.options.progress:
            self._add([Event(PROGRESS, NO_KEY, None, response.header.revision)])

    def take(self) -> Pending[Any]:
        """The next event (of `whole`: message), or None at the end; it fails with what ended the watch."""
        pending: Pending[Any] = Pending()
        if self.events:
            pending.finish(self.events.popleft())
        elif self.error is not None:
            pending.fail(self.error)
        elif self.ended:
            pending.finish(None)
        else:
            self._waiters.append(pending)
            if self.on_empty is not None:
                self.on_empty()
        return pending

    def put_back(self, event: Event | None) -> None:
        """It was taken for somebody who does not wait any more: who takes next has it."""
        if event is not None:
            self._add([event], True)

    def end(self, error: EtcdError | None) -> None:
        """What was told before can still be taken."""
        if self.ended:
            return
        self.ended = True
        self.error = error
        if error is not None:
            self.created.fail(error)
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if error is not None:
                waiter.fail(error)
            else:
                waiter.finish(None)

    def _tell(self, response: Any, found: Any) -> None:
        """found: all events of the response and of its fragments"""
        events, start = [], self.next_revision
        if self.options.strip:
            self._strip(found)
        if self.options.whole:
            self._tell_whole(response, [event for event in found if event.kv.mod_revision >= start])
            return
        for event in found:
            kv = key_value(event.kv)
            if kv.mod_revision < start:
                continue
            prev = key_value(event.prev_kv) if event.HasField("prev_kv") else None
            events.append(Event(DELETE if event.type else PUT, kv, prev, kv.mod_revision))
        if events:
            self.next_revision = events[-1].revision + 1
            self._add(events)

    def _strip(self, found: Any) -> None:
        size = self.options.strip
        for event in found:
            event.kv.key = event.kv.key[size:]
            if event.HasField("prev_kv"):
                event.prev_kv.key = event.prev_kv.key[size:]

    def _tell_whole(self, response: Any, found: list[Any]) -> None:
        from etcdz.proto import etcdserverpb as pb

        if found:
            self.next_revision = found[-1].kv.mod_revision + 1
            self._add([pb.WatchResponse(header=response.header, events=found)])

    def _add(self, events: list[Any], in_front: bool = False) -> None:
        if in_front:
            self.events.extendleft(events)
        else:
            self.events += events
            self._count(events)
        while self._waiters and self.events:
            waiter = self._waiters.popleft()
            if waiter.done:  # its time was up
                continue
            try:
                waiter.finish(self.events.popleft())
            except IndexError:  # another thread, which takes what is there without the core, has just had it
                self._waiters.appendleft(waiter)

    def _count(self, added: list[Any]) -> None:
        """What is taken is not counted, as that is done without the core: it is looked at when it might be too much."""
        self._queued_bytes += sum([_size(event) for event in added])
        if self._queued_bytes > QUEUE_BYTES:
            self._queued_bytes = sum([_size(event) for event in tuple(self.events)])
            self.is_full = self._queued_bytes > QUEUE_BYTES

    def _on_canceled(self, response: Any) -> str:
        reason = _plain_reason(response.cancel_reason)
        if response.compact_revision or reason == api.COMPACTED.text:
            if self.options.whole:
                self._add([response])
            error = Compacted()
            error.compact_revision = response.compact_revision
            self.end(error)
        elif reason in TOKEN_TEXTS or reason == api.NO_LEADER.text:
            return reason
        elif reason == api.PERMISSION_DENIED.text and not self._was_denied and self.core and self.core.can_renew_token:
            self._was_denied = True
            return reason
        else:
            row = api.WATCH_CANCELED
            known = next((each for each in api.BY_NAME.values() if each.text == reason), None)
            self.end(error_of(known.code, reason) if known else WatchCanceled(reason or row.text))
        return ""


def _size(event: Any) -> int:
    if event.__class__ is not Event:
        size: int = event.ByteSize()  # of `whole`
        return size
    prev = event.prev
    return _EVENT_BYTES + len(event.kv.key) + len(event.kv.value) + (len(prev.value) if prev is not None else 0)


def _plain_reason(reason: str) -> str:
    """Without what Go puts before an error's text."""
    return reason.partition(" desc = ")[2] if reason.startswith("rpc error: code = ") else reason


class WatchStreams:
    """All watchers of a client: on one stream, or two if some of them require a leader."""

    def __init__(self, core: Host) -> None:
        self._streams = {requires_leader: WatchStream(core, requires_leader) for requires_leader in (False, True)}

    @property
    def is_active(self) -> bool:
        return any([stream.watchers for stream in self._streams.values()])

    def add(self, options: WatchOptions) -> Watcher:
        """raises ClientClosed"""
        return self._streams[options.requires_leader].add(options)

    def remove(self, watcher: Watcher) -> None:
        """It is told nothing more."""
        self._streams[watcher.options.requires_leader].remove(watcher)

    def request_progress(self) -> None:
        for stream in self._streams.values():
            stream.request_progress()

    def close(self, error: EtcdError) -> None:
        """All end."""
        for stream in self._streams.values():
            stream.close(error)


class WatchStream:
    """call: None while there is no stream, or one is to come after its pause. watchers: by their ids, but for those
    that are paused.

    A watcher names its id, and etcd takes it. etcd's grpc-proxy counts for itself: whether a stream's other end is such
    a one its first answer tells, and until then, or from then on, one watcher is created after the other.
    """

    def __init__(self, core: Host, requires_leader: bool) -> None:
        self.watchers: dict[int, Watcher] = {}
        self._paused: set[Watcher] = set()
        self._core = core
        self._requires_leader = requires_leader
        self._call: StreamCall | None = None
        self._is_open = False
        self._pause_s = RESUME_FIRST_S
        self._last_id = 0
        self._creating: deque[Watcher] = deque()  # asked for on this stream and not answered: answers come in order
        self._held: deque[Watcher] = deque()  # to be asked for when that is answered
        self._takes_ids: bool | None = None  # None: it has answered nothing yet

    def add(self, options: WatchOptions) -> Watcher:
        if self._core.closed:
            raise ClientClosed(self._core.closed)
        watcher = Watcher(options)
        watcher.core = self._core
        self._enroll(watcher)
        return watcher

    def _enroll(self, watcher: Watcher) -> None:
        """NB: its id was never used: what is still on its way for an earlier one is not for this."""
        self._last_id += 1
        watcher.watch_id = self._last_id
        self.watchers[watcher.watch_id] = watcher
        if self._call is None:
            if len(self.watchers) == 1:
                self._open()
        elif self._is_open:
            self._create(self._call, watcher)

    def _renumber(self) -> None:
        """With ids of ours, all of them new, whatever a server has made of them."""
        watchers = list(self.watchers.values())
        self.watchers.clear()
        for watcher in watchers:
            self._last_id += 1
            watcher.watch_id = self._last_id
            self.watchers[watcher.watch_id] = watcher

    def _create(self, call: StreamCall, watcher: Watcher) -> None:
        if self._creating and not self._takes_ids:
            self._held.append(watcher)
            return
        self._creating.append(watcher)
        self._core.send(call, watcher.create_request())

    def _create_held(self) -> None:
        call = self._call
        while self._held and call is not None and (self._takes_ids or not self._creating):
            watcher = self._held.popleft()
            if self.watchers.get(watcher.watch_id) is watcher:
                self._create(call, watcher)

    def remove(self, watcher: Watcher) -> None:
        if watcher in self._paused:
            self._paused.discard(watcher)
        elif self.watchers.pop(watcher.watch_id, None) is None:
            return
        else:
            self._withdraw(watcher)
        watcher.end(None)

    def _pause(self, watcher: Watcher) -> None:
        """Until what it was told is taken."""
        del self.watchers[watcher.watch_id]
        self._paused.add(watcher)
        watcher.on_empty = lambda: self._unpause(watcher)
        self._withdraw(watcher)

    def _unpause(self, watcher: Watcher) -> None:
        self._paused.discard(watcher)
        watcher.on_empty, watcher.is_full = None, False
        self._enroll(watcher)

    def _withdraw(self, watcher: Watcher) -> None:
        """The server need tell nothing more to it."""
        call = self._call
        if call is None:
            return
        if not self.watchers:
            self._call = None
            call.cancel()
        elif self._is_open:
            self._cancel(call, watcher.watch_id)

    def _cancel(self, call: StreamCall, watch_id: int) -> None:
        from etcdz.proto import etcdserverpb as pb

        cancel = pb.WatchCancelRequest(watch_id=watch_id)
        self._core.send(call, pb.WatchRequest(cancel_request=cancel).SerializeToString())

    def request_progress(self) -> None:
        from etcdz.proto import etcdserverpb as pb

        if self._call is not None and self._is_open:
            request = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
            self._core.send(self._call, request.SerializeToString())

    def close(self, error: EtcdError) -> None:
        for watcher in [*self.watchers.values(), *self._paused]:
            watcher.on_empty = None
            watcher.end(error)
        self.watchers.clear()
        self._paused.clear()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _open(self) -> None:
        if self._core.closed or not self.watchers or self._call is not None:
            return
        call = self._call = StreamCall(methods.WATCH, self._requires_leader, resumes=True)
        self._is_open = False
        call.open = self._on_open
        call.message = self._on_message
        call.end = lambda error: self._on_end(call, error)
        self._core.stream(call)

    def _on_open(self) -> None:
        call = self._call
        if call is None:
            return
        self._is_open = True
        self._creating.clear()
        self._held.clear()
        if self._takes_ids is False:
            self._renumber()
        self._takes_ids = None
        for watcher in self.watchers.values():
            self._create(call, watcher)

    def _on_message(self, message: bytes) -> None:
        from etcdz.proto import etcdserverpb as pb

        response = pb.WatchResponse.FromString(message)
        if response.watch_id == -1 and not response.created:  # the answer to a request for progress
            for each in list(self.watchers.values()):
                each.on_progress(response)
            return
        watcher = self._watcher_of(response)
        if watcher is None:
            return
        if not (
            response.created or response.canceled
        ):  # else a stream that is always refused would be asked for at once
            self._pause_s = RESUME_FIRST_S
        reason = watcher.on_response(response)
        if reason:
            self._restart(reason)
        elif watcher.ended:
            self.watchers.pop(watcher.watch_id, None)
        elif watcher.is_full:
            self._pause(watcher)

    def _watcher_of(self, response: Any) -> Watcher | None:
        """NB: one that is refused may be answered without its id."""
        watcher = self.watchers.get(response.watch_id)
        if response.created and self._creating:
            watcher = self._answered(response.watch_id)
            self._create_held()
        return None if watcher is None or watcher.ended else watcher

    def _answered(self, watch_id: int) -> Watcher:
        """Whom the server has created, or refused to create. Requires: it was asked for one"""
        if watch_id < 0:
            return self._creating.popleft()
        named = next((watcher for watcher in self._creating if watcher.watch_id == watch_id), None)
        if named is not None:
            self._takes_ids = True
            self._creating.remove(named)
            return named
        self._takes_ids = False
        watcher = self._creating.popleft()
        if self.watchers.pop(watcher.watch_id, None) is watcher:
            watcher.watch_id = watch_id
            self.watchers[watch_id] = watcher
        elif self._call is not None:  # removed meanwhile
            self._cancel(self._call, watch_id)
        return watcher

    def _restart(self, reason: str) -> None:
        """Another stream, if that may help; it ends all watchers if not."""
        call = self._call
        if call is None:
            return
        if reason == api.PERMISSION_DENIED.text or reason in TOKEN_TEXTS:
            if not self._core.renew_token(call.generation):
                self.close(error_of(_CODES.get(reason, 0), reason))
                return
        elif reason != api.NO_LEADER.text:
            self.close(WatchCanceled(reason))
            return
        call.cancel()
        self._resume()

    def _on_end(self, call: StreamCall, error: EtcdError | None) -> None:
        if call is not self._call:
            return
        if error is not None and not error.retriable and error.code not in _STREAM_ENDS:
            self.close(error)
        else:
            self._resume()

    def _resume(self) -> None:
        self._call = None
        self._is_open = False
        pause, self._pause_s = self._pause_s, min(RESUME_MAX_S, self._pause_s * RESUME_FACTOR)
        self._core.after(pause, self._open)


_STREAM_ENDS: Final = (api.Code.INTERNAL, api.Code.CANCELED, api.Code.UNKNOWN)
"""A stream that breaks for such a reason is tried again; e.g. a member that stops cancels its streams."""
_CODES: Final = {row.text: row.code for row in api.BY_NAME.values()}
