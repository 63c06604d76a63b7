"""Answers to calls of the v2 API: status, headers and JSON, in etcd's order and spelling."""

import struct
from typing import Final, NamedTuple

import msgpack

from etcdz.v2 import events
from etcdz.v2.errors import V2Error
from etcdz.v2.events import Event
from etcdz.v2.go_json import encode_text
from etcdz.v2.listing import Listing
from etcdz.v2.store import KEYS

JSON: Final = "application/json"
_ERRORS: Final = 400
_BRIEF_BEGINNINGS: Final = tuple(
    f'{{"action":"{action}",'.encode() for action in (events.SET, events.COMPARE_AND_SWAP, events.CREATE, events.UPDATE)
)
_BODY: Final = struct.Struct(">BI")
_BIN_32: Final = 0xC6
"""msgpack's tag of bytes whose length has four bytes."""
Headers = list[tuple[str, str]]


class HttpAnswer(NamedTuple):
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


Found = Event | Listing | V2Error


class Result(NamedTuple):
    """What the backend tells a listener of a call. status: HTTP's; from 400 on it is an error. body: the JSON"""

    status: int
    store_index: int
    raft_index: int
    raft_term: int
    body: bytes

    def to_http(self, is_brief: bool = False) -> "HttpAnswer":
        """is_brief: the action alone, of a change"""
        if self.status >= _ERRORS:
            return HttpAnswer(self.status, _headers(self.store_index), self.body)
        headers = index_headers(self.store_index, Position(self.raft_index, self.raft_term))
        is_cut = is_brief and self.body.startswith(_BRIEF_BEGINNINGS)
        body = self.body[: self.body.index(b",")] + b"}\n" if is_cut else self.body
        return HttpAnswer(self.status, headers, body)


def encode_result(found: Found, position: "Position", prefix: str) -> bytes:
    """prefix: of the part of the store that was asked, which keys and causes are shown without"""
    if isinstance(found, V2Error):
        status, text = found.status, error_json(found, prefix)
    elif isinstance(found, Listing):
        status, text = 200, found.to_json(len(prefix))
    else:
        status, text = 201 if found.has_created else 200, found.to_json(len(prefix))
    body = f"{text}\n".encode()
    return encode_head(status, found.store_index, position, len(body)) + body


def encode_head(status: int, store_index: int, position: "Position", size: int) -> bytes:
    """What stands before the body of an encoded result. size: of the body"""
    packer = msgpack.Packer(autoreset=False)
    packer.pack_array_header(len(Result._fields))
    for number in (status, store_index, *position):
        packer.pack(number)
    return bytes(packer.bytes()) + _BODY.pack(_BIN_32, size)


def decode_result(data: bytes) -> Result:
    """What encode_result gave."""
    return Result(*msgpack.unpackb(data))


class Position(NamedTuple):
    """Where the log stood when a call was answered."""

    raft_index: int
    raft_term: int


def event_json(event: Event, prefix: str = KEYS) -> str:
    """A line for a watcher."""
    return event.to_json(len(prefix)) + "\n"


def index_headers(index: int, position: Position) -> Headers:
    """index: of the store"""
    return [
        ("Content-Type", JSON),
        ("X-Etcd-Index", str(index)),
        ("X-Raft-Index", str(position.raft_index)),
        ("X-Raft-Term", str(position.raft_term)),
    ]


def error_answer(error: V2Error, prefix: str = KEYS) -> HttpAnswer:
    return HttpAnswer(error.status, _headers(error.store_index), (error_json(error, prefix) + "\n").encode())


def _headers(index: int) -> Headers:
    return [("Content-Type", JSON), ("X-Etcd-Index", str(index))]


def error_json(error: V2Error, prefix: str = KEYS) -> str:
    cause = error.cause.removeprefix(prefix)
    said = f'"cause":{encode_text(cause)},' if cause else ""
    return f'{{"errorCode":{error.code},"message":{encode_text(error.message)},{said}"index":{error.store_index}}}'


def message_answer(status: int, message: str) -> HttpAnswer:
    """An error of everything but keys."""
    return HttpAnswer(status, [("Content-Type", JSON)], f'{{"message":{encode_text(message)}}}'.encode())
