"""One client's Watch stream: its watches, made one after the other, and what they are told.

Before a watch is made, the cluster is asked with the client's own token whether it may read these keys; the answer says
at which revision the watch begins, too. Source: etcd 3.5 grpcproxy/watch.go.
"""

from collections import deque
from typing import Any, Final

from google.protobuf.message import DecodeError

from etcdz import limits
from etcdz.api.errors import Code
from etcdz.cli.grpc_proxy.callers import Caller, requires_leader
from etcdz.cli.grpc_proxy.shared_watches import Kind, SharedWatches, Told, with_id
from etcdz.client import methods
from etcdz.client.errors import ClientClosed
from etcdz.client.pending import Call
from etcdz.proto import etcdserverpb as pb

NO_ID: Final = -1
CHECK_S: Final = 5.0
_DUPLICATE: Final = "mvcc: duplicate watch ID provided on the WatchStream"
_ALL: Final = b"\0"


class ClientWatch:
    """One watch of a client: a Receiver."""

    __slots__ = ("_id_field", "_owner", "caller", "kind", "next_revision", "prev", "progress", "watch_id")

    def __init__(self, owner: "ClientWatches", create: Any) -> None:
        self._owner = owner
        self.caller = owner.caller
        key = create.key or _ALL
        filters = tuple(sorted(set(create.filters)))
        self.kind = Kind(key, create.range_end, filters, requires_leader(owner.caller))
        self.next_revision = max(0, create.start_revision)
        self.prev = create.prev_kv
        self.progress = create.progress_notify
        self.watch_id = create.watch_id
        self._id_field = b""

    def is_valid(self) -> bool:
        return not self.kind.end or self.kind.end == _ALL or self.kind.end > self.kind.key

    def name(self) -> None:
        """Its id is known."""
        self._id_field = with_id(self.watch_id)

    def on_created(self) -> None:
        self._owner.on_created(self)

    def on_told(self, told: Told) -> None:
        self._owner.stream.send_parts(told.header + self._id_field, told.body)

    def on_canceled(self, response: Any) -> None:
        self._owner.on_canceled(self, response)

    def on_broken(self, code: int, text: str) -> None:
        self._owner.end(code, text)


