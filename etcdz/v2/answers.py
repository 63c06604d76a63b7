"""Answers to calls of the v2 API: status, headers and JSON, in etcd's order and spelling."""

from typing import Final, NamedTuple

from etcdz.v2 import events
from etcdz.v2.errors import V2Error
from etcdz.v2.events import Event
from etcdz.v2.go_json import encode_text
from etcdz.v2.store import KEYS

JSON: Final = "application/json"
_BRIEF: Final = (events.SET, events.COMPARE_AND_SWAP, events.CREATE, events.UPDATE)
Headers = list[tuple[str, str]]


class HttpAnswer(NamedTuple):
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


class Position(NamedTuple):
    """Where the log stood when a call was answered."""

    raft_index: int
    raft_term: int


def event_json(event: Event, is_brief: bool = False, prefix: str = KEYS) -> str:
    """A line for a client. is_brief: the action alone, of a change"""
    without = is_brief and event.action in _BRIEF
    return event.to_json(len(prefix), without_nodes=without) + "\n"


def event_answer(event: Event, position: Position, is_brief: bool = False) -> HttpAnswer:
    status = 201 if event.has_created else 200
    return HttpAnswer(status, index_headers(event.store_index, position), event_json(event, is_brief).encode())


def index_headers(index: int, position: Position) -> Headers:
    """index: of the store"""
    return [
        ("Content-Type", JSON),
        ("X-Etcd-Index", str(index)),
        ("X-Raft-Index", str(position.raft_index)),
        ("X-Raft-Term", str(position.raft_term)),
    ]


def error_answer(error: V2Error, prefix: str = KEYS) -> HttpAnswer:
    body = error_json(error, prefix) + "\n"
    return HttpAnswer(error.status, [("Content-Type", JSON), ("X-Etcd-Index", str(error.store_index))], body.encode())


def error_json(error: V2Error, prefix: str = KEYS) -> str:
    cause = error.cause.removeprefix(prefix)
    return (
        f'{{"errorCode":{error.code},"message":{encode_text(error.message)},"cause":{encode_text(cause)},'
        f'"index":{error.store_index}}}'
    )


def message_answer(status: int, message: str) -> HttpAnswer:
    """An error of everything but keys."""
    return HttpAnswer(status, [("Content-Type", JSON)], f'{{"message":{encode_text(message)}}}'.encode())
