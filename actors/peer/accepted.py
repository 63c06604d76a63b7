"""A connection that another member has made to this one: its requests, one after the other, and their answers.

A stream's GET is the last request of its connection: what this member says to that one is written to it from then on.
Whoever connects has READ_S for each step, and anybody may connect: what one of them can cost is bounded here.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from actors.peer.host import Host as ConnectionsHost
from actors.peer.outgoing_stream import OutgoingStream
from actors.peer.remote_member import RemoteMember
from actors.peer.tls_connection import TlsTransport
from etcdz.peer import routes
from etcdz.peer.answers import (
    Answer,
    accepted,
    members_answer,
    not_processed,
    probing_answer,
    stream_head,
    text_error,
    undecodable,
    version_answer,
)
from etcdz.peer.dialling import FILTERS, PROCESS
from etcdz.peer.heads import Headers, RequestHead
from etcdz.peer.http1 import CONTINUE, END, End, RequestReader
from etcdz.peer.message_stream import decode_post
from etcdz.peer.protocol_error import ProtocolError
from etcdz.peer.routes import Accepted

READ_S: Final = 5.0
"""From one read to the next, and between two requests."""
REQUESTS_PER_TURN: Final = 32
"""Of one connection, before the others have their turn."""
PIPELINED_BYTES_MAX: Final = 64 << 10
"""Behind a request that waits for its answer: with more the connection is not read from."""
UNREAD_BYTES_MAX: Final = 1 << 20
"""Answers that the other end does not read: with more it is not read from."""


class Connected(Protocol):
    """A connection that another member has made, as the actor counts it.

    body_bytes  of a request that is not whole
    is_stream   it is one of another member's
    """

    @property
    def body_bytes(self) -> int: ...

    @property
    def is_stream(self) -> bool: ...

    def cut(self) -> None:
        """End it now."""


class Host(ConnectionsHost, Protocol):
    """What these need of the actor besides.

    remotes  the other members, and remotes
    """

    remotes: dict[int, RemoteMember]

    def on_connected(self, connection: "Connected") -> None: ...
    def on_lost_connection(self, connection: "Connected") -> None: ...
    def on_body(self, connection: "AcceptedConnection", size: int) -> None:
        """It holds so much more, or less, of a request that is not whole."""

    def take_to_raft(self, message: bytes) -> bool:
        """One that was POSTed; whether it was handed to raft."""

    def on_bad_post(self, address: str) -> None:
        """What was POSTed from there as a message is none."""

    def take_snapshot(self, connection: socket.socket, sender: int, length: int, begin: bytes) -> None:
        """As IncomingSnapshots.take."""

    def ask(self, connection: "AcceptedConnection", request: RequestHead, body: bytes) -> None:
        """What another actor answers."""

    def meet_remotes(self) -> None:
        """A request may have told of one."""


class AcceptedConnection(asyncio.Protocol):
    """deadline     when it is cut, of the event loop's clock; None: it waits for us"""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = RequestReader(routes.body_bytes_max)
        self._transport: asyncio.Transport | None = None
        self._request: RequestHead | None = None
        self._accepted: Accepted | None = None
        """None while a request is not there, or was refused and is only read to its end."""
        self._body = bytearray()
        self._raw = b""
        """What has come of a request whose head is not whole."""
        self._is_given_away = self._is_clogged = False
        self._owner: RemoteMember | None = None
        self._stream: OutgoingStream | None = None
        self.deadline: float | None = host.event_loop.time() + READ_S

    @property
    def body_bytes(self) -> int:
        """Of a request that is not whole."""
        return len(self._body)

    @property
    def is_stream(self) -> bool:
        return self._stream is not None

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=UNREAD_BYTES_MAX)
        self._host.clocked.add(self)
        self._host.on_connected(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._host.clocked.discard(self)
        self._drop_body()
        self._host.on_lost_connection(self)
        if self._owner is not None and self._stream is not None:
            self._owner.detach(self._stream)

    def pause_writing(self) -> None:
        if self._stream is not None:
            self._stream.pause(self._host.event_loop.time())
        self._is_clogged = True
        self._regulate()

    def resume_writing(self) -> None:
        if self._stream is not None:
            self._stream.resume()
        self._is_clogged = False
        self._take_more()

    def _regulate(self) -> None:
        """Read on, unless answers are not taken, or much has come behind a request that waits for its answer."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._stream is None and (self._is_clogged or self._reader.waiting_bytes > PIPELINED_BYTES_MAX):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._stream is not None:
            return  # nothing can follow a request for a stream
        if self.deadline is not None:
            self.deadline = self._host.event_loop.time() + READ_S
        if self._request is None:
            self._raw += data
        self._guarded(lambda: self._take(self._reader.receive(data)))
        self._regulate()

    def check(self, now: float) -> None:
        """Cut it if it is overdue."""
        if self._stream is not None:
            self._stream.check(now)
        elif self.deadline is not None and now > self.deadline:
            self.cut()

    def cut(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    # ---- requests ----

    def _take(self, events: list[RequestHead | bytes | End]) -> None:
        """NB: until `proceed`, the reader only keeps what comes behind a request."""
        for left in reversed(range(REQUESTS_PER_TURN)):
            for event in events:
                if not self._is_given_away:
                    self._take_event(event)
            if not self._may_go_on():
                return
            if not left:
                if self.deadline is not None:  # what has come and waits for us is no silence of its sender
                    self.deadline = self._host.event_loop.time() + READ_S
                self._host.event_loop.call_soon(self._take_more)
                return
            events = self._reader.proceed()
            if not events:
                return

    def _take_event(self, event: RequestHead | bytes | End) -> None:
        if isinstance(event, bytes):
            if self._accepted is not None:
                self._body += event
                self._host.on_body(self, len(event))
        elif isinstance(event, RequestHead):
            self._on_head(event)
        elif event is END:
            self._on_end()

    def _take_more(self) -> None:
        """Requests that have come behind others, once it is their turn."""
        if self._may_go_on():
            self._guarded(lambda: self._take(self._reader.proceed()))
        self._regulate()

    def _guarded(self, work: Callable[[], None]) -> None:
        """What is wrong with what has come ends this connection, and so does a defect of ours."""
        try:
            work()
        except ProtocolError as error:
            self._close_with(text_error(error.status, f"{error.status} {error.text}"))
        except Exception as error:
            self._host.on_connection_error("connection of another member", error)
            self.cut()

    def _drop_body(self) -> None:
        self._host.on_body(self, -len(self._body))
        self._body = bytearray()

    def _may_go_on(self) -> bool:
        """Whether the next request may be looked at: the last one is answered, and the connection stays."""
        is_open = self._transport is not None and not self._transport.is_closing()
        return is_open and self._request is None and self._stream is None and not self._is_clogged

    def _on_head(self, request: RequestHead) -> None:
        self._request = request
        result = routes.check(request, self._host.directory)
        self._host.meet_remotes()
        if isinstance(result, Accepted) and result.what == routes.SNAPSHOT:
            self._give_away(request, result)
        elif isinstance(result, Answer) and routes.body_bytes_max(request) is None:
            self._write(result, keeps_alive=False)
            self._finish(False)
        elif isinstance(result, Answer):
            self._write(result, keeps_alive=request.keeps_alive and not request.expects_continue)
        else:
            self._accepted = result
            if request.expects_continue and self._transport is not None:
                self._transport.write(CONTINUE)
        self._raw = b""

    def _give_away(self, request: RequestHead, what: Accepted) -> None:
        """The connection goes to a process that reads the snapshot's body and answers."""
        _, end, begin = self._raw.partition(b"\r\n\r\n")
        self._is_given_away = True
        if end and self._transport is not None:  # without: it was sent behind another request, which nobody does
            connection = hand_over(self._transport)
            if request.expects_continue:
                connection.send(CONTINUE)
            self._host.take_snapshot(connection, what.remote_id, request.length, begin)
        self.cut()

    def _on_end(self) -> None:
        request, what, body = self._request, self._accepted, bytes(self._body)
        self._drop_body()
        assert request is not None
        if what is None:
            self._finish(request.keeps_alive and not request.expects_continue)
        elif what.what == routes.STREAM:
            self._become_stream(what)
        elif what.what == routes.ASK:
            self.deadline = None
            self._host.ask(self, request, body)
        else:
            self.answer(self._answer_to(what, body))

    def _answer_to(self, what: Accepted, body: bytes) -> Answer:
        directory = self._host.directory
        if what.what == routes.RAFT:
            return self._step(body)
        if what.what == routes.PROBING:
            return probing_answer(time.time_ns())
        if what.what == routes.MEMBERS:
            return members_answer(directory)
        if what.what == routes.VERSION:
            return version_answer(directory)
        return not_processed(directory)

    def _step(self, body: bytes) -> Answer:
        directory = self._host.directory
        try:
            message = decode_post(self._host.screen, body)
        except ProtocolError:
            self._host.on_bad_post(self._address())
            return undecodable(directory)
        if message is None or not self._host.take_to_raft(message):
            return not_processed(directory)
        return accepted(directory)

    def _address(self) -> str:
        """Of the other end, without its port, which is another for each connection; "": there is none."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if isinstance(name, tuple) else ""

    def _become_stream(self, what: Accepted) -> None:
        owner = self._host.remotes.get(what.remote_id)
        if owner is None or self._transport is None:
            self.cut()
            return
        self._transport.write(stream_head(self._host.directory, time.time()))
        self._owner, self.deadline = owner, None
        headers: Headers = self._request.headers if self._request is not None else {}
        name, value = FILTERS
        filters = headers.get(name.lower()) == value
        owner.on_dialled_by(headers.get(PROCESS.lower(), b""), self._address())
        self._stream = OutgoingStream(self._transport, owner.outbox, what.stream, self._host.event_loop.time(), filters)
        owner.attach(self._stream)

    # ---- answers ----

    def answer(self, answer: Answer) -> None:
        """To the request that has come last."""
        request = self._request
        if request is None or self._transport is None or self._transport.is_closing():
            return
        self._write(answer, request.keeps_alive)
        self._finish(request.keeps_alive)

    def answer_later(self, answer: Answer) -> None:
        """As answer, to a request that was not answered at once: what came behind it is looked at now."""
        self.deadline = self._host.event_loop.time() + READ_S
        self.answer(answer)
        self._take_more()

    def _write(self, answer: Answer, keeps_alive: bool) -> None:
        if self._transport is not None and self._request is not None:
            self._transport.write(answer.encode(time.time(), keeps_alive, self._request.method == b"HEAD"))

    def _finish(self, keeps_alive: bool) -> None:
        self._request = self._accepted = None
        if not keeps_alive and self._transport is not None:
            self._transport.close()

    def _close_with(self, answer: Answer) -> None:
        if self._transport is not None:
            self._transport.write(answer.encode(time.time(), keeps_alive=False))
            self._transport.close()


def hand_over(transport: asyncio.Transport) -> socket.socket:
    """A plain socket for another process, which speaks over this connection from now on; the caller aborts the
    transport, and closes the socket once that process has it."""
    if isinstance(transport, TlsTransport):
        return transport.hand_over()
    return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
