"""Keep-alives of one listener: messages of LeaseKeepAlive streams go to the lessor, its answers back, in order.

They are no calls: none of the bounds of calls applies to them, and they wait for nothing that calls wait for. A stream
has at most limits.KEEP_ALIVES_IN_FLIGHT messages under way; what else its client sends waits here, as it would in the
socket of etcd.
"""

import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from actors.listener.auth_gate import AuthGate
from actors.listener.call import Caller, ForClient
from actors.listener.streams import Connection, StreamCall, end_for_resumption, unreadable
from etcdz import limits
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import LEASE_KEEP_ALIVE, LEASE_KEYS
from etcdz.auth.questions import lease_question
from etcdz.lease.question import KEEP_ALIVE
from etcdz.proto import etcdserverpb as pb
from etcdz.wire.request_head import Metadata

AskAboutUsers = Callable[[Caller, int, bytes, int, AuthInfo | None], int]

_LEASES: Final[dict[bytes, int]] = {}
"""Lease by request: clients send the same again and again."""
_LEASES_MAX: Final = 20_000
_LOOK_EVERY: Final = 1_024
"""After so many messages of a stream it is looked at whether its client reads the answers."""
_REQUEST_BYTES_MAX: Final = 11
"""Of one that says nothing but its lease."""


def _lease_of(body: bytes) -> int:
    """raises DecodeError"""
    lease_id: int = pb.LeaseKeepAliveRequest.FromString(body).ID
    if len(body) <= _REQUEST_BYTES_MAX:
        if len(_LEASES) >= _LEASES_MAX:
            _LEASES.clear()
        _LEASES[body] = lease_id
    return lease_id


class Asker(Protocol):
    """Where an answer goes: a stream with many messages, or the connection of one with a single message.

    place   the message's number in its stream, or the stream's in its connection
    """

    def reply(self, place: int, code: int, body: bytes) -> None: ...
    def flush(self) -> None: ...


class KeepAlives:
    """All keep-alives of a listener that wait for the lessor. len(): how many."""

    def __init__(
        self, timeout_s: float, flush_soon: Callable[[], None], gate: AuthGate, ask_about_users: AskAboutUsers
    ) -> None:
        """ask_about_users: as of Routes"""
        self._timeout_s = timeout_s
        self._flush_soon = flush_soon
        self._gate = gate
        self._ask_about_users = ask_about_users
        self.identities = gate.identities
        self._waiting: dict[int, tuple[Asker, int, int, float]] = {}
        """By id: (asker, place of the answer there, lease, when it began). Invariant: in the order of these times."""
        # Below zero, where no id of a call is: the lessor's answers come for both.
        self._next_id = count(-1, -1).__next__
        self.queries: list[tuple[int, int, int]] = []
        """For the lessor, with the end of the turn."""

    def __len__(self) -> int:
        return len(self._waiting)

    def serve(self, call: StreamCall) -> "KeepAliveStream":
        """The service of actors/listener/streams.py."""
        return KeepAliveStream(self, call)

    def serve_single(self, connection: Connection, stream_id: int, body: bytes, metadata: Metadata) -> None:
        """The same for a call that is one message and the end, whose answers need no order."""
        lease_id = _LEASES.get(body)
        if lease_id is None:
            try:
                lease_id = _lease_of(body)
            except DecodeError as problem:
                connection.reply(stream_id, Code.INTERNAL, unreadable(problem).encode())
                return
        if self.identities.enabled:
            auth = self.identities.of_call(metadata, connection.common_name)
            self.ask_if_permitted(connection, stream_id, lease_id, connection, auth)
        else:
            self.ask(connection, stream_id, lease_id)

    def ask_if_permitted(self, asker: Asker, place: int, lease_id: int, client: Asker, auth: AuthInfo | None) -> None:
        """As `ask`, while auth is on: who renews a lease must be an admin, or be allowed to write all keys that are on
        it, each time anew. client: its connection"""
        permission = _Permission(self, asker, place, lease_id, client)
        error = self._gate.permit(permission, 0, LEASE_KEEP_ALIVE, b"", auth, permission.look_at_keys)
        if error is not None:
            asker.reply(place, error.code, error.text.encode())

    def ask_for_keys(self, permission: "_Permission", lease_id: int, auth: AuthInfo) -> None:
        """Asks the backend, unless an admin need not be asked for."""
        if self._gate.is_admin(auth):
            permission.reply(0, Code.OK, b"")
        else:
            self._ask_about_users(permission, LEASE_KEYS, lease_question(lease_id, wants_write=True), 0, auth)

    def ask(self, asker: Asker, place: int, lease_id: int) -> None:
        """Renews a lease; asker.reply(place, ...) has the answer."""
        number = self._next_id()
        self._waiting[number] = (asker, place, lease_id, time.monotonic())
        self.queries.append((number, KEEP_ALIVE, lease_id))
        self._flush_soon()

    def on_answer(self, number: int, body: bytes, touched: set[Asker]) -> None:
        """The lessor has answered a query. touched: the asker is added, to be flushed with the end of the turn"""
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            asker = waiting[0]
            asker.reply(waiting[1], 0, body)
            touched.add(asker)

    def ask_again(self) -> None:
        """A new lessor runs: it is asked what is unanswered, in order."""
        self.queries = [(number, KEEP_ALIVE, waiting[2]) for number, waiting in self._waiting.items()]

    def expire(self, now: float, touched: set[Asker], error: EtcdError = errors.TIMEOUT) -> None:
        """Ends the streams of messages that the lessor has not answered within the request timeout: there is no leader,
        or no revoke is applied. now: on the monotonic clock. error: what they are told"""
        oldest = now - self._timeout_s
        late = []
        for number, (_, _, _, began_s) in self._waiting.items():
            if began_s > oldest:
                break
            late.append(number)
        for number in late:
            asker, place, _, _ = self._waiting.pop(number)
            asker.reply(place, error.code, error.text.encode())
            touched.add(asker)


