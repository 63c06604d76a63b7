"""The certificates of a side that are in force: what can be asked of them, and the warnings before they expire."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from etcdz.tls import contexts, pem
from etcdz.tls.der import validity_of
from etcdz.tls.settings import TlsSettings

DAY_S: Final = 86_400.0
WARN_DAYS: Final = (30, 7)
"""Before the end of a certificate: once, and then each day."""


class Certificate(NamedTuple):
    """use: "server", "client" (if that is another one), or "ca": the authority that ends first"""

    use: str
    path: str
    fingerprint: str
    """SHA-256 of its DER, in hex."""
    not_before_s: float
    """Since 1970."""
    not_after_s: float

    def show(self) -> dict[str, Any]:
        """For who looks into the process; times as text."""
        ends, begins = _time(self.not_after_s), _time(self.not_before_s)
        own = {"use": self.use, "path": self.path, "fingerprint": self.fingerprint}
        return {"not_after": ends, "not_before": begins, **own}


def certificates(settings: TlsSettings) -> tuple[Certificate, ...]:
    """Of the files of a side. raises OSError; ValueError: one of them has none, or one that cannot be read"""
    return tuple(_certificates(settings))


def _certificates(settings: TlsSettings) -> Iterator[Certificate]:
    if settings.cert_file:
        yield _all_in("server", settings.cert_file)[0]
    client, _ = contexts.shown_by_client(settings)
    if client and client != settings.cert_file:
        yield _all_in("client", client)[0]
    if settings.trusted_ca_file:
        yield min(_all_in("ca", settings.trusted_ca_file), key=lambda one: one.not_after_s)


def first_in(path: str) -> Certificate:
    """The certificate that a server shows of this file. raises as certificates()"""
    return _all_in("server", path)[0]


def _all_in(use: str, path: str) -> list[Certificate]:
    found = []
    for der in pem.blocks(Path(path).read_bytes(), pem.CERTIFICATE):
        validity = validity_of(der)
        fingerprint = hashlib.sha256(der).hexdigest()
        found.append(Certificate(use, path, fingerprint, validity.not_before_s, validity.not_after_s))
    if not found:
        raise ValueError(f"no certificate in {path}")
    return found


class ExpiryWarnings:
    """Of one side. log: logger with warn()"""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._said: dict[str, float] = {}
        """By fingerprint: when it was last warned of."""

    def say(self, found: tuple[Certificate, ...], now_s: float) -> None:
        """Warns of what is due. now_s: since 1970"""
        for one in found:
            left_s = one.not_after_s - now_s
            if left_s < WARN_DAYS[0] * DAY_S and self._is_due(one, left_s, now_s):
                self._said[one.fingerprint] = now_s
                self._warn(one, left_s)

    def _is_due(self, one: Certificate, left_s: float, now_s: float) -> bool:
        said_s = self._said.get(one.fingerprint)
        if said_s is None:
            return True
        daily_since_s = one.not_after_s - WARN_DAYS[1] * DAY_S
        return now_s >= daily_since_s and (said_s < daily_since_s or now_s - said_s >= DAY_S)

    def _warn(self, one: Certificate, left_s: float) -> None:
        self._log.warn(
            "certificate has expired" if left_s <= 0 else "certificate expires soon",
            path=one.path,
            use=one.use,
            fingerprint=one.fingerprint,
            not_after=_time(one.not_after_s),
            days_left=max(0, int(left_s // DAY_S)),
        )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
