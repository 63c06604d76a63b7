"""The watches at the cluster: one for all clients that watch the same keys with the same filters, where they may share.

    Source      a Watch stream at the cluster, of one caller; it is opened again when it ends, and goes on where it was
    Shared      one watch on it, and who receives what it tells
    Receiver    one watch of a client

A receiver names the revision that it wants to begin with. It joins a watch that has not passed that revision; if there
is none, it gets one of its own, which ends when it has caught up with another: its receivers go on there. So nobody
misses anything, is told anything twice, or waits for others.

A watch goes on with the rights of who has asked for it first, and who joins it has been asked for its own before
(client_watches.py). When a token is not taken any more its watches are begun anew for each of their receivers.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from etcdz.api import errors as api
from etcdz.api.errors import Code
from etcdz.cli.grpc_proxy.callers import Caller
from etcdz.cli.grpc_proxy.namespace import Namespace
from etcdz.client import methods
from etcdz.client.errors import ClientClosed, EtcdError
from etcdz.client.retries import TOKEN_TEXTS
from etcdz.client.streams import StreamCall
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import encode_varint, message_field
from etcdz.proto.tags import RESPONSE_HEADER, WATCH_ID

REOPEN_FIRST_S: Final = 0.01
REOPEN_FACTOR: Final = 1.5
REOPEN_MAX_S: Final = 0.5
PROGRESS_MAX: Final = 4096
"""Requests for progress that wait for one stream; with more, the oldest is answered by what is known."""
_PROGRESS_REQUEST: Final = pb.WatchRequest(progress_request=pb.WatchProgressRequest()).SerializeToString()
_RESUMED: Final = (Code.UNAVAILABLE, Code.INTERNAL)
_NOT_PERMITTED: Final = (api.PERMISSION_DENIED.text, *TOKEN_TEXTS)


class Kind(NamedTuple):
    """What watches must have in common to share one. needs_leader: it ends when its member has none"""

    key: bytes
    end: bytes
    filters: tuple[int, ...]
    needs_leader: bool


class Told(NamedTuple):
    """A WatchResponse but for its watch_id, which belongs between the two. body: shared by all who are told the same"""

    header: bytes
    body: bytes


class Receiver(Protocol):
    """A client's watch.

    next_revision   what is below it is not told
    prev, progress  whether it wants the values before, and to hear that nothing has happened
    """

    caller: Caller
    next_revision: int
    prev: bool
    progress: bool

    def on_created(self) -> None:
        """NB: again, if it has to be made anew."""

    def on_told(self, told: "Told") -> None: ...

    def on_canceled(self, response: Any) -> None:
        """It is over. response: a WatchResponse that says why"""

    def on_broken(self, code: int, text: str) -> None:
        """The stream of the client is over."""


class Shared:
    """One watch at the cluster. next_revision: what is below it has been told."""

    def __init__(self, owner: "SharedWatches", kind: Kind, source: "Source", start: int, prev: bool) -> None:
        self.kind = kind
        self.source = source
        self.next_revision = start
        self.prev = prev
        self.watch_id = 0
        self.is_created = False
        self.receivers: dict[Receiver, None] = {}
        self._owner = owner

    def create_request(self) -> bytes:
        kind = self.kind
        key, end = self._owner.namespace.span(kind.key, kind.end)
        create = pb.WatchCreateRequest(
            key=key,
            range_end=end,
            start_revision=self.next_revision,
            progress_notify=True,
            filters=kind.filters,
            prev_kv=self.prev,
            watch_id=self.watch_id,
        )
        return pb.WatchRequest(create_request=create).SerializeToString()

    def on_response(self, response: Any) -> None:
        if response.canceled:
            self._on_canceled(response)
        elif response.created:
            self._on_created()
        elif response.events:
            self._tell(response)
            self.next_revision = max(self.next_revision, response.events[-1].kv.mod_revision + 1)
            self._owner.merge(self)
        else:
            self.next_revision = max(self.next_revision, response.header.revision + 1)
            self._tell_progress(response)
            self._owner.merge(self)

    def _on_created(self) -> None:
        is_first, self.is_created = not self.is_created, True
        if is_first:
            for receiver in list(self.receivers):
                receiver.on_created()

    def _on_canceled(self, response: Any) -> None:
        self._owner.drop(self)
        if response.cancel_reason in _NOT_PERMITTED and self._found_anew():
            return
        for receiver in list(self.receivers):
            receiver.on_canceled(response)

    def _found_anew(self) -> bool:
        """Others may have rights that the first one has no more. return False: there are none"""
        others = [receiver for receiver in self.receivers if receiver.caller != self.source.caller]
        if not others:
            return False
        for receiver in list(self.receivers):
            if receiver.caller == self.source.caller:
                refusal = pb.WatchResponse(canceled=True, cancel_reason=api.PERMISSION_DENIED.text)
                receiver.on_canceled(refusal)
        for receiver in others:
            self._owner.join(receiver, self.kind)
        return True

    def _tell(self, response: Any) -> None:
        first = response.events[0].kv.mod_revision
        self._owner.namespace.leave_events(response)
        whole, bare = _encode(response), None
        self._owner.coalesced += max(0, len(self.receivers) - 1)
        for receiver in list(self.receivers):
            if first < receiver.next_revision:
                self._tell_rest(receiver, response)
            elif receiver.prev or not self.prev:
                receiver.on_told(whole)
            else:
                bare = bare or _encode(_without_prev(response))
                receiver.on_told(bare)

    def _tell_rest(self, receiver: Receiver, response: Any) -> None:
        """Some of the events it knows already, or is not to know."""
        part = pb.WatchResponse()
        part.CopyFrom(response)
        del part.events[:]
        part.events.extend([e for e in response.events if e.kv.mod_revision >= receiver.next_revision])
        if part.events:
            receiver.on_told(_encode(part if receiver.prev else _without_prev(part)))

    def _tell_progress(self, response: Any) -> None:
        told = _encode(response)
        for receiver in list(self.receivers):
            if receiver.progress and receiver.next_revision <= self.next_revision:
                receiver.on_told(told)


def _encode(response: Any) -> Told:
    """NB: in the order of the fields' numbers, as everybody else sends them."""
    header = message_field(RESPONSE_HEADER, response.header.SerializeToString())
    rest = pb.WatchResponse(events=response.events)
    return Told(header, rest.SerializeToString())