class _Permission(ForClient):
    """Of one message: what waits for the word that its lease may be renewed."""

    __slots__ = ("_asker", "_client", "_keep_alives", "_lease_id", "_place")

    def __init__(self, keep_alives: KeepAlives, asker: Asker, place: int, lease_id: int, client: Asker) -> None:
        self._keep_alives = keep_alives
        self._asker = asker
        self._place = place
        self._lease_id = lease_id
        self._client = client

    @property
    def client(self) -> Caller:
        return self._client

    def look_at_keys(self, auth: AuthInfo | None) -> None:
        """Somebody asks; None: auth is off."""
        if auth is None:
            self.reply(0, Code.OK, b"")
        else:
            self._keep_alives.ask_for_keys(self, self._lease_id, auth)

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        if code:
            self._asker.reply(self._place, code, body)
        else:
            self._keep_alives.ask(self._asker, self._place, self._lease_id)

    def flush(self) -> None:
        self._asker.flush()


class KeepAliveStream:
    """One LeaseKeepAlive call: the StreamHandler of its stream, and the Asker of its messages."""

    __slots__ = ("_answered", "_asked", "_call", "_draining", "_early", "_ended", "_keep_alives", "_queue")

    def __init__(self, keep_alives: KeepAlives, call: StreamCall) -> None:
        self._keep_alives = keep_alives
        self._call = call
        self._queue: deque[int] | None = None
        """Leases of messages that are not under way yet. None, as the next: most streams have one message."""
        self._asked = 0
        self._answered = 0
        self._early: dict[int, bytes] | None = None
        """Answers that have overtaken one that must be sent before: by place."""
        self._ended = False
        """The client will send no more."""
        self._draining = False

    # ---- from the client ----

    def on_message(self, body: bytes) -> None:
        lease_id = _LEASES.get(body)
        if lease_id is None:
            try:
                lease_id = _lease_of(body)
            except DecodeError as problem:
                self._call.finish(Code.INTERNAL, unreadable(problem))
                return
        if self._asked % _LOOK_EVERY == _LOOK_EVERY - 1 and self._call.pending_bytes > limits.UNREAD_BYTES_MAX:
            self.fail(errors.REQUEST_TOO_MANY_REQUESTS)
        elif self._asked - self._answered < limits.KEEP_ALIVES_IN_FLIGHT and not self._queue:
            self._ask(lease_id)
        elif self._queue is None:
            self._queue = deque((lease_id,))
        elif len(self._queue) < limits.KEEP_ALIVES_QUEUED:
            self._queue.append(lease_id)
        else:
            self.fail(errors.REQUEST_TOO_MANY_REQUESTS)

    def on_end(self) -> None:
        self._ended = True
        self._maybe_finish()

    def on_gone(self) -> None:
        self._queue = self._early = None  # what is under way is done all the same, and not answered

    def on_writable(self) -> None:
        self._go_on()

    def on_drain(self) -> None:
        self._draining = True
        self._queue = None  # not begun: the client sends them again elsewhere
        self._maybe_finish()

    # ---- to the client ----

    def reply(self, place: int, code: int, body: bytes) -> None:
        """What the lessor says to the message in this place, or why it says nothing: that ends the call."""
        try:
            self._reply(place, code, body)
        except Exception as error:
            self._call.connection.fail(error)

    def _reply(self, place: int, code: int, body: bytes) -> None:
        call = self._call
        if code:
            call.finish(code, body.decode())
            return
        if place != self._answered:
            if self._early is None:
                self._early = {}
            self._early[place] = body
            return
        self._answered += 1
        if self._ended and self._answered == self._asked and not self._queue:
            call.finish_with(body)
            return
        call.send_parts(b"", body)
        while self._early and self._answered in self._early:
            call.send(self._early.pop(self._answered))
            self._answered += 1
        if self._queue:
            self._go_on()
        elif self._ended or self._draining:
            self._maybe_finish()

    def flush(self) -> None:
        """With the end of the turn, once for all streams of the connection."""
        self._call.touch()

    def fail(self, error: EtcdError) -> None:
        """Ends the call with this error."""
        self._call.finish(error.code, error.text)
        self._call.touch()

    def _ask(self, lease_id: int) -> None:
        place = self._asked
        self._asked += 1
        keep_alives = self._keep_alives
        if keep_alives.identities.enabled:
            call = self._call
            auth = keep_alives.identities.of_stream(call)
            keep_alives.ask_if_permitted(self, place, lease_id, call.connection, auth)
        else:
            keep_alives.ask(self, place, lease_id)

    def _go_on(self) -> None:
        """With the next that wait, unless the client does not read what it has asked for."""
        while self._queue and self._asked - self._answered < limits.KEEP_ALIVES_IN_FLIGHT and not self._call.is_clogged:
            self._ask(self._queue.popleft())
        self._maybe_finish()

    def _maybe_finish(self) -> None:
        if self._queue or self._asked != self._answered:
            return
        if self._ended:
            self._call.finish()
        elif self._draining:
            end_for_resumption(self._call)
