"""Events of either end as tests expect them: by what their kind has to say."""

from etcdz.wire.events import (
    CANCEL,
    DONE,
    GOAWAY,
    MESSAGE,
    NO_METHOD,
    STREAM_END,
    STREAM_MESSAGE,
    STREAM_OPEN,
    ClientEvent,
    ServerEvent,
)
from etcdz.wire.request_head import NO_METADATA, Metadata, Method


def opened(stream_id: int, method: Method, deadline: float | None, metadata: Metadata) -> ServerEvent:
    return STREAM_OPEN, stream_id, method, b"", deadline, metadata


def received(stream_id: int, message: bytes) -> ServerEvent:
    return STREAM_MESSAGE, stream_id, NO_METHOD, message, None, NO_METADATA


def half_closed(stream_id: int) -> ServerEvent:
    return STREAM_END, stream_id, NO_METHOD, b"", None, NO_METADATA


def cancelled(stream_id: int) -> ServerEvent:
    return CANCEL, stream_id, NO_METHOD, b"", None, NO_METADATA


def done(stream_id: int, code: int = 0, text: str = "", message: bytes = b"") -> ClientEvent:
    return DONE, stream_id, code, text, message


def answered(stream_id: int, message: bytes) -> ClientEvent:
    """One message of a stream."""
    return MESSAGE, stream_id, 0, "", message


def going(last_id: int, code: int, text: str) -> ClientEvent:
    return GOAWAY, last_id, code, text, b""


def messages(events: list[ClientEvent]) -> list[bytes]:
    """What the streams among these events brought, in order."""
    return [message for kind, _, _, _, message in events if kind == MESSAGE]


def ends(events: list[ClientEvent]) -> list[tuple[int, int, str]]:
    """(stream id, code, text) of the calls that ended."""
    return [(stream_id, code, text) for kind, stream_id, code, text, _ in events if kind == DONE]
