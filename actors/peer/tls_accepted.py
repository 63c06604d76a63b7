"""A connection under TLS that another member has made to this one, until its requests can be read."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, Protocol

from actors.peer.accepted import AcceptedConnection
from actors.peer.accepted import Host as ConnectionsHost
from actors.peer.tls_connection import Refused, TlsConnection
from etcdz.tls.certificate import names_of
from etcdz.tls.handshake_errors import HandshakeError, handshake_error
from etcdz.wire.client_hello import decode_client_hello

HANDSHAKE_S: Final = 10.0
"""For all of it. Source: etcd 3.5.33"""


class Host(ConnectionsHost, Protocol):
    """What these need of the actor besides.

    refused_handshakes  counts them
    """

    refused_handshakes: int


class TlsAccepted(TlsConnection[AcceptedConnection]):
    """It counts among the actor's connections until the protocol above does.

    deadline    when it is cut, of the event loop's clock
    """

    is_stream: Final = False
    body_bytes: Final = 0

    def __init__(self, host: Host, make: Callable[[], AcceptedConnection]) -> None:
        """raises TlsError"""
        super().__init__(host.tls, host.tls.accepting_session(), self._make_upper, host.tls.check_accepted)
        self._host = host
        self._make_accepted = make
        self.deadline = host.event_loop.time() + HANDSHAKE_S

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._host.clocked.add(self)
        self._host.on_connected(self)
        self._host.start_task(self._run())

    async def _run(self) -> None:
        try:
            await self.open()
        except Refused as error:
            self._on_refused(HandshakeError(str(error), "warn"))
        except (OSError, EOFError, ssl.SSLError) as error:
            hello = decode_client_hello(self.hello)
            self._on_refused(handshake_error(error, hello.versions if hello else ()))
        finally:
            self._forget()

    def _make_upper(self) -> AcceptedConnection:
        self._forget()
        return self._make_accepted()

    def _forget(self) -> None:
        self._host.clocked.discard(self)
        self._host.on_lost_connection(self)

    def check(self, now: float) -> None:
        """Cut it if it is overdue."""
        if now > self.deadline:
            self.fail(TimeoutError("i/o timeout"))

    def cut(self) -> None:
        """End it now: there are too many."""
        self.fail(ConnectionAbortedError("too many connections"))

    def _on_refused(self, why: HandshakeError) -> None:
        self._host.refused_handshakes += 1
        names, hello = names_of(self.session.ssl_object), decode_client_hello(self.hello)
        shown = {"ip_addresses": names.ip_addresses, "dns_names": names.dns_names} if any(names) else {}
        self._host.log.log(
            why.level,
            "rejected connection on peer endpoint",
            remote_addr=_text(self.transport.get_extra_info("peername")),
            server_name=hello.server_name if hello else "",
            **shown,
            error=why.text,
        )
        self.refuse()


def _text(address: Any) -> str:
    """As Go writes it; of a unix socket there is none."""
    if not isinstance(address, tuple):
        return "@"
    host = str(address[0]).removeprefix("::ffff:")
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


class Unwelcome(asyncio.Protocol):
    """A connection that cannot be taken."""

    def connection_made(self, transport: Any) -> None:
        transport.abort()
