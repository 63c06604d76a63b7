"""What is asked of the certificate at the other end, once a handshake has verified it."""

import ipaddress
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from etcdz.tls.der import serial_of

REFUSED: Final = "client certificate authentication failed"
"""etcd's text about a common name or host names that are not allowed."""

_LABEL: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*", re.ASCII)


class PeerNames(NamedTuple):
    """Of the leaf. All empty if none was shown, or if it was not verified."""

    common_name: str = ""
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    """In normal form."""


NOBODY: Final = PeerNames()
End = ssl.SSLObject | ssl.SSLSocket
"""This end of a connection."""


def names_of(ssl_object: End) -> PeerNames:
    """Subject and SANs of the verified leaf: the CN for logins (empty: nobody), SANs for the log and peer_names.py.

    Ask once per connection, after the handshake. What cannot be read counts as nobody.
    """
    try:
        leaf: dict[str, Any] = ssl_object.getpeercert() or {}
    except ValueError:  # ssl.SSLError is one, and so is what the handshake has not done
        return NOBODY
    sans = [(kind, value) for kind, value in leaf.get("subjectAltName", ()) if isinstance(value, str)]
    return PeerNames(
        _common_name(leaf),
        tuple([value for kind, value in sans if kind == "DNS"]),
        tuple([ip for kind, value in sans if kind == "IP Address" and (ip := _normal_ip(value))]),
    )


def names_in(der: bytes) -> PeerNames:
    """The same of a certificate that stands alone, as a handshake shows it. NB: loads a library that nothing else of a
    listener needs."""
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(der)
        cns = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        sans = [each for each in found.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
        names = sans[0].value if sans else x509.SubjectAlternativeName([])
        return PeerNames(
            str(cns[-1].value) if cns else "",
            tuple(names.get_values_for_type(x509.DNSName)),
            tuple([_normal_ip(str(ip)) for ip in names.get_values_for_type(x509.IPAddress)]),
        )
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return NOBODY


def sent_serials(ssl_object: End) -> list[int]:
    """Serial numbers of all certificates that the other end has sent, without signs.

    raises  ValueError: a certificate that cannot be read
    """
    # NB: the method of the object itself came with Python 3.13; the one behind it has the same, with other results.
    if hasattr(ssl_object, "get_unverified_chain"):
        return [serial_of(der) for der in ssl_object.get_unverified_chain()]
    behind: Any = ssl_object._sslobj  # type: ignore[union-attr]
    return [serial_of(certificate.public_bytes(_DER)) for certificate in behind.get_unverified_chain() or ()]


def has_expired(ssl_object: End, now_s: float) -> bool:
    """Whether the verified leaf has, which a handshake that resumes a session does not ask. now_s: since 1970"""
    leaf: dict[str, Any] = ssl_object.getpeercert() or {}
    return "notAfter" in leaf and ssl.cert_time_to_seconds(leaf["notAfter"]) <= now_s


def is_valid_for(names: PeerNames, host: str) -> bool:
    """Whether a certificate with these names may be shown for this host name or address.

    source  Go's x509.Certificate.VerifyHostname: names in SANs alone, a wildcard stands for one whole first label
    """
    if ip := _normal_ip(host[1:-1] if host.startswith("[") and host.endswith("]") else host):
        return ip in names.ip_addresses
    wanted = _lower(host)
    return any(_matches(_lower(name), wanted) for name in names.dns_names)


def is_allowed(names: PeerNames, allowed_cns: Sequence[str], allowed_hostnames: Sequence[str]) -> bool:
    """Whether this leaf may come in by its names; empty lists let all in."""
    if allowed_cns:
        return names.common_name in allowed_cns
    return not allowed_hostnames or any(is_valid_for(names, host) for host in allowed_hostnames)


_DER: Final = 2
"""_ssl.ENCODING_DER"""


def _common_name(leaf: dict[str, Any]) -> str:
    """The last one, as in Go."""
    found = ""
    for relative in leaf.get("subject", ()):
        for kind, value in relative:
            if kind == "commonName" and isinstance(value, str):
                found = value
    return found


def _normal_ip(text: str) -> str:
    """Empty: this is no address. An IPv4 address in IPv6 form is the IPv4 address, as in Go."""
    with suppress(ValueError):
        ip = ipaddress.ip_address(text.strip())
        if isinstance(ip, ipaddress.IPv6Address):
            return "" if ip.scope_id else str(ip.ipv4_mapped or ip)
        return str(ip)
    return ""


def _lower(text: str) -> str:
    """ASCII letters alone, as a name server does."""
    return "".join([char.lower() if "A" <= char <= "Z" else char for char in text])


def _matches(pattern: str, host: str) -> bool:
    if not (_is_host(host.removesuffix(".")) and _is_pattern(pattern)):
        return bool(pattern) and pattern != "." and pattern == host
    parts, wanted = pattern.split("."), host.removesuffix(".").split(".")
    if len(parts) != len(wanted):
        return False
    return (parts[0] == "*" or parts[0] == wanted[0]) and parts[1:] == wanted[1:]


def _is_host(text: str) -> bool:
    return all(_LABEL.fullmatch(part) for part in text.split("."))


def _is_pattern(text: str) -> bool:
    first, dot, rest = text.partition(".")
    return _is_host(rest) if first == "*" and dot else _is_host(text)
