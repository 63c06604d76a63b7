"""A client of HTTP/1.1 that sends many requests at once and reads the answers in order: cheap, and hard on servers."""

import re
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.I)
_FORM = b"application/x-www-form-urlencoded"


class PipelinedAnswer(NamedTuple):
    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        """Empty: there is none."""
        found = re.search(rb"\r\n%b: *([^\r]*)" % name.encode(), self.head, re.I)
        return found[1].decode() if found else ""


def encode(method: str, target: str, body: bytes, kind: bytes = _FORM) -> bytes:
    """target: path and query. kind: Content-Type"""
    head = b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (method.encode(), target.encode(), kind, len(body)) + body


class PipelinedClient:
    """One connection."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port), timeout=60)
        self._read = b""

    def send(self, requests: bytes) -> None:
        self._socket.sendall(requests)

    def receive(self, is_head: bool = False) -> PipelinedAnswer:
        """The next answer. is_head: to a HEAD"""
        head = self._until(b"\r\n\r\n")
        status = int(head[9:12])
        if is_head or status in (204, 304):
            return PipelinedAnswer(status, head, b"")
        if _CHUNKED.search(head):
            return PipelinedAnswer(status, head, self._chunks())
        found = _LENGTH.search(head)
        assert found is not None, head
        return PipelinedAnswer(status, head, self._exactly(int(found[1])))

    def close(self) -> None:
        self._socket.close()

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n"), 16):
            parts.append(self._exactly(size))
            self._until(b"\r\n")
        self._until(b"\r\n")
        return b"".join(parts)

    def _until(self, end: bytes) -> bytes:
        while (at := self._read.find(end)) < 0:
            self._more()
        found, self._read = self._read[:at], self._read[at + len(end) :]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _more(self) -> None:
        data = self._socket.recv(1 << 16)
        assert data, "the connection has ended"
        self._read += data
