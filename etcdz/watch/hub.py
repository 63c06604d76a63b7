"""All watchers of one listener: created, sent changes, unsynced, synced again.

The backend sends the hub every batch of changes while the hub asks for them; revisions number that stream:

    revision     everything up to it has come, and every SYNCED watcher has had what concerns it
    a gap        (a new backend, changes that were not asked for) makes all SYNCED watchers UNSYNCED
    UNSYNCED     the hub asks for the history that these miss: for some at a time, a bounded chunk each time
    VICTIM       the client does not read: its watchers keep nothing but their next revision

So what a stalled client costs is its outbox (a little more than one response), whatever is written meanwhile. Requests
of clients (create, cancel, progress) are pending until the backend has said at which revision it stands: messages of
one backend come in order, so by then every change up to there has come. The names of the states are those of etcd's
watchableStore.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import HeaderPieces, bytes_field, int_field
from etcdz.proto.tags import (
    WATCH_CANCEL_REASON,
    WATCH_CANCELED_TRUE,
    WATCH_COMPACT_REVISION,
    WATCH_CREATED_TRUE,
    WATCH_ID,
)
from etcdz.watch.delivery import JOINED_BODY_MAX, EventBatch, batch_events, joined, send_events
from etcdz.watch.events import Changes
from etcdz.watch.group import Bundle, Group
from etcdz.watch.progress import ProgressClock
from etcdz.watch.ranges import Range, RangeMap
from etcdz.watch.watcher import OVER, PREV_KV, SYNCED, UNSYNCED, VICTIM, ClientStream, Watcher, WatchStream

NOTHING: Final = 0
CHANGES: Final = 1
CHANGES_AND_PREV_KV: Final = 2
"""What the hub wants to be sent: nothing, changes, changes with the prev_kv of each."""

CATCH_UP_MAX: Final = 512
"""Watchers that one chunk of history is fetched for. Source: etcd's maxWatchersPerSync."""
CATCH_UP_SPAN: Final = 2_000
"""Revisions that their positions may lie apart."""

SERVED_AT_ONCE: Final = 1_000
"""Requests of clients. What else is pending waits for the next answer of the backend, and others have their turn."""

INVALID_ID: Final = -1
_EMPTY_RANGE: Final = "mvcc: watcher range is empty"
_DUPLICATE_ID: Final = "mvcc: duplicate watch ID provided on the WatchStream"


class Position(NamedTuple):
    """Where the backend stands, as its messages say."""

    revision: int
    compact_revision: int
    cluster_id: int
    member_id: int
    term: int


class Backend(Protocol):
    """What the hub asks of the backend. seq comes back with the answer; a new backend has to be asked again."""

    def ask_position(self, seq: int, wants: int) -> None: ...
    def ask_history(self, seq: int, first: int, spans: list[Range], with_prev_kv: bool) -> None: ...


Permit = Callable[[WatchStream, pb.WatchCreateRequest], EtcdError | None]
_Pending = tuple[WatchStream, pb.WatchRequest]


