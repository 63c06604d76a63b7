"""What a TLS client says first: read for the log line about a handshake that has failed.

    record      22 version(2) length(2) fragment, as many as the message needs
    message     1 length(3) version(2) random(32) session<1> ciphers<2> compressions<1> extensions<2>
    extension   type(2) data<2>         <n>: length in n bytes before it

Source: RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3.
"""

from typing import Final, NamedTuple

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_SUPPORTED_VERSIONS: Final = 43
_RANDOM_BYTES: Final = 32
_SSL_3: Final = 0x300
_TLS_1_2: Final = 0x303
"""The newest that a client without supported_versions can mean."""


class ClientHello(NamedTuple):
    """server_name   which server is wanted (SNI); "": not said
    versions      that the client offers, as on the wire (0x303: TLS 1.2)
    """

    server_name: str
    versions: tuple[int, ...]


class _Reader:
    """raises IndexError: the data end too soon"""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise IndexError
        self._at += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)


def decode_client_hello(data: bytes) -> ClientHello | None:
    """data: what the client has sent first. None: no such greeting, or data end within it"""
    try:
        return _decode(_Reader(_unwrap(_Reader(data))))
    except IndexError:
        return None


def _unwrap(records: _Reader) -> bytes:
    """The message out of its records; what is there of it."""
    message = b""
    while not records.is_empty:
        if records.number(1) != _HANDSHAKE:
            break
        records.take(2)
        message += records.vector(2)
    return message


def _decode(message: _Reader) -> ClientHello | None:
    if message.number(1) != _CLIENT_HELLO:
        return None
    hello = _Reader(message.vector(3))
    version = hello.number(2)
    hello.take(_RANDOM_BYTES)
    for size in (1, 2, 1):
        hello.vector(size)
    found = ClientHello("", tuple(range(min(version, _TLS_1_2), _SSL_3, -1)))
    extensions = _Reader(b"" if hello.is_empty else hello.vector(2))
    while not extensions.is_empty:
        kind, value = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            found = found._replace(server_name=_read_name(_Reader(value)))
        elif kind == _SUPPORTED_VERSIONS:
            versions = _Reader(_Reader(value).vector(1))
            listed = []
            while not versions.is_empty:
                listed.append(versions.number(2))
            found = found._replace(versions=tuple(listed))
    return found


def _read_name(value: _Reader) -> str:
    names = _Reader(value.vector(2))
    while not names.is_empty:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            return name.decode("ascii", "replace")
    return ""