class ClientWatches:
    """stream: the client's"""

    def __init__(self, shared: SharedWatches, stream: Any, caller: Caller) -> None:
        self.stream = stream
        self.caller = caller
        self._shared = shared
        self._watches: dict[int, ClientWatch] = {}
        self._next_id = 0
        self._queue: deque[Any] = deque()
        self._queue_bytes = 0
        self._making: ClientWatch | None = None
        self._call: Call | None = None
        self._header = pb.ResponseHeader()
        self._is_over = False

    # ---- from the client ----

    def on_message(self, message: bytes) -> None:
        try:
            request = pb.WatchRequest.FromString(message)
        except DecodeError as problem:
            self.end(Code.INTERNAL, f"grpc: failed to unmarshal the received message {problem}")
            return
        self._queue_bytes += len(message)
        if len(self._queue) >= limits.WATCH_REQUESTS_PENDING or self._queue_bytes > limits.UNREAD_BYTES_MAX:
            self.end(Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests")
            return
        self._queue.append(request)
        self._go_on()

    def on_end(self) -> None:
        """NB: like etcd, whose watches end with what their client says."""
        self.end(0, "")

    def on_cancel(self) -> None:
        """The stream is gone."""
        self._is_over = True
        self._queue.clear()
        if self._call is not None:
            self._shared.shell.core.cancel(self._call)
            self._shared.shell.schedule()
        watches = list(self._watches.values())
        self._watches.clear()
        for watch in [*watches, *([self._making] if self._making is not None else [])]:
            self._shared.leave(watch)
        self._making = None

    def on_writable(self) -> None:
        """What is told leaves by itself."""

    def end(self, code: int, text: str) -> None:
        if not self._is_over:
            self.on_cancel()
            self.stream.finish(code, text)

    def _go_on(self) -> None:
        while self._queue and self._making is None and not self._is_over:
            request = self._queue.popleft()
            if not self._queue:
                self._queue_bytes = 0
            kind = request.WhichOneof("request_union")
            if kind == "create_request":
                self._make(request.create_request)
            elif kind == "cancel_request":
                self._cancel(request.cancel_request.watch_id)
            elif kind == "progress_request":
                self._ask_progress()

    # ---- a watch is made ----

    def _make(self, create: Any) -> None:
        watch = ClientWatch(self, create)
        if not watch.is_valid():
            self._refuse("")
        elif watch.watch_id in self._watches and watch.watch_id:
            self._refuse(_DUPLICATE)
        else:
            self._making = watch
            self._check(watch)

    def _check(self, watch: ClientWatch) -> None:
        key, end = self._shared.namespace.span(watch.kind.key, watch.kind.end)
        request = pb.RangeRequest(key=key, range_end=end, serializable=True, count_only=True, limit=1)
        core = self._shared.shell.core
        try:
            call = self._call = core.call(methods.RANGE, request.SerializeToString(), CHECK_S, self.caller)
        except ClientClosed as error:
            self.end(Code.UNAVAILABLE, error.text)
            return
        call.tell = lambda: self._on_checked(watch, call)
        if call.done:
            call.tell()
        else:
            self._shared.shell.schedule()

    def _on_checked(self, watch: ClientWatch, call: Call) -> None:
        self._call = None
        if self._is_over:
            return
        if call.error is not None:
            self._on_check_failed(call.error)
            return
        self._header = pb.RangeResponse.FromString(call.value or b"").header
        if not watch.next_revision:
            watch.next_revision = self._header.revision + 1
        self._shared.join(watch, watch.kind)

    def _on_check_failed(self, error: Any) -> None:
        """NB: a cluster that cannot be reached is no refusal: the client asks again."""
        self._making = None
        if error.code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELED):
            self.end(Code.UNAVAILABLE, error.text)
        else:
            self._refuse(error.text)
            self._go_on()

    def _refuse(self, reason: str) -> None:
        self._send(
            pb.WatchResponse(header=self._header, watch_id=NO_ID, created=True, canceled=True, cancel_reason=reason)
        )

    def on_created(self, watch: ClientWatch) -> None:
        """It stands at the cluster."""
        if watch is not self._making:
            return
        self._making = None
        if not watch.watch_id:
            while self._next_id in self._watches:
                self._next_id += 1
            watch.watch_id = self._next_id
            self._next_id += 1
        watch.name()
        self._watches[watch.watch_id] = watch
        self._send(pb.WatchResponse(header=self._header, watch_id=watch.watch_id, created=True))
        self._go_on()

    def on_canceled(self, watch: ClientWatch, response: Any) -> None:
        """By the cluster."""
        self._shared.leave(watch)
        told = pb.WatchResponse()
        told.CopyFrom(response)
        told.watch_id = watch.watch_id
        if watch is self._making:
            self._making = None
            told.created = True
            if not response.compact_revision:
                told.watch_id = NO_ID
        self._watches.pop(watch.watch_id, None)
        self._send(told)
        self._go_on()

    def _cancel(self, watch_id: int) -> None:
        watch = self._watches.pop(watch_id, None)
        if watch is not None:
            self._shared.leave(watch)
            self._send(pb.WatchResponse(header=self._header, watch_id=watch_id, canceled=True))

    def _ask_progress(self) -> None:
        """Answered once everything is told that was there when it was asked."""
        self._shared.ask_progress(list(self._watches.values()), self._on_progress)

    def _on_progress(self, header: Any) -> None:
        if not self._is_over:
            self._send(pb.WatchResponse(header=header or self._header, watch_id=NO_ID))

    def _send(self, response: Any) -> None:
        self.stream.send(response.SerializeToString())