class Hub:
    """See the module. Call `end_turn` when everything that has arrived is handed in.

    fragment_bytes   responses of this size and above are cut for watchers with `fragment`
    progress         when watchers with progress_notify are told where they are
    permit           whether a stream may watch what it asks for; None: it may. To be set by what knows permissions
    revision         everything up to it has come
    streams          all that are open: a dict as an ordered set
    events_sent      each as often as there are watchers that it was sent to
    """

    def __init__(self, backend: Backend, fragment_bytes: int, progress: ProgressClock) -> None:
        self.permit: Permit = lambda stream, request: None
        self.revision = 0
        self.streams: dict[WatchStream, None] = {}
        self.events_sent = 0
        self._backend = backend
        self._fragment_bytes = fragment_bytes
        self._progress = progress
        self._pieces = HeaderPieces(0, 0, 0)
        self._synced: RangeMap[Group] = RangeMap()
        self._unsynced: dict[Watcher, None] = {}
        self._counts = [0, 0]
        """Watchers that are SYNCED or UNSYNCED: all, those that want prev_kv."""
        self._pending: list[_Pending] = []
        self._asked: list[tuple[int, list[_Pending]]] = []
        self._seq = 0
        self._wanted = NOTHING
        """What the backend was told last."""
        self._fetching: tuple[int, list[Watcher]] | None = None
        self._batch = 0

    # ---- clients ----

    def open(self, client: ClientStream) -> WatchStream:
        """A stream without watchers."""
        stream = WatchStream(client)
        self.streams[stream] = None
        return stream

    def request(self, stream: WatchStream, request: pb.WatchRequest) -> None:
        """A WatchRequest, pending until the backend's position is known. An empty one is passed over, as in etcd."""
        if request.WhichOneof("request_union") is not None:
            self._pending.append((stream, request))
            stream.pending += 1

    def close(self, stream: WatchStream) -> None:
        """The client is gone."""
        stream.is_open = False
        self.streams.pop(stream, None)
        for watcher in list(stream.watchers.values()):
            self._drop(watcher)

    def resume(self, stream: WatchStream) -> None:
        """Its client reads on."""
        for watcher in stream.watchers.values():
            if watcher.state == VICTIM:
                watcher.become(UNSYNCED)
                self._unsynced[watcher] = None
                self._count(watcher, 1)

    def revoke(self, watcher: Watcher, reason: str) -> None:
        """Its client may not watch this any more: it is cancelled. Requires: it is one of its stream's"""
        self._drop(watcher)
        fields = watcher.id_field + WATCH_CANCELED_TRUE + bytes_field(WATCH_CANCEL_REASON, reason.encode())
        self._respond(watcher.stream, self._header(), fields)
        self._answer_progress(watcher.stream)

    # ---- the turn ----

    def end_turn(self) -> None:
        """Asks the backend for its position and for history, where that is due."""
        wanted = self._wants()
        if self._pending or wanted != self._wanted:
            self._ask(self._pending, wanted)
            self._pending = []
        if self._unsynced and self._fetching is None and not self._asked:
            self._fetch()

    def _wants(self) -> int:
        if any(_wants_prev_kv(request) for _, request in self._pending):
            return CHANGES_AND_PREV_KV
        if self._counts[1]:
            return CHANGES_AND_PREV_KV
        return CHANGES if self._counts[0] or self._pending else NOTHING

    def _ask(self, pending: list[_Pending], wanted: int) -> None:
        self._seq += 1
        self._wanted = wanted
        self._asked.append((self._seq, pending))
        self._backend.ask_position(self._seq, wanted)

    def on_new_backend(self) -> None:
        """A new backend knows nothing of this hub, and does not answer what the old one was asked."""
        self._fetching = None
        pending = [one for _, asked in self._asked for one in asked]
        self._asked = []
        if pending or self._wants():
            self._ask(pending, max(self._wants(), CHANGES))
        else:
            self._wanted = NOTHING

    # ---- the backend's answers ----

    def on_position(self, seq: int, position: Position) -> None:
        """Where the backend stands: requests that were pending when it was asked with seq, or earlier, are served."""
        self._pieces = HeaderPieces(position.cluster_id, position.member_id, position.term)
        self._close_gap(position.revision)
        due: list[_Pending] = []
        while self._asked and self._asked[0][0] <= seq:
            due += self._asked.pop(0)[1]
        if len(due) > SERVED_AT_ONCE:
            self._put_off(due[SERVED_AT_ONCE:])
        for stream, request in due[:SERVED_AT_ONCE]:
            stream.pending -= 1
            if stream.is_open:
                self._serve(stream, request)

    def _put_off(self, due: list[_Pending]) -> None:
        """Until the backend's next answer, and before what has come later."""
        if self._asked:
            seq, later = self._asked[0]
            self._asked[0] = (seq, due + later)
        else:
            self._pending = due + self._pending

    def _close_gap(self, revision: int) -> None:
        """Changes up to revision have not come: synced watchers that have not had them become unsynced."""
        if revision <= self.revision:
            return
        for span in list(self._synced):
            for watcher in list(self._synced.get(span) or ()):
                if watcher.next_revision <= revision:
                    self._unsync(watcher)
        self.revision = revision

    def on_changes(self, before: int, position: Position, changes: Changes) -> None:
        """What happened behind revision `before`, up to position."""
        if not self._wanted:
            return  # on its way when the backend was told to send none
        self._pieces = HeaderPieces(position.cluster_id, position.member_id, position.term)
        self._close_gap(before)
        if position.revision <= self.revision:
            return
        header = self._pieces.field(position.revision)
        self._batch += 1
        prev_kvs = bool(changes.prev_kvs)
        for group, batch in batch_events(changes, self._synced):
            bundles, others = group.parts(self.revision)
            for bundle in bundles:
                self._send_together(bundle, batch, header, prev_kvs)
            for watcher in list(others):
                self._send_or_unsync(watcher, batch, header, prev_kvs)
        self.revision = position.revision

    def _can_have(self, watcher: Watcher, prev_kvs: bool) -> bool:
        """Whether it can be sent what has come: prev_kv is there if it wants that, and its client keeps up."""
        return (prev_kvs or not watcher.variant & PREV_KV) and watcher.stream.may_send(self._batch)

    def _send_or_unsync(self, watcher: Watcher, batch: EventBatch, header: bytes, prev_kvs: bool) -> None:
        if self._can_have(watcher, prev_kvs):
            self._send(watcher, batch, header)
        else:
            self._unsync(watcher)

    def _unsync(self, watcher: Watcher) -> None:
        """It has had everything before the batch at hand, which it is not sent."""
        watcher.next_revision = max(watcher.next_revision, self.revision + 1)
        self._ungroup(watcher)
        if watcher.stream.client.is_clogged:
            self._make_victim(watcher)
        else:
            watcher.become(UNSYNCED)
            self._unsynced[watcher] = None

    def _send_together(self, bundle: Bundle, batch: EventBatch, header: bytes, prev_kvs: bool) -> None:
        """As _send to each of the bundle."""
        first = bundle.watchers[0]
        fields, body = batch.fields_for(first)
        if not fields:
            return
        if len(body) > JOINED_BODY_MAX:
            for watcher in bundle.watchers:
                self._send_or_unsync(watcher, batch, header, prev_kvs)
            return
        stream, done = bundle.stream, 0
        for messages, count in joined(bundle, header, body):
            if not self._can_have(first, prev_kvs):
                break
            stream.client.send_joined(messages, count)
            stream.spend(len(messages))
            done += count
        if done:
            self.events_sent += done * len(fields)
            stream.client.touch()
        for watcher in bundle.watchers[done:]:
            self._unsync(watcher)

    def _send(self, watcher: Watcher, batch: EventBatch, header: bytes) -> None:
        fields, body = batch.fields_for(watcher)
        if fields:
            stream = watcher.stream
            send_events(watcher, header, fields, body, self._fragment_bytes)
            stream.spend(len(body))
            stream.client.touch()
            self.events_sent += len(fields)
            if watcher.quiet:
                watcher.quiet = False

    # ---- catching up ----

    def _fetch(self) -> None:
        """Asks for what some unsynced watchers miss: the one that waits longest, and those near it in history."""
        first = next(iter(self._unsynced)).next_revision
        chosen = []
        for watcher in self._unsynced:
            if first <= watcher.next_revision <= first + CATCH_UP_SPAN:
                chosen.append(watcher)
                if len(chosen) == CATCH_UP_MAX:
                    break
        self._seq += 1
        self._fetching = self._seq, chosen
        spans = list(dict.fromkeys([watcher.span for watcher in chosen]))
        prev_kvs = any([watcher.variant & PREV_KV for watcher in chosen])
        self._backend.ask_history(self._seq, first, spans, prev_kvs)

    def on_history(self, seq: int, through: int, position: Position, changes: Changes) -> None:
        """A chunk of history, up to and with revision `through`."""
        if self._fetching is None or self._fetching[0] != seq:
            return
        chosen = [watcher for watcher in self._fetching[1] if watcher in self._unsynced]
        self._fetching = None
        self._pieces = HeaderPieces(position.cluster_id, position.member_id, position.term)
        chosen = [watcher for watcher in chosen if not self._cancel_if_compacted(watcher, position.compact_revision)]
        groups: RangeMap[dict[Watcher, None]] = RangeMap()
        for watcher in chosen:
            group = groups.get(watcher.span)
            if group is None:
                groups.set(watcher.span, {watcher: None})
            else:
                group[watcher] = None
        header = self._pieces.field(max(through, 1))
        self._batch += 1
        unserved = set()
        for group, batch in batch_events(changes, groups):
            for watcher in group:
                if watcher.stream.may_send(self._batch):
                    self._send(watcher, batch, header)
                else:
                    unserved.add(watcher)
        for watcher in chosen:
            self._move_on(watcher, watcher.next_revision - 1 if watcher in unserved else through)

    def _cancel_if_compacted(self, watcher: Watcher, compact_revision: int) -> bool:
        """Whether what the watcher misses is compacted: then it is cancelled."""
        if watcher.next_revision >= compact_revision:
            return False
        self._remove(watcher)
        watcher.become(OVER)
        body = WATCH_CANCELED_TRUE + int_field(WATCH_COMPACT_REVISION, compact_revision)
        self._respond(watcher.stream, self._pieces.field(0), watcher.id_field + body)
        self._answer_progress(watcher.stream)
        return True

    def _move_on(self, watcher: Watcher, through: int) -> None:
        watcher.next_revision = max(watcher.next_revision, through + 1)
        del self._unsynced[watcher]
        if watcher.next_revision > self.revision:
            self._sync(watcher)
        elif watcher.stream.client.is_clogged:
            self._make_victim(watcher)
        else:
            self._unsynced[watcher] = None  # last in line

    def _sync(self, watcher: Watcher) -> None:
        """Requires: it is counted, and in no other group."""
        watcher.become(SYNCED)
        group = self._synced.get(watcher.span)
        if group is None:
            group = Group()
            self._synced.set(watcher.span, group)
        group.add(watcher)
        self._answer_progress(watcher.stream)

    def _ungroup(self, watcher: Watcher) -> None:
        """Out of the synced watchers of its range."""
        group = self._synced.get(watcher.span)
        if group is not None:
            group.discard(watcher)
            if not group:
                self._synced.remove(watcher.span)

    def _make_victim(self, watcher: Watcher) -> None:
        watcher.become(VICTIM)
        self._count(watcher, -1)

    def _count(self, watcher: Watcher, by: int) -> None:
        self._counts[0] += by
        if watcher.variant & PREV_KV:
            self._counts[1] += by

    def _remove(self, watcher: Watcher) -> None:
        """Out of everything but its stream: a cancelled watcher keeps its id until the client cancels it."""
        if watcher.state == SYNCED:
            self._ungroup(watcher)
        self._unsynced.pop(watcher, None)
        if watcher.state in (SYNCED, UNSYNCED):
            self._count(watcher, -1)

    def _drop(self, watcher: Watcher) -> None:
        self._remove(watcher)
        watcher.become(OVER)
        del watcher.stream.watchers[watcher.id]
        watcher.stream.early.pop(watcher, None)

    # ---- what clients ask for, at the revision where the backend stands ----

    def _serve(self, stream: WatchStream, request: pb.WatchRequest) -> None:
        kind = request.WhichOneof("request_union")
        if kind == "create_request":
            self._create(stream, request.create_request)
        elif kind == "cancel_request":
            self._cancel(stream, request.cancel_request.watch_id)
        else:
            self._request_progress(stream)

    def _create(self, stream: WatchStream, request: pb.WatchCreateRequest) -> None:
        """Source: the order of checks is that of etcd 3.5's newest patch release."""
        lo, hi = request.key or b"\0", request.range_end
        span: Range = (lo, None if hi == b"\0" else hi)
        error = None if request.start_revision < 0 else self.permit(stream, request)
        if request.start_revision < 0:
            self._refuse(stream, errors.COMPACTED.text)
        elif error is not None:
            self._refuse(stream, error.text)
        elif span[1] and lo >= span[1]:
            self._refuse(stream, _EMPTY_RANGE)
        elif request.watch_id in stream.watchers and request.watch_id:
            self._refuse(stream, _DUPLICATE_ID)
        else:
            self._start(stream, span, request)

    def _refuse(self, stream: WatchStream, reason: str) -> None:
        fields = (
            int_field(WATCH_ID, INVALID_ID)
            + WATCH_CREATED_TRUE
            + WATCH_CANCELED_TRUE
            + bytes_field(WATCH_CANCEL_REASON, reason.encode())
        )
        self._respond(stream, self._header(), fields)

    def _start(self, stream: WatchStream, span: Range, request: pb.WatchCreateRequest) -> None:
        watcher = Watcher(stream, request.watch_id or stream.free_id(), span, request, self.revision)
        stream.watchers[watcher.id] = watcher
        if watcher.start_revision > self.revision:
            stream.early[watcher] = None
        self._count(watcher, 1)
        self._respond(stream, self._header(), watcher.id_field + WATCH_CREATED_TRUE)
        if watcher.next_revision > self.revision:
            self._sync(watcher)
        else:
            self._unsynced[watcher] = None
        if watcher.quiet is not None:
            self._progress.begin(stream)

    def _cancel(self, stream: WatchStream, watch_id: int) -> None:
        """An id that is not in use gets no answer, as in etcd."""
        watcher = stream.watchers.get(watch_id)
        if watcher is not None:
            self._drop(watcher)
            self._respond(stream, self._header(), watcher.id_field + WATCH_CANCELED_TRUE)
            self._answer_progress(stream)

    def _request_progress(self, stream: WatchStream) -> None:
        """NB: etcd forgets the question if a watcher is behind; here it is answered when none is any more."""
        if stream.awaits_future(self.revision):
            return
        if stream.behind:
            stream.asks_progress = True
        elif stream.watchers:
            self._report(stream, INVALID_ID)

    def _answer_progress(self, stream: WatchStream) -> None:
        """A watcher is no longer behind: perhaps it was the last one that the client's question waited for."""
        if stream.asks_progress and not stream.behind:
            stream.asks_progress = False
            if stream.watchers:
                self._report(stream, INVALID_ID)

    def _report(self, stream: WatchStream, watch_id: int) -> None:
        self._respond(stream, self._header(), int_field(WATCH_ID, watch_id))

    def notify(self, now: float) -> None:
        """Tells watchers with progress_notify that were sent nothing since the last time where they are."""
        for stream in self._progress.due(now):
            for watcher in stream.watchers.values():
                if watcher.quiet and watcher.state == SYNCED and watcher.start_revision <= self.revision:
                    self._report(stream, watcher.id)
                if watcher.quiet is not None:
                    watcher.quiet = True

    def _header(self) -> bytes:
        return self._pieces.field(self.revision)

    def _respond(self, stream: WatchStream, header: bytes, fields: bytes) -> None:
        stream.client.send_parts(header + fields, b"")
        stream.client.touch()


def _wants_prev_kv(request: pb.WatchRequest) -> bool:
    return request.create_request.prev_kv
