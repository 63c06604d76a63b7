"""TLS without I/O: ciphertext in, plaintext out, and back. One object per connection, for either end.

    session = TlsSession(context, server_side=True)
    parts = session.receive(data)               what data brings of plaintext; [] while the handshake goes on
    session.send(plain, ...)                    to be encrypted
    transport.write(session.outgoing())         after each of these calls, and after an error: then it is the alert

Nothing is resumed and nothing renegotiated: that is the context's business. A session may go from thread to thread (a
handshake is long for an event loop) but is used by one at a time.
"""

import ssl
from typing import Any, Final

HANDSHAKE_BYTES_MAX: Final = 64 << 10
"""Of the other side before the handshake is done."""
_RECORD_BYTES_MAX: Final = 16 << 10
"""Of plaintext, which one read of a record returns at most. Source: RFC 8446, section 5.1."""


class HandshakeTooLong(ssl.SSLError):
    """The other side has sent HANDSHAKE_BYTES_MAX, and the handshake is not done."""


class TlsSession:
    """One TLS connection.

    is_established   the handshake is done: `send` may be used, and the certificate of the other side is known
    is_closed        the other side has said that nothing more comes (close_notify)
    ssl_object       for checks of the other side's certificates
    """

    __slots__ = (
        "_handshake_bytes", "_incoming", "_outgoing", "_pending", "_read", "_write", "is_closed", "is_established",
        "ssl_object",
    )  # fmt: skip

    def __init__(self, context: ssl.SSLContext, server_side: bool, server_name: str | None = None) -> None:
        """server_name: of the server, for a client: said in its greeting, and looked for in the certificate if the
        context checks host names. A client calls `receive(b"")` to begin."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_side, server_name)
        self._read, self._write, self._pending = self.ssl_object.read, self.ssl_object.write, self.ssl_object.pending
        self._handshake_bytes = 0
        self.is_established = False
        self.is_closed = False

    def receive(self, data: bytes) -> list[bytes]:
        """The plaintext that data completes, in order; all that the transport had.

        raises ssl.SSLError: the session is over (`outgoing` has the alert); before `is_established` the handshake has
        failed, ssl.SSLCertVerificationError if by the other side's certificate
        """
        incoming = self._incoming
        incoming.write(data)
        if not self.is_established and not self._shake_hands(len(data)):
            return []
        read, pending = self._read, self._pending
        parts: list[bytes] = []
        while incoming.pending or pending():
            try:
                part = read(_RECORD_BYTES_MAX)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                self.is_closed = True
                break
            parts.append(part)
        return parts

    def _shake_hands(self, size: int) -> bool:
        """return whether the handshake is done"""
        self._handshake_bytes += size
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            if self._handshake_bytes > HANDSHAKE_BYTES_MAX:
                raise HandshakeTooLong("the handshake is too long") from None
            return False
        self.is_established = True
        return True

    def send(self, *plain: bytes) -> None:
        """Encrypts. Requires: is_established. raises ssl.SSLError: the session is over"""
        data = plain[0] if len(plain) == 1 else b"".join(plain)
        size = len(data)
        if not size:
            return
        sent = self._write(data)
        while sent < size:  # a record at a time
            sent += self._write(memoryview(data)[sent:])

    def outgoing(self) -> bytes:
        """Ciphertext to be written now."""
        return self._outgoing.read()

    def peer_certificate(self) -> dict[str, Any]:
        """The other side's own certificate, as `ssl.SSLSocket.getpeercert` describes it. {}: it has shown none, or none
        is asked for. Requires: is_established"""
        return dict(self.ssl_object.getpeercert() or {})

    def common_name(self) -> str:
        """CN of the other side's certificate, which was verified; "": none. Requires: is_established

        Of several the last counts, as in Go.
        """
        names = [
            value for rdn in self.peer_certificate().get("subject", ()) for key, value in rdn if key == "commonName"
        ]
        return str(names[-1]) if names else ""

    def close(self) -> None:
        """Says that nothing more comes (close_notify). Before the handshake is done it says nothing."""
        if self.is_established:
            try:
                self.ssl_object.unwrap()
            except ssl.SSLError:  # mostly that the other side has not said the same yet
                pass
