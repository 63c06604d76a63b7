"""One client connection: between the event loop's transport and the sans-IO layers of etcdz.wire.

It decides nothing about calls: what comes out of the wire goes to the calls and streams of the listener, and what they
answer goes back, with one write per turn.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from actors.listener.call import Client
from actors.listener.calls import Calls
from actors.listener.client_affinity import ClientAffinity, arrival_cpu
from actors.listener.draining import ConnectionDraining
from actors.listener.http1_exchanges import Http1Exchanges
from actors.listener.http2_exchanges import Http2Exchanges
from actors.listener.identities import Identities
from actors.listener.ports import PLAIN, Offer
from actors.listener.streams import Streams
from etcdz import limits
from etcdz.api.errors import NO_LEADER
from etcdz.net.address import Address
from etcdz.wire.call_tally import NO_VERSION, VERSION_FIELD, CallTally
from etcdz.wire.events import CALL, ServerEvent
from etcdz.wire.server import GrpcServerConnection
from etcdz.wire.sniff import BROKEN, HTTP1, sniff

_WRITE_BUFFER_HIGH: Final = 4 << 20
"""Bytes that wait in one connection's socket before nothing more is read from it."""
_SLICE_BYTES: Final = 16 << 10
_TURN_S: Final = 0.005
"""What takes longer of one client's bytes is handled in slices, between which the others have their turn: they may be
thousands of messages, and uvloop reads 256 KB at a time, up to 32 times in a row from a client that does not pause."""
_BACKED_UP_BYTES: Final = 256 << 10
"""The same before streams stop sending. NB: the transport is told this one alone, since it says when little waits again
only after it has said that much does: streams would wait for a client that has no reason to send anything."""


class Remote(Protocol):
    """A client's connection, in a log line."""

    @property
    def remote(self) -> str: ...


class Host(Protocol):
    """What a connection needs of its listener.

    idles       whether the listener's timer runs slowly, until wake()
    """

    calls: Calls
    streams: Streams
    affinity: ClientAffinity
    identities: Identities
    tally: CallTally
    idles: bool

    def on_connected(self, connection: "Connection") -> None: ...
    def on_lost(self, connection: "Connection") -> None: ...
    def new_grpc(self, connection: "Connection") -> GrpcServerConnection: ...
    def new_http1(self, connection: "Connection") -> Http1Exchanges: ...
    def new_http2(self, connection: "Connection") -> Http2Exchanges: ...
    def wake(self) -> None: ...
    def flush_soon(self) -> None: ...
    def call_later(self, seconds: float, do: Callable[[], None]) -> None: ...
    def on_connection_error(self, connection: "Remote", error: Exception) -> None: ...


