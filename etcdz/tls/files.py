"""The files of one side of a member: contexts made of them, and made anew when they change.

etcd reads certificate and key for every handshake, and the CA never again. Here one context serves all handshakes; at
most once a second the files are looked at, and what has changed is loaded: certificate, key, CA and CRL. New files that
are bad leave the old ones in force, with etcd's warning.

Nothing is resumed: no tickets are given out, and no sessions are kept. Where Python's OpenSSL cannot be told so, a TLS
1.2 client that names an old session meets check_certificate() again, which then looks at the time as well, in a context
that has the present CA.
"""

import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from etcdz.tls import certificate, contexts, refusal_alert
from etcdz.tls.contexts import TlsError
from etcdz.tls.in_force import Certificate, ExpiryWarnings, certificates
from etcdz.tls.kept import Kept
from etcdz.tls.revocation import read_crl
from etcdz.tls.settings import TlsSettings

LOOK_S: Final = 1.0
"""Time between two looks at the files."""
HOUR_S: Final = 3600.0


class _Contexts(NamedTuple):
    """All that is made of certificates, keys and the CA. server: None without a certificate"""

    server: ssl.SSLContext | None
    client: ssl.SSLContext
    certificates: tuple[Certificate, ...]


class TlsFiles:
    """Of one side, in one process, which is the one that reads the key. Not for several threads at once.

    What gives a context may be called for each connection: it costs a clock reading, and once a second a stat of each
    file.
    """

    def __init__(
        self,
        settings: TlsSettings,
        log: Any,
        alpn: tuple[str, ...] = ("h2",),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        crl_behind: bool = False,
    ) -> None:
        """Reads nothing yet.

        log         logger with info() and warn()
        alpn        protocols that a server chooses from; a client offers none
        crl_behind  new revocation lists are read by a thread: wait for is_settled before check_certificate()
        """
        self.settings = settings
        self._log = log
        self._clock = clock
        self._wall_clock = wall_clock
        self._expiry = ExpiryWarnings(log)
        self._alpn = alpn
        self._next_look = float("-inf")
        pairs = (settings.cert_file, settings.key_file, settings.client_cert_file, settings.client_key_file)
        self._contexts = Kept(tuple(filter(None, (*pairs, settings.trusted_ca_file))), self._load)
        crl = settings.crl_file
        self._crl = Kept((crl,), lambda: read_crl(crl), crl_behind) if crl else None

    def server_context(self) -> ssl.SSLContext:
        """For connections that are accepted. raises TlsError: the files have never been good"""
        context = self._current().server
        if context is None:
            raise TlsError("no certificate to show")
        return context

    def client_context(self) -> ssl.SSLContext:
        """For connections that are dialled. Wrap with server_hostname=settings.server_name or the host that is dialled,
        which the context checks unless it verifies nobody.

        raises  TlsError: the files have never been good
        """
        return self._current().client

    def check_certificate(self, ssl_object: certificate.End) -> str | None:
        """Why the other end of a connection whose handshake is done is refused; None: it is not. Both sides ask.

        In etcd's order: common names or host names that are allowed, then the CRL, against each certificate that was
        sent. return: etcd's text, for `error` of the line about the rejected connection. No alert can be sent any more:
        close the connection. Names are refused within the handshake already where that is possible (refusal_alert.py).
        """
        settings = self.settings
        if settings.allowed_cns or settings.allowed_hostnames:
            names = certificate.names_of(ssl_object)
            if not certificate.is_allowed(names, settings.allowed_cns, settings.allowed_hostnames):
                return certificate.REFUSED
        if ssl_object.session_reused and certificate.has_expired(ssl_object, self._wall_clock()):
            return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
        return self._revocation_error(ssl_object) if settings.crl_file else None

    def refresh(self) -> None:
        """Looks at the files if that is due, and warns of certificates that expire. Never raises; what is wrong with
        files is logged once.
        """
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        if self._contexts.look():
            self._say_contexts()
        self._look_at_crl()
        if self._contexts.value is not None:
            self._expiry.say(self._contexts.value.certificates, self._wall_clock())

    @property
    def is_settled(self) -> bool:
        """False: a new revocation list is being read. Nobody is to be judged by the old one: ask again, soon."""
        self.refresh()
        if self._crl is None or not self._crl.is_loading:
            return True
        self._look_at_crl()
        return not self._crl.is_loading

    def look_hourly(self, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        """Looks now, and each hour from now on, so that warnings do not wait for connections. call_later: the loop's"""
        self.refresh()
        call_later(HOUR_S, partial(self.look_hourly, call_later))

    def show(self) -> dict[str, Any]:
        """Details of the actor: certificates in force, how many serial numbers are revoked (None: there is no list),
        and what is wrong with the present files.
        """
        self.refresh()
        crl = self._crl.value if self._crl is not None else None
        errors = [kept.error for kept in (self._contexts, self._crl) if kept is not None and kept.error is not None]
        return {
            "certificates": [one.show() for one in self._certificates()],
            "revoked_certificates": None if crl is None else len(crl),
            "file_errors": [*map(_text, errors)],
        }

    def figures(self, side: str) -> dict[str, Any]:
        """For /metrics. side: "client" or "peer"."""
        self.refresh()
        return {"certificates": [[[side, one.use, one.path], one.not_after_s] for one in self._certificates()]}

    def _certificates(self) -> tuple[Certificate, ...]:
        return self._contexts.value.certificates if self._contexts.value is not None else ()

    def _current(self) -> _Contexts:
        self.refresh()
        if self._contexts.value is None:
            raise TlsError(_text(self._contexts.error))
        return self._contexts.value

    def _load(self) -> _Contexts:
        settings = self.settings
        server = contexts.server_context(settings, self._alpn) if settings.has_certificate else None
        client = contexts.client_context(settings)
        if settings.allowed_cns or settings.allowed_hostnames:
            for context in filter(None, (server, client)):
                if context.verify_mode == ssl.CERT_REQUIRED:
                    refusal_alert.ask(context, self._is_allowed)
        return _Contexts(server, client, certificates(settings))

    def _is_allowed(self, leaf: bytes) -> bool:
        settings = self.settings
        return certificate.is_allowed(certificate.names_in(leaf), settings.allowed_cns, settings.allowed_hostnames)

    def _look_at_crl(self) -> None:
        if self._crl is not None and self._crl.look() and self._crl.error is not None:
            self._log.warn("failed to load CRL", path=self.settings.crl_file, error=_text(self._crl.error))

    def _say_contexts(self) -> None:
        """etcd's words about a handshake without certificate, said once."""
        error, settings = self._contexts.error, self.settings
        if error is None:
            return
        is_missing = isinstance(error, TlsError) and error.is_missing
        self._log.warn(
            "failed to find peer cert files" if is_missing else "failed to create peer certificate",
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            error=_text(error),
        )

    def _revocation_error(self, ssl_object: certificate.End) -> str | None:
        self.refresh()
        assert self._crl is not None
        if self._crl.value is None:
            return _text(self._crl.error)
        try:
            serials = certificate.sent_serials(ssl_object)
        except ValueError as error:
            return f"x509: malformed certificate ({error})"
        revoked = next((serial for serial in serials if serial in self._crl.value), None)
        return None if revoked is None else f"transport: certificate serial {_hex(revoked)} revoked"


def _text(error: BaseException | None) -> str:
    if isinstance(error, OSError):
        return f"open {error.filename}: {(error.strerror or str(error)).lower()}"
    return str(error)


def _hex(serial: int) -> str:
    """As Go prints its bytes."""
    return serial.to_bytes((serial.bit_length() + 7) // 8, "big").hex()
