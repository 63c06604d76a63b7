"""TLS of the peer actor: contexts and threads for its connections, and who is let in.

Handshakes wait for one of STEPS_MAX threads, in the order in which they have come. Names are looked up in threads of
their own, which may be stuck: whoever comes meanwhile is held up by none of them.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from actors.peer.tls_connection import Refused, TlsConnection, UpperT
from etcdz.tls.certificate import PeerNames, names_of
from etcdz.tls.files import TlsFiles
from etcdz.tls.peer_names import Resolver, needs_resolver, san_error
from etcdz.tls.settings import TlsSettings
from etcdz.wire.tls_session import TlsSession

STEPS_MAX: Final = 2
LOOK_UP_S: Final = 4.0
"""For all names of one certificate; the other end waits for longer."""
_FILES_S: Final = 0.01
"""Between two looks whether a revocation list has been read."""
LOOK_UPS_MAX: Final = 32
"""Certificates whose names are looked up at a time, the stuck ones included."""


class PeerTls:
    """event_loop, settings"""

    def __init__(self, settings: TlsSettings, event_loop: asyncio.AbstractEventLoop, log: Any) -> None:
        """Reads no file before it is needed."""
        self.settings = settings
        self.event_loop = event_loop
        self._files = TlsFiles(settings, log, alpn=(), crl_behind=True)
        self._threads: ThreadPoolExecutor | None = None
        self._looking_up = 0
        self._is_closed = False

    def begin(self) -> None:
        """Reads the files, so that the first connection waits for nothing, and looks at them from now on."""
        if not self.settings.is_empty:
            self._files.look_hourly(self.event_loop.call_later)

    def show(self) -> dict[str, Any]:
        """For who looks into the actor; empty without TLS."""
        return {} if self.settings.is_empty else self._files.show()

    def figures(self) -> dict[str, Any]:
        """For /metrics; empty without TLS."""
        return {} if self.settings.is_empty else self._files.figures("peer")

    def step(self, session: TlsSession, data: bytes) -> Awaitable[list[bytes]]:
        """raises ConnectionAbortedError: this actor ends"""
        if self._is_closed:
            raise ConnectionAbortedError("closed")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(STEPS_MAX, "handshake")
        return self.event_loop.run_in_executor(self._threads, session.receive, data)

    def close(self) -> None:
        self._is_closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    # ---- connections that are accepted ----

    def accepting_session(self) -> TlsSession:
        """raises TlsError"""
        return TlsSession(self._files.server_context(), server_side=True)

    async def check_accepted(self, connection: TlsConnection[Any]) -> None:
        """raises Refused. Source: etcd 3.5, which looks at addresses before the revocation list"""
        ssl_object = connection.session.ssl_object
        peer = connection.transport.get_extra_info("peername")
        if not self.settings.skip_client_san and isinstance(peer, tuple):
            error = await self._san_error(names_of(ssl_object), str(peer[0]).removeprefix("::ffff:"))
            if error is not None:
                raise Refused(error)
        await self._check_certificate(ssl_object)

    async def _san_error(self, names: PeerNames, remote_ip: str) -> str | None:
        def found(resolver: Resolver) -> str | None:
            return san_error(names, remote_ip, resolver)

        if not needs_resolver(names, remote_ip):
            return found(_NOBODY)
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return await self._look_up(lambda: found(_SYSTEM))
        except TimeoutError:
            return found(_NOBODY)

    async def _look_up(self, work: Callable[[], str | None]) -> str | None:
        """What work() returns, in a thread that nobody waits for at the end of the process. raises TimeoutError: too
        many are under way"""
        if self._looking_up >= LOOK_UPS_MAX:
            raise TimeoutError
        loop = self.event_loop
        done: asyncio.Future[str | None] = loop.create_future()

        def finish(error: str | None) -> None:
            self._looking_up -= 1
            if not done.done():
                done.set_result(error)

        def run() -> None:
            error: str | None = "tls: names of the certificate cannot be looked up"
            try:
                error = work()
            finally:
                with suppress(RuntimeError):  # the loop is closed: the actor has ended
                    loop.call_soon_threadsafe(finish, error)

        self._looking_up += 1
        threading.Thread(target=run, name="look-up", daemon=True).start()
        return await done

    # ---- connections that are dialled ----

    def dialled(self, host: str, make: Callable[[], UpperT]) -> TlsConnection[UpperT]:
        """host: as the URL names it. raises TlsError"""
        session = TlsSession(self._files.client_context(), False, self.settings.server_name or host)
        return TlsConnection(self, session, make, self._check_dialled)

    async def _check_dialled(self, connection: TlsConnection[Any]) -> None:
        """raises Refused"""
        await self._check_certificate(connection.session.ssl_object)

    async def _check_certificate(self, ssl_object: ssl.SSLObject) -> None:
        while not self._files.is_settled:
            await asyncio.sleep(_FILES_S)
        error = self._files.check_certificate(ssl_object)
        if error is not None:
            raise Refused(error)


# ---- look-ups ----


def _names_of_address(ip: str) -> list[str]:
    """raises OSError"""
    name, aliases, _ = socket.gethostbyaddr(ip)
    return [name, *aliases]


def _addresses_of_name(name: str) -> list[str]:
    """raises OSError: in Go's words"""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise OSError(f"lookup {name}: no such host") from error


def _nobody(asked: str) -> list[str]:
    raise OSError(f"{asked} was not looked up")


_SYSTEM: Final = Resolver(_names_of_address, _addresses_of_name)
_NOBODY: Final = Resolver(_nobody, _nobody)
