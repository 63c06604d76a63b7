"""Why a handshake has failed, in the words of etcd's log: those of Go's crypto/tls and crypto/x509."""

import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

from etcdz.tls.certificate import REFUSED
from etcdz.tls.refusal_alert import REJECTED


class HandshakeError(NamedTuple):
    """text for `error` of "rejected connection on client endpoint"; level of that line, warn or debug."""

    text: str
    level: str


NO_CERTIFICATE: Final = "tls: client didn't provide a certificate"
NO_TLS: Final = "tls: first record does not look like a TLS handshake"
NO_VERSION: Final = "tls: client offered only unsupported versions"

_REASONS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CERTIFICATE,
    "NO_SHARED_CIPHER": "tls: no cipher suite supported by both client and server",
    "UNSUPPORTED_PROTOCOL": NO_VERSION,
    "VERSION_TOO_LOW": NO_VERSION,
    "WRONG_VERSION_NUMBER": NO_TLS,
    "HTTP_REQUEST": NO_TLS,
    "HTTPS_PROXY_REQUEST": NO_TLS,
    "RECORD_LAYER_FAILURE": NO_TLS,
    "BAD_RECORD_TYPE": NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": "EOF",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "tls: peer doesn't support any of the certificate's signature algorithms",
    "NO_SUITABLE_KEY_SHARE": "tls: no key exchanges supported by both client and server",
    "BAD_SIGNATURE": "tls: invalid signature by the client certificate",
}
_VERIFY_CODES: Final = {
    9: "certificate has expired or is not yet valid",
    10: "certificate has expired or is not yet valid",
    2: "certificate signed by unknown authority",
    18: "certificate signed by unknown authority",
    19: "certificate signed by unknown authority",
    20: "certificate signed by unknown authority",
    21: "certificate signed by unknown authority",
    24: "certificate signed by unknown authority",
    26: "certificate specifies an incompatible key usage",
    79: "certificate signed by unknown authority",
}
"""X509_V_ERR_* of OpenSSL's x509_vfy.h."""
_HOST_MISMATCH: Final = (62, 64)
_ALERTS: Final = {
    "UNEXPECTED_MESSAGE": "unexpected message",
    "BAD_RECORD_MAC": "bad record MAC",
    "HANDSHAKE_FAILURE": "handshake failure",
    "BAD_CERTIFICATE": "bad certificate",
    "UNSUPPORTED_CERTIFICATE": "unsupported certificate",
    "CERTIFICATE_REVOKED": "revoked certificate",
    "CERTIFICATE_EXPIRED": "expired certificate",
    "CERTIFICATE_UNKNOWN": "unknown certificate",
    "ILLEGAL_PARAMETER": "illegal parameter",
    "UNKNOWN_CA": "unknown certificate authority",
    "ACCESS_DENIED": "access denied",
    "DECODE_ERROR": "error decoding message",
    "DECRYPT_ERROR": "error decrypting message",
    "PROTOCOL_VERSION": "protocol version not supported",
    "INSUFFICIENT_SECURITY": "insufficient security level",
    "INTERNAL_ERROR": "internal error",
    "USER_CANCELLED": "user canceled",
    "NO_RENEGOTIATION": "no renegotiation",
    "MISSING_EXTENSION": "missing extension",
    "UNRECOGNIZED_NAME": "unrecognized name",
    "CERTIFICATE_REQUIRED": "certificate required",
    "NO_APPLICATION_PROTOCOL": "no application protocol",
}
"""What the other end has sent: how OpenSSL's reason ends -> Go's text of it."""


def handshake_error(error: BaseException, offered: Sequence[int] = ()) -> HandshakeError:
    """What etcd would say, on either side.

    error   ssl.SSLError of the handshake; EOFError or ConnectionError: the other end has gone; TimeoutError: it was
            silent for too long
    offered versions of TLS that the client has offered, as on the wire
    """
    if isinstance(error, EOFError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return HandshakeError("EOF", "debug")
    if isinstance(error, TimeoutError):
        return HandshakeError("i/o timeout", "warn")
    if isinstance(error, ssl.SSLCertVerificationError):
        return HandshakeError(_verification_text(error), "warn")
    if isinstance(error, ssl.SSLError):
        text = _text(error.reason or str(error))
        if text == NO_VERSION and offered:
            text = f"{text}: [{' '.join([f'{version:x}' for version in offered])}]"
        return HandshakeError(text, "debug" if text == "EOF" else "warn")
    if isinstance(error, ConnectionResetError):
        return HandshakeError("read: connection reset by peer", "warn")
    return HandshakeError(str(error) or type(error).__name__, "warn")


def _verification_text(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == REJECTED:
        return REFUSED
    if code in _HOST_MISMATCH:
        why = error.verify_message.rstrip(".").partition(", ")[2] or error.verify_message
    else:
        why = _VERIFY_CODES.get(code, error.verify_message)
    return f"tls: failed to verify certificate: x509: {why}"


def _text(reason: str) -> str:
    """Go's, where it has words for it."""
    _, alert, name = reason.partition("_ALERT_")
    if alert:
        return f"remote error: tls: {_ALERTS.get(name, name.lower().replace('_', ' '))}"
    return _REASONS.get(reason) or f"tls: {reason.lower().replace('_', ' ')}"