def _without_prev(response: Any) -> Any:
    bare = pb.WatchResponse()
    bare.CopyFrom(response)
    for event in bare.events:
        event.ClearField("prev_kv")
    return bare


def with_id(watch_id: int) -> bytes:
    """The field that goes between."""
    return WATCH_ID + encode_varint(watch_id & (1 << 64) - 1) if watch_id else b""


class Source:
    """A stream of watches of one caller."""

    def __init__(self, owner: "SharedWatches", caller: Caller) -> None:
        self.caller = caller
        self.watches: dict[int, Shared] = {}
        self._owner = owner
        self._stream: StreamCall | None = None
        self._is_open = False
        self._last_id = 0
        self._pause_s = REOPEN_FIRST_S
        self._progress: deque[Callable[[Any], None]] = deque()
        self._creating: deque[int] = deque()
        """Those that the cluster has been asked for, and has not answered: it answers in their order."""

    def add(self, watch: Shared) -> None:
        self._last_id += 1
        watch.watch_id = self._last_id
        self.watches[watch.watch_id] = watch
        if self._stream is None:
            self._open()
        elif self._is_open:
            self._ask(watch)

    def remove(self, watch: Shared) -> None:
        if self.watches.pop(watch.watch_id, None) is None:
            return
        if not self.watches:
            self._owner.forget(self)
            if self._stream is not None:
                self._stream.cancel()
                self._owner.shell.schedule()
        elif self._is_open:
            cancel = pb.WatchCancelRequest(watch_id=watch.watch_id)
            self._send(pb.WatchRequest(cancel_request=cancel).SerializeToString())

    def _open(self) -> None:
        stream = self._stream = StreamCall(methods.WATCH, metadata=self.caller)
        stream.open, stream.message, stream.end = self._on_open, self._on_message, self._on_end
        try:
            self._owner.shell.core.stream(stream)
        except ClientClosed:
            return
        self._owner.shell.schedule()

    def _on_open(self) -> None:
        self._is_open = True
        self._creating.clear()
        for watch in self.watches.values():
            self._ask(watch)
        for _ in self._progress:
            self._send(_PROGRESS_REQUEST)

    def _ask(self, watch: Shared) -> None:
        self._creating.append(watch.watch_id)
        self._send(watch.create_request())

    def _send(self, message: bytes) -> None:
        if self._stream is not None:
            self._owner.shell.core.send(self._stream, message)
            self._owner.shell.schedule()

    def _on_message(self, message: bytes) -> None:
        """NB: what is asked for and refused has no id of ours in some versions of etcd."""
        response = pb.WatchResponse.FromString(message)
        self._pause_s = REOPEN_FIRST_S
        watch_id = response.watch_id
        if response.created and self._creating:
            watch_id = self._creating.popleft()
        watch = self.watches.get(watch_id)
        if watch is not None:
            watch.on_response(response)
        elif not (response.created or response.canceled or response.events) and self._progress:
            self._progress.popleft()(response.header)

    def ask_progress(self, then: Callable[[Any], None]) -> None:
        """then: told the header, once what was there before is told"""
        if len(self._progress) >= PROGRESS_MAX:
            self._progress.popleft()(None)
        self._progress.append(then)
        if self._is_open:
            self._send(_PROGRESS_REQUEST)

    def _on_end(self, error: EtcdError | None) -> None:
        self._stream = None
        self._is_open = False
        if not self.watches:
            return
        code, text = (error.code, error.text) if error is not None else (Code.UNAVAILABLE, "")
        if code in _RESUMED and text != api.NO_LEADER.text:
            self._owner.shell.core.after(self._pause_s, self._reopen)
            self._pause_s = min(REOPEN_MAX_S, self._pause_s * REOPEN_FACTOR)
            return
        self._owner.forget(self)
        for watch in list(self.watches.values()):
            self._owner.drop(watch)
            for receiver in list(watch.receivers):
                receiver.on_broken(code, text)

    def _reopen(self) -> None:
        if self.watches and self._stream is None:
            self._open()


