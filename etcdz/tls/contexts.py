"""SSL contexts of one side, and what is wrong with the files that they are made of.

A context checks as Go does where OpenSSL by itself is stricter or laxer: whatever stands in the CA file is trusted,
also an authority below another; a client certificate must be one for clients; names stand in SANs alone.
Source: etcd 3.5 transport.TLSInfo.
"""

import os
import ssl
from pathlib import Path
from typing import Final

from etcdz.tls import cipher_suites, openssl, pem
from etcdz.tls.settings import TlsSettings

_VERSIONS: Final = {
    "": ssl.TLSVersion.MAXIMUM_SUPPORTED,
    "TLS1.2": ssl.TLSVersion.TLSv1_2,
    "TLS1.3": ssl.TLSVersion.TLSv1_3,
}
_MISMATCH: Final = "KEY_VALUES_MISMATCH"


class TlsError(ValueError):
    """The files of a side are of no use; in etcd's words. is_missing: a file of a pair is not there"""

    def __init__(self, text: str, is_missing: bool = False) -> None:
        super().__init__(text)
        self.is_missing = is_missing


def server_context(settings: TlsSettings, alpn: tuple[str, ...]) -> ssl.SSLContext:
    """For connections that are accepted. alpn: protocols to choose from. raises TlsError"""
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    _load_pair(context, settings.cert_file, settings.key_file)
    if settings.demands_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, settings.trusted_ca_file, ssl.Purpose.CLIENT_AUTH)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    context.num_tickets = 0  # a session that is resumed would miss new rules
    openssl.keep_no_sessions(context)
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """For connections that are dialled; with a certificate if the side has one. raises TlsError"""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    if settings.is_self_signed or settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.hostname_checks_common_name = False
        _load_authorities(context, settings.trusted_ca_file, ssl.Purpose.SERVER_AUTH)
    cert, key = shown_by_client(settings)
    if bool(cert) != bool(key):
        raise TlsError(f"KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")
    if cert:
        _load_pair(context, cert, key)
    return context


def shown_by_client(settings: TlsSettings) -> tuple[str, str]:
    """Files of the certificate and key that this side shows when it is the client."""
    if settings.client_cert_file:
        return settings.client_cert_file, settings.client_key_file
    return settings.cert_file, settings.key_file


def _context(protocol: int, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = _VERSIONS[settings.min_version or "TLS1.2"]
    context.maximum_version = _VERSIONS[settings.max_version]
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if ciphers := cipher_suites.openssl_list(settings.cipher_suites):
        context.set_ciphers(ciphers)
    else:  # names of TLS 1.3 alone
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def check_pair(cert_file: str, key_file: str) -> None:
    """raises TlsError: these files are no certificate and its key"""
    _load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert_file, key_file)


def _load_pair(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """NB: OpenSSL reads the key itself; no Python object ever holds it."""
    for path in (cert_file, key_file):
        _demand_file(path)
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == _MISMATCH:
            raise TlsError("tls: private key does not match public key") from None
        raise TlsError(_pair_error(cert_file, key_file, error)) from None
    except OSError as error:
        raise TlsError(f"open {cert_file}: {_why(error)}", isinstance(error, FileNotFoundError)) from None


def _no_password() -> str:
    """Of an encrypted key: otherwise OpenSSL would ask the terminal."""
    return ""


def _demand_file(path: str) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise TlsError(f"open {path}: {_why(error)}", isinstance(error, FileNotFoundError)) from None


def _pair_error(cert_file: str, key_file: str, error: ssl.SSLError) -> str:
    cert_labels, key_labels = _labels(cert_file), _labels(key_file)
    reason = error.reason or ""
    if pem.CERTIFICATE in cert_labels and reason and not _blames_key_file(reason):
        return f"x509: certificate cannot be used ({reason.lower().replace('_', ' ')})"
    return pem.pair_error(cert_labels, key_labels)


def _blames_key_file(reason: str) -> bool:
    """NB: "ee key too small" is said of the certificate."""
    return any(word in reason for word in ("KEY", "DECRYPT", "PEM")) and not reason.endswith("TOO_SMALL")


def _labels(path: str) -> list[str]:
    """Of a file's blocks; only such lines are kept of it, for it may hold a key."""
    found: list[str] = []
    with open(path, "rb") as file:
        for line in file:
            found += pem.labels(line) if line.startswith(b"-----BEGIN ") else []
    return found


def _load_authorities(context: ssl.SSLContext, path: str, purpose: ssl.Purpose) -> None:
    if not path:
        context.load_default_certs(purpose)
        return
    try:
        found = pem.blocks(Path(path).read_bytes(), pem.CERTIFICATE)
    except OSError as error:
        raise TlsError(f"open {path}: {_why(error)}") from None
    if not found:
        raise TlsError(f"no certificate in {path}")
    try:
        for der in found:
            context.load_verify_locations(cadata=der)
    except ssl.SSLError as error:
        raise TlsError(f"x509: malformed certificate in {path} ({(error.reason or '').lower()})") from None


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