class Connection(Client, asyncio.Protocol):
    """A Client of Calls and a Connection of Streams.

    transport   set by connection_made, which comes before everything else
    grpc        once the client has said that it speaks HTTP/2; None again when the transport is gone
    http1       once the client has said that it speaks HTTP/1
    http2       once it has asked over HTTP/2 what is not gRPC
    offer       what it can ask
    common_name of its certificate, if clients are known by that (--client-cert-auth); "": none
    leaving     whether the client is asked to go elsewhere
    waits       whether others have their turn first; nothing is read meanwhile
    rest        bytes of the client that wait then
    is_backed_up    so much waits in the socket that streams send no more for now
    stalled     so much waits to be written that nothing is read
    held        so much waits to be served, over HTTP/1, that nothing is read
    uncorks     more of large answers is about to be written
    failed      whether it has ended by a mistake; what is still done for it comes to nothing

    Invariant: an exception over the state of this connection, whoever calls, ends it alone: see fail().
    """

    __slots__ = (
        "common_name", "connected_s", "draining", "failed", "grpc", "held", "host", "http1", "http2", "is_backed_up",
        "leaving", "offer", "rest", "sniffed", "stalled", "transport", "uncorks", "waits",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, host: Host, offer: Offer = PLAIN, common_name: str = "") -> None:
        self.host = host
        self.offer = offer
        self.common_name = common_name
        self.grpc: GrpcServerConnection | None = None
        self.http1: Http1Exchanges | None = None
        self.http2: Http2Exchanges | None = None
        self.sniffed = b""
        self.rest = b""
        self.waits = self.is_backed_up = self.stalled = self.held = self.uncorks = False
        self.leaving = self.failed = False
        self.connected_s = 0.0
        self.draining: ConnectionDraining | None = None

    # ---- from the transport ----

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.connected_s = time.monotonic()
        transport.set_write_buffer_limits(high=_BACKED_UP_BYTES)
        self.host.on_connected(self)

    def connection_lost(self, error: Exception | None) -> None:
        try:
            self.host.on_lost(self)
            if self.grpc is not None:
                self.grpc.forget_unfinished()
                self.grpc.count_lost()
            if (exchanges := self.http1 or self.http2) is not None:
                exchanges.lose()
        except Exception as mistake:
            self.fail(mistake)
        self.grpc = None

    def pause_writing(self) -> None:
        self.is_backed_up = True
        self._stall_if_full()

    def _stall_if_full(self) -> None:
        """NB: an HTTP/1 client is at once. Its answers do not pass through flush, which looks again."""
        if self.grpc is None or self.transport.get_write_buffer_size() > _WRITE_BUFFER_HIGH:
            self.stalled = True
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_backed_up = False
        if self.stalled:
            self.stalled = False
            self._read_on()
        try:
            if self.http1 is not None:
                self.http1.on_writable()
            elif not self.uncorks:
                self._uncork()
            self.host.flush_soon()
        except Exception as error:
            self.fail(error)

    def _read_on(self) -> None:
        if not (self.waits or self.stalled or self.held or self.transport.is_closing()):
            self.transport.resume_reading()

    def hold_reading(self, holds: bool) -> None:
        """Reads nothing more for now, or reads on."""
        self.held = holds
        if holds:
            self.transport.pause_reading()
        else:
            self._read_on()

    def fail(self, error: Exception) -> None:
        """Something of this client has brought out a mistake: it ends this connection alone, and is reported once."""
        if not self.failed:
            self.failed = True
            self.transport.abort()
            self.host.on_connection_error(self, error)

    def data_received(self, data: bytes) -> None:
        if self.host.idles:
            self.host.wake()
        try:
            if len(data) > _SLICE_BYTES:
                self._take_slices(data)
            else:
                self._receive(data)
        except Exception as error:
            self.fail(error)

    def _take_slices(self, data: bytes) -> None:
        """As much of what has come as there is time for; the rest follows when other clients have had their turn."""
        until = time.monotonic() + _TURN_S
        at = 0
        while at < len(data) and not self.transport.is_closing():
            self._receive(data[at : at + _SLICE_BYTES])
            at += _SLICE_BYTES
            if time.monotonic() >= until:
                self.rest = data[at:]
                self.waits = True
                self.transport.pause_reading()
                self.host.call_later(0, self._go_on)
                return

    def _go_on(self) -> None:
        data, self.rest = self.rest, b""
        self.waits = False
        if self.transport.is_closing():
            return
        try:
            self._take_slices(data)
        except Exception as error:
            self.fail(error)
        self._read_on()

    def eof_received(self) -> bool:
        """The client has closed its half. return whether the transport stays open, for answers that are still to come

        Over HTTP/1 that is usual (`nc -N`); over HTTP/2 such a client is gone, for etcd as well.
        """
        if self.http1 is None:
            return False
        try:
            self.http1.receive_eof()
        except Exception as error:
            self.fail(error)
        return not self.transport.is_closing()

    def _receive(self, data: bytes) -> None:
        grpc = self.grpc
        if grpc is None:
            self._first_bytes(data)
            return
        host = self.host
        calls, streams, identities = host.calls, host.streams, host.identities
        host.affinity.latest = self
        tally = host.tally
        started, versions, unary = tally.started, tally.versions, tally.unary
        auth = asked = None
        for event in grpc.receive(data):
            kind, stream_id, method, body, _, metadata = event
            if kind == CALL and method.unary:
                place = 0
                if metadata:
                    if b"hasleader" in metadata and streams.lacks_leader(metadata):
                        grpc.refuse(stream_id, NO_LEADER.code, NO_LEADER.text)
                        continue
                    found = versions.get(metadata.get(VERSION_FIELD, NO_VERSION))
                    place = tally.place_of(metadata[VERSION_FIELD]) if found is None else found
                started[method.tag] += 1
                unary[place] += 1
                if identities.enabled and metadata is not asked:
                    auth = identities.of_call(metadata, self.common_name)
                    asked = metadata if auth.revision else None  # who is nobody is told so with each call
                calls.begin(self, stream_id, method.tag, body, auth)
            else:
                streams.take(self, event)
        if streams.cancelled:
            calls.cancel(streams.cancelled)
        if streams.waiting:
            streams.check_writable(self)
        if calls.long_reads.waiting:
            host.flush_soon()  # the client may have made room for another answer
        if self.draining is not None:
            self.draining.on_received()
        self.flush()

    def _first_bytes(self, data: bytes) -> None:
        """HTTP/1.1 and HTTP/2 share the port: the first bytes say which it is."""
        if self.http1 is not None:
            self.http1.receive(data)
            return
        data = self.sniffed + data
        kind = sniff(data)
        if kind is None:
            self.sniffed = data
            return
        self.sniffed = b""
        offer = self.offer
        if kind == BROKEN or not (offer.http1 if kind == HTTP1 else offer.grpc or offer.http2):
            self.transport.close()
        elif kind == HTTP1:
            self.http1 = self.host.new_http1(self)
            self.http1.receive(data)
            if self.leaving:
                self.http1.drain()
        else:
            self.grpc = self.host.new_grpc(self)
            self._receive(data)
            if self.leaving:
                self.drain()

    def take_request(self, event: ServerEvent) -> None:
        """Of a request over HTTP/2 that is not gRPC."""
        if self.http2 is None:
            self.http2 = self.host.new_http2(self)
        self.http2.take(event)

    # ---- to the client ----

    def incoming_cpu(self) -> int:
        """The CPU on which the client's bytes come in: a client on this host runs there itself. -1: unknown."""
        return arrival_cpu(self.transport.get_extra_info("socket"))

    def drain(self) -> None:
        """Asks the client to go on elsewhere; what is under way is finished first."""
        self.leaving = True
        if self.draining is not None:
            return
        if self.grpc is not None:
            self.draining = ConnectionDraining(self.grpc, self.transport, self.call_later, self._on_goaway_confirmed)
        elif self.http1 is not None:
            self.http1.drain()

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        """Runs do() after so many seconds; an error of it ends the connection."""

        def guarded() -> None:
            try:
                do()
            except Exception as error:
                self.fail(error)

        self.host.call_later(seconds, guarded)

    def _on_goaway_confirmed(self) -> None:
        """The client opens no more streams here: those that it has may end, and are resumed elsewhere."""
        self.host.streams.drain_connection(self)
        if self.http2 is not None:
            self.http2.drain()
        self.flush()

    def call_soon(self, do: Callable[[], None]) -> None:
        """Runs do() when others have had their turn; an error of it ends the connection."""
        self.call_later(0, do)

    def await_writable(self, call: Any) -> None:
        """As Streams."""
        self.host.streams.await_writable(call)

    @property
    def is_secure(self) -> bool:
        """Whether it has TLS."""
        return self.offer.is_secure

    @property
    def is_fresh(self) -> bool:
        """Whether the client has not said yet which protocol it speaks."""
        return self.grpc is None and self.http1 is None

    @property
    def has_spoken(self) -> bool:
        """Whether the client has greeted, or asked something over HTTP/1."""
        if self.grpc is not None:
            return self.grpc.has_greeted
        return self.http1 is not None and self.http1.has_asked

    @property
    def open_calls(self) -> int:
        """Calls and streams of the client."""
        return self.grpc.open_streams if self.grpc is not None else 0

    @property
    def holder(self) -> GrpcServerConnection | Http1Exchanges | None:
        """What holds the bytes of unfinished requests."""
        return self.grpc or self.http1

    def give_up_unfinished(self) -> None:
        """Refuses the requests whose bytes have not come completely."""
        try:
            if self.grpc is not None:
                self._take(self.grpc.give_up_unfinished())
            elif self.http1 is not None:
                self.http1.give_up_unfinished()
        except Exception as error:
            self.fail(error)

    def expire(self, now: float) -> bool:
        """Answers calls whose client's deadline has passed so. return whether any call has a deadline"""
        grpc = self.grpc
        if grpc is None or (deadline := grpc.next_deadline()) is None:
            return False
        if deadline <= now:
            try:
                self._take(grpc.expire(now))
            except Exception as error:
                self.fail(error)
        return True

    def keep_alive(self, now: float) -> None:
        """Sends a client that has been silent for long a PING, and ends the connection if it has not answered one."""
        grpc = self.grpc
        if grpc is None:
            return
        try:
            if grpc.keep_alive(now):
                self.flush()
            else:
                self.transport.abort()
        except Exception as error:
            self.fail(error)

    def _take(self, events: Iterable[ServerEvent]) -> None:
        for event in events:
            self.host.streams.take(self, event)
        self.flush()

    @property
    def remote(self) -> str:
        """The client's address, for a log line."""
        return remote_of(self.transport)

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """Answers a call; the bytes leave with the next flush."""
        grpc = self.grpc
        if grpc is None:
            return
        try:
            if code:
                grpc.fail(stream_id, code, body.decode())
            else:
                grpc.reply(stream_id, body)
        except Exception as error:
            self.fail(error)

    def reply_parts(self, stream_id: int, parts: list[bytes]) -> None:
        try:
            if self.grpc is not None:
                self.grpc.reply_parts(stream_id, parts)
        except Exception as error:
            self.fail(error)

    @property
    def unsent_bytes(self) -> int:
        return 0 if self.grpc is None else self.grpc.pending_long_bytes + self.transport.get_write_buffer_size()

    @property
    def has_room(self) -> bool:
        return self.unsent_bytes < limits.CLIENT_ROOM_BYTES

    def give_up_unsent(self) -> None:
        """NB: where no window holds anything back it is the socket, which gives nothing up but with the connection."""
        grpc = self.grpc
        if grpc is None:
            return
        try:
            is_held_by_windows = grpc.pending_long_bytes > 0
            grpc.give_up_unsent()
            if self.stalled or not is_held_by_windows:
                self.transport.abort()
        except Exception as error:
            self.fail(error)

    def flush(self) -> None:
        """One write for everything that waits."""
        grpc, draining = self.grpc, self.draining
        if grpc is None or self.failed or (draining is not None and draining.holds_back):
            return
        try:
            output = grpc.take_output() if draining is None else draining.take_output()
            if output:
                self.transport.write(output)
                if self.is_backed_up and not self.stalled:
                    self._stall_if_full()
            if grpc.should_close:
                self.transport.close()
            elif grpc.is_corked and not (self.uncorks or self.stalled):
                self.uncorks = True
                self.host.call_later(0, self._uncork_in_turn)
        except Exception as error:
            self.fail(error)

    def _uncork_in_turn(self) -> None:
        try:
            self._uncork()
        except Exception as error:
            self.fail(error)

    def _uncork(self) -> None:
        """Others have had their turn: goes on with large answers, unless too much waits to be written."""
        self.uncorks = False
        if self.grpc is None or self.stalled:
            return
        self.grpc.uncork()
        self.host.streams.check_writable(self)
        self.flush()
        if self.host.calls.long_reads.waiting:
            self.host.flush_soon()


def remote_of(transport: Any) -> str:
    """The client's address, as Go writes it; "@": a unix socket without a name."""
    name = transport.get_extra_info("peername")
    return Address(name[0].removeprefix("::ffff:"), name[1]).text if isinstance(name, tuple) else str(name or "@")
