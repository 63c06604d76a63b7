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
SLICE_BYTES: Final = 4 << 10
"""Of ciphertext that OpenSSL is given at a time: with records that bring no plaintext (new keys, which cost as much as
a thousand bytes of any other) it goes on by itself until it has none left."""
BARREN_RECORDS_MAX: Final = 16
"""Records in a row that bring no plaintext, as for Go."""
_HEADS: Final = (b"\x17\x03\x03", b"\x16\x03\x03")
"""How records begin that may be such: of data, behind which TLS 1.3 hides all, and of handshakes. NB: these are looked
for without knowing where a record begins; ciphertext has three given bytes by chance once in 16 MiB."""


class HandshakeTooLong(ssl.SSLError):
    """The other side has sent HANDSHAKE_BYTES_MAX, and the handshake is not done."""


class TooManyBarrenRecords(ssl.SSLError):
    """The other side has sent BARREN_RECORDS_MAX that bring nothing: new keys, or pleas to renegotiate."""


class TlsSession:
    """One TLS connection.

    is_established   the handshake is done: `send` may be used, and the certificate of the other side is known
    is_closed        the other side has said that nothing more comes (close_notify)
    ssl_object       for checks of the other side's certificates
    """

    __slots__ = (
        "_barren_records", "_handshake_bytes", "_incoming", "_outgoing", "_pending", "_read", "_write", "is_closed",
        "is_established", "ssl_object",
    )  # fmt: skip

    def __init__(self, context: ssl.SSLContext, server_side: bool, server_name: str | None = None) -> None:
        """server_name: of the server, for a client: said in its greeting, and looked for in the certificate if the
        context checks host names. A client calls `receive(b"")` to begin."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_side, server_name)
        self._read, self._write, self._pending = self.ssl_object.read, self.ssl_object.write, self.ssl_object.pending
        self._handshake_bytes = self._barren_records = 0
        self.is_established = False
        self.is_closed = False

    def receive(self, data: bytes) -> list[bytes]:
        """The plaintext that data completes, in order; all that the transport had.

        raises ssl.SSLError: the session is over (`outgoing` has the alert); before `is_established` the handshake has
        failed, ssl.SSLCertVerificationError if by the other side's certificate
        """
        parts: list[bytes] = []
        if self.is_established and len(data) <= SLICE_BYTES:
            self._incoming.write(data)
            self._take(parts)
            if not parts or self._barren_records:
                self._note_barren(data, bool(parts))
            return parts
        for at in range(0, len(data) or 1, SLICE_BYTES):
            piece, before = data[at : at + SLICE_BYTES], len(parts)
            self._incoming.write(piece)
            if self.is_established:
                self._take(parts)
                self._note_barren(piece, len(parts) > before)
            elif self._shake_hands(len(piece)):
                self._take(parts)
        return parts

    def _take(self, parts: list[bytes]) -> None:
        """Plaintext is added to parts."""
        incoming, read, pending = self._incoming, self._read, self._pending
        while incoming.pending or pending():
            try:
                part = read(_RECORD_BYTES_MAX)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                self.is_closed = True
                return
            parts.append(part)

    def _note_barren(self, data: bytes, is_fruitful: bool) -> None:
        """data: what has just been taken"""
        if is_fruitful:
            self._barren_records = 0
            return
        self._barren_records += sum([data.count(head) for head in _HEADS])
        if self._barren_records > BARREN_RECORDS_MAX:
            raise TooManyBarrenRecords("too many records that bring nothing")

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

    @property
    def has_outgoing(self) -> bool:
        """Whether there is ciphertext to be written."""
        return self._outgoing.pending > 0

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