class SharedWatches:
    """All of them. coalesced: events that were told to more than one, once for each that was told beside the first"""

    def __init__(self, shell: Any, namespace: Namespace) -> None:
        self.shell = shell
        self.namespace = namespace
        self.coalesced = 0
        self._sources: dict[Caller, Source] = {}
        self._watches: dict[Kind, list[Shared]] = {}
        self._of: dict[Receiver, Shared] = {}

    def __len__(self) -> int:
        return sum([len(watches) for watches in self._watches.values()])

    @property
    def receivers_coalesced(self) -> int:
        """Watches of clients that need none of their own."""
        return len(self._of) - len(self)

    def join(self, receiver: Receiver, kind: Kind) -> None:
        """Requires: receiver.next_revision is set. It is told that it is created, now or when it is."""
        watch = self._fitting(receiver, kind) or self._found(receiver, kind)
        watch.receivers[receiver] = None
        self._of[receiver] = watch
        if watch.is_created:
            receiver.on_created()

    def _fitting(self, receiver: Receiver, kind: Kind) -> Shared | None:
        for watch in self._watches.get(kind, ()):
            if watch.next_revision <= receiver.next_revision and (watch.prev or not receiver.prev):
                return watch
        return None

    def _found(self, receiver: Receiver, kind: Kind) -> Shared:
        caller = receiver.caller
        source = self._sources.get(caller)
        if source is None:
            source = self._sources[caller] = Source(self, caller)
        watch = Shared(self, kind, source, receiver.next_revision, receiver.prev)
        self._watches.setdefault(kind, []).append(watch)
        source.add(watch)
        return watch

    def leave(self, receiver: Receiver) -> None:
        """It wants no more."""
        watch = self._of.pop(receiver, None)
        if watch is not None:
            del watch.receivers[receiver]
            if not watch.receivers:
                self.drop(watch)

    def merge(self, watch: Shared) -> None:
        """It may have caught up with another one of its kind: they go on as one."""
        for other in self._watches.get(watch.kind, ()):
            if (
                other is not watch
                and other.is_created
                and watch.is_created
                and other.next_revision <= watch.next_revision
                and (other.prev or not any(receiver.prev for receiver in watch.receivers))
            ):
                for receiver in watch.receivers:
                    receiver.next_revision = max(receiver.next_revision, watch.next_revision)
                    other.receivers[receiver] = None
                    self._of[receiver] = other
                watch.receivers.clear()
                self.drop(watch)
                return

    def drop(self, watch: Shared) -> None:
        """It is over. NB: its receivers are still told."""
        watches = self._watches.get(watch.kind, [])
        if watch in watches:
            watches.remove(watch)
            if not watches:
                del self._watches[watch.kind]
        for receiver in watch.receivers:
            if self._of.get(receiver) is watch:
                del self._of[receiver]
        watch.source.remove(watch)

    def ask_progress(self, receivers: Sequence[Receiver], then: Callable[[Any], None]) -> None:
        """then: told the header of a revision up to which they have been told everything; None: none are there"""
        sources = {self._of[receiver].source for receiver in receivers if receiver in self._of}
        if not sources:
            then(None)
            return
        headers: list[Any] = []

        def collect(header: Any) -> None:
            headers.append(header)
            if len(headers) < len(sources):
                return
            now = {self._of[receiver].source for receiver in receivers if receiver in self._of}
            if now <= sources:
                then(min(filter(None, headers), key=lambda known: known.revision, default=None))
            else:  # one of them goes on with another stream, which may be behind
                self.ask_progress(receivers, then)

        for source in sources:
            source.ask_progress(collect)

    def forget(self, source: Source) -> None:
        if self._sources.get(source.caller) is source:
            del self._sources[source.caller]
