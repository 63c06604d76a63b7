"""TLS handshakes of one listener: from a connection that was accepted to one that is served, or is refused.

    accepted    says nothing yet; where no TLS is spoken as well, the first byte tells
    waiting     has begun, and HANDSHAKES_MAX others have, or many in this turn: nothing is read of it
    shaking     has a place, and a session
    served      its protocol is a TlsTransport with a Connection now, or a Connection alone
    refused     logged in etcd's words

A client has HANDSHAKE_S to begin, and HANDSHAKE_S with its place. If others wait for a place and none gets free for
HANDSHAKE_PRESSED_S, those that have one for so long lose it. A few handshakes at a time are done in the event loop,
more of them by threads (`handshake_pool.py`).
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from actors.listener.connection import Connection, Host, remote_of
from actors.listener.handshake_pool import HandshakePool, Result
from actors.listener.ports import Port
from actors.listener.tls_transport import TlsTransport
from etcdz import limits
from etcdz.tls.certificate import names_of
from etcdz.tls.contexts import TlsError
from etcdz.tls.files import TlsFiles
from etcdz.tls.handshake_errors import handshake_error
from etcdz.tls.settings import TlsSettings
from etcdz.wire.client_hello import decode_client_hello
from etcdz.wire.tls_session import HANDSHAKE_BYTES_MAX, TlsSession

FEW: Final = 2
"""So many handshakes at a time the event loop does itself: it takes a millisecond for each, threads a little more."""
ADMITTED_PER_TURN: Final = 16
"""So many are given a place before clients that are connected have their turn: in a storm a hundred begin at once, and
each takes 30 us."""
_RESUME_BELOW: Final = limits.HANDSHAKES_MAX * 3 // 4
_FILES_S: Final = 0.01
"""Between two looks whether a revocation list has been read."""
_TOLD_S: Final = 1.0
"""How long a client that is refused has to read why."""
_TOLD_MAX: Final = 256
"""So many clients at a time."""
_HELLO_KEPT_BYTES: Final = 4096
"""Of a client's first bytes, for the log line that may be written."""
_TEXT: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""HTTP begins with one of these, a TLS record never."""


class Handshake(asyncio.Protocol):
    """One connection that is not served yet: the protocol of its transport.

    transport   the event loop's
    session     once it has a place
    is_busy     the session is in the hands of a thread
    is_over     it is served or refused
    has_ended   the client sends no more
    hello       the client's first bytes
    began_s     when it was accepted; when it got its place
    """

    __slots__ = (
        "_early", "_early_bytes", "_owner", "began_s", "has_ended", "hello", "is_busy", "is_over", "port", "session",
        "transport",
    )  # fmt: skip

    transport: Any

    def __init__(self, owner: "Handshakes", port: Port) -> None:
        self._owner = owner
        self.port = port
        self.session: TlsSession | None = None
        self.is_busy = self.is_over = self.has_ended = False
        self.hello = b""
        self.began_s = 0.0
        self._early: list[bytes] = []
        self._early_bytes = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.began_s = time.monotonic()
        self._owner.on_accepted(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._receive(data)
        except Exception as mistake:
            self._owner.fail(self, mistake)

    def _receive(self, data: bytes) -> None:
        if self.is_over:
            return
        if not self.hello:
            self.hello = data[:_HELLO_KEPT_BYTES]
            if self.port.is_plain and data[0] in _TEXT:
                self._owner.serve_plain(self, data)
                return
        if self.session is None:
            self.keep(data)
            self._owner.begin(self)
        elif self.is_busy:
            self.keep(data)
        else:
            self._owner.work(self, data)

    def keep(self, data: bytes) -> None:
        """For later. NB: bounded, since nothing more is read then."""
        self._early.append(data)
        self._early_bytes += len(data)
        if self._early_bytes > HANDSHAKE_BYTES_MAX:
            self.transport.pause_reading()

    def take_early(self) -> bytes:
        """What was kept."""
        data = b"".join(self._early)
        self._early.clear()
        if self._early_bytes > HANDSHAKE_BYTES_MAX and not self.transport.is_closing():
            self.transport.resume_reading()
        self._early_bytes = 0
        return data

    def eof_received(self) -> bool:
        self.has_ended = True
        if self.is_over:
            return False
        if self._early or self.is_busy:  # the handshake may be done, and more asked, by what is not worked on yet
            return True
        self._owner.refuse(self, EOFError("EOF"))
        return False

    @property
    def remote(self) -> str:
        """The client's address, for a log line."""
        return remote_of(self.transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._owner.refuse(self, error or EOFError("EOF"))
        self._owner.forget(self)


class Handshakes:
    """All connections of a listener's TLS ports that are not served yet."""

    def __init__(
        self,
        host: Host,
        settings: TlsSettings,
        files: TlsFiles,
        log: Any,
        event_loop: asyncio.AbstractEventLoop,
        hold: Callable[[bool], None],
        is_leaving: Callable[[], bool],
    ) -> None:
        """hold        whether no more connections are to be accepted for now
        is_leaving  whether new connections are to be asked to go elsewhere at once
        """
        self._host = host
        self._settings = settings
        self.files = files
        self._log = log
        self._hold = hold
        self._is_leaving = is_leaving
        self._event_loop = event_loop
        self._pool = HandshakePool(event_loop, self._on_worked)
        self._accepted: dict[Handshake, None] = {}
        """That have said nothing yet; the longest accepted first, as below."""
        self._shaking: dict[Handshake, None] = {}
        self._waiting: dict[Handshake, None] = {}
        """That want a place. NB: they wait for us, so that no clock runs for them."""
        self._told: dict[Handshake, float] = {}
        """Refused, and told why, at this time."""
        self._freed_s = 0.0
        """When a place was given or got free last."""
        self._is_held = self._is_admitting = False
        self._admitted = 0
        """In this turn of the event loop."""
        self.done = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._accepted) + len(self._waiting) + len(self._shaking)

    @property
    def is_serving(self) -> bool:
        """Whether a client has begun a handshake that is not done."""
        return bool(self._shaking or self._waiting)

    def new(self, port: Port) -> Handshake:
        """The protocol of a connection that is about to be accepted."""
        return Handshake(self, port)

    def on_accepted(self, handshake: Handshake) -> None:
        """It is connected."""
        self._accepted[handshake] = None

    def serve_plain(self, handshake: Handshake, data: bytes) -> None:
        """The client speaks no TLS, and need not. data: its first bytes"""
        self._leave(handshake)
        transport, connection = handshake.transport, Connection(self._host, handshake.port.plain)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    # ---- places ----

    def begin(self, handshake: Handshake) -> None:
        """The client has said something: what was kept of it is worked on when there is a place."""
        self._accepted.pop(handshake, None)
        if self._may_admit():
            self._admit(handshake)
        elif handshake not in self._waiting:
            self._waiting[handshake] = None
            handshake.transport.pause_reading()
            if not self._is_held and len(self._shaking) >= limits.HANDSHAKES_MAX:
                self._is_held = True
                self._hold(True)

    def _may_admit(self) -> bool:
        return len(self._shaking) < limits.HANDSHAKES_MAX and self._admitted < ADMITTED_PER_TURN

    def _begin_turn(self) -> None:
        """Others have had their turn since the last ones were admitted."""
        self._admitted = 0
        self._admit_waiting()

    def _admit(self, handshake: Handshake) -> None:
        try:
            handshake.session = TlsSession(self.files.server_context(), True)
        except TlsError as error:
            self._refuse(handshake, str(error), "warn")
            return
        if not self._admitted:
            self._event_loop.call_soon(self._begin_turn)
        self._admitted += 1
        self._shaking[handshake] = None
        handshake.began_s = self._freed_s = time.monotonic()
        self.work(handshake, handshake.take_early())

    def _leave(self, handshake: Handshake) -> None:
        """It is served or refused; others have its place."""
        handshake.is_over = True
        self._accepted.pop(handshake, None)
        self._waiting.pop(handshake, None)
        if handshake in self._shaking:
            del self._shaking[handshake]
            self._freed_s = time.monotonic()
        self._admit_waiting()
        if self._is_held and not self._waiting and len(self._shaking) < _RESUME_BELOW:
            self._is_held = False
            self._hold(False)

    def _admit_waiting(self) -> None:
        if self._is_admitting:
            return
        self._is_admitting = True
        try:
            while self._waiting and self._may_admit():
                following = next(iter(self._waiting))
                del self._waiting[following]
                following.transport.resume_reading()
                self._admit(following)
        finally:
            self._is_admitting = False

    # ---- work ----

    def work(self, handshake: Handshake, data: bytes) -> None:
        """The session receives data, here or in a thread."""
        session = handshake.session
        assert session is not None
        if len(self._shaking) > FEW:
            handshake.is_busy = True
            self._pool.submit(handshake, session, data)
            return
        result: Result
        try:
            result = session.receive(data)
        except ssl.SSLError as error:
            result = error
        self._on_worked(handshake, result)

    def _on_worked(self, handshake: Handshake, result: Result) -> None:
        handshake.is_busy = False
        if handshake.is_over:
            return
        try:
            self._go_on(handshake, result)
        except Exception as mistake:
            self.fail(handshake, mistake)

    def _go_on(self, handshake: Handshake, result: Result) -> None:
        session = handshake.session
        assert session is not None
        output = session.outgoing()
        if output:
            handshake.transport.write(output)  # of a failed one: the alert
        if isinstance(result, Exception):
            self.refuse(handshake, result)
        elif session.is_established:
            self._serve(handshake, session, result)
        elif early := handshake.take_early():
            self.work(handshake, early)
        elif handshake.has_ended:
            self.refuse(handshake, EOFError("EOF"))

    def _serve(self, handshake: Handshake, session: TlsSession, heard: list[bytes]) -> None:
        if not self.files.is_settled:
            self._wait_for_files(handshake, heard)
            return
        refusal = self.files.check_certificate(session.ssl_object)
        if refusal is not None:
            self._refuse(handshake, refusal, "warn")
            return
        self.done += 1
        name = names_of(session.ssl_object).common_name if self._settings.client_cert_auth else ""
        connection = Connection(self._host, handshake.port.secure, name)
        transport = TlsTransport(handshake.transport, session, connection)
        handshake.transport.set_protocol(transport)
        connection.connection_made(transport)
        if self._is_leaving():
            connection.drain()
        transport.begin(heard, handshake.take_early(), handshake.has_ended)
        self._leave(handshake)

    def _wait_for_files(self, handshake: Handshake, heard: list[bytes]) -> None:
        if time.monotonic() - handshake.began_s >= limits.HANDSHAKE_S:
            self.refuse(handshake, TimeoutError("i/o timeout"))
            return
        handshake.is_busy = True
        self._event_loop.call_later(_FILES_S, self._on_worked, handshake, heard)

    # ---- the end ----

    def refuse(self, handshake: Handshake, error: BaseException) -> None:
        """It has failed, or the client has gone. Once it is over: nothing."""
        if not handshake.is_over:
            hello = decode_client_hello(handshake.hello)
            found = handshake_error(error, hello.versions if hello else ())
            self._refuse(handshake, found.text, found.level)

    def _refuse(self, handshake: Handshake, text: str, level: str) -> None:
        if handshake.hello or not handshake.port.is_plain:
            self.refused += 1
            self._log.log(level, "rejected connection on client endpoint", **_describe(handshake), error=text)
        self._say_farewell(handshake)
        self._leave(handshake)

    def _say_farewell(self, handshake: Handshake) -> None:
        """A client that was told why it is refused is to read that: were the connection closed while something of the
        client is unread, its system would throw the words away."""
        transport, session = handshake.transport, handshake.session
        if session is None or transport.is_closing() or handshake.has_ended or len(self._told) >= _TOLD_MAX:
            transport.close()
            return
        if session.is_established:
            session.close()
            transport.write(session.outgoing())
        transport.write_eof()
        self._told[handshake] = time.monotonic()

    def forget(self, handshake: Handshake) -> None:
        """Its transport is gone."""
        self._told.pop(handshake, None)

    def fail(self, handshake: Handshake, mistake: Exception) -> None:
        """Something has brought out a mistake: it ends this connection alone."""
        handshake.transport.abort()
        self._host.on_connection_error(handshake, mistake)
        self._leave(handshake)

    def expire(self, now: float) -> None:
        """Ends the handshakes that take too long. now: on the monotonic clock"""
        while self._accepted and now - (eldest := next(iter(self._accepted))).began_s >= limits.HANDSHAKE_S:
            self.refuse(eldest, TimeoutError("i/o timeout"))
        for handshake in [each for each, told_s in self._told.items() if now - told_s >= _TOLD_S]:
            handshake.transport.close()
        is_stuck = self._waiting and now - self._freed_s >= limits.HANDSHAKE_PRESSED_S
        patience_s = limits.HANDSHAKE_PRESSED_S if is_stuck else limits.HANDSHAKE_S
        for handshake in list(self._shaking):
            if now - handshake.began_s >= patience_s and not handshake.is_busy:
                self.refuse(handshake, TimeoutError("i/o timeout"))

    def close(self) -> None:
        """The listener ends: what is not served is not any more."""
        for handshake in [*self._accepted, *self._waiting, *self._shaking, *self._told]:
            handshake.is_over = True
            handshake.transport.close()
        self._pool.close()


def _describe(handshake: Handshake) -> dict[str, Any]:
    """The client, as etcd describes it: with the names in its certificate if that was verified."""
    hello, session = decode_client_hello(handshake.hello), handshake.session
    fields = {"remote-addr": handshake.remote, "server-name": hello.server_name if hello else ""}
    if session is None or not session.is_established:
        return fields
    names = names_of(session.ssl_object)
    return fields | {"ip-addresses": names.ip_addresses, "dns-names": names.dns_names}
