"""Calls on a traced connection: each that is traced is told of when it ends, once, with its code."""

from collections.abc import Callable

import pytest

from etcdz.api.errors import Code
from etcdz.wire.call_tally import CallTally
from etcdz.wire.call_times import CallTimes
from etcdz.wire.request_head import Metadata, Method
from etcdz.wire.server import ServerSettings
from etcdz.wire.traced_server import TracedServerConnection
from etcdz.wire.unfinished import UnfinishedRequests
from tests.wire.conversation import HELLO, Clock, changed, data, headers, message, rst_stream

CALL_PATH, STREAM_PATH = b"/test.Echo/Call", b"/test.Echo/Stream"
METHODS = {CALL_PATH: Method(CALL_PATH, True, 3), STREAM_PATH: Method(STREAM_PATH, False, 4)}
ASKED = headers(1, changed((b":path", CALL_PATH))) + data(1, message(b"x"))
OPENED = headers(1, changed((b":path", STREAM_PATH)))
Do = Callable[[TracedServerConnection], object]
ENDS: list[tuple[str, bytes, Do, tuple[int, str]]] = [
    ("answered", ASKED, lambda conn: conn.reply(1, b"y"), (Code.OK, "")),
    ("answered in parts", ASKED, lambda conn: conn.reply_parts(1, [b"y", b"z"]), (Code.OK, "")),
    ("failed", ASKED, lambda conn: conn.fail(1, 5, "no"), (Code.NOT_FOUND, "no")),
    ("taken back", ASKED, lambda conn: conn.receive(rst_stream(1)), (Code.CANCELED, "")),
    ("client gone", ASKED, lambda conn: conn.count_lost(), (Code.CANCELED, "")),
    ("taken back at once", ASKED + rst_stream(1), lambda conn: None, (Code.CANCELED, "")),
    ("stream finished", OPENED, lambda conn: conn.finish(1), (Code.OK, "")),
    ("stream failed", OPENED, lambda conn: conn.fail(1, 5, "no"), (Code.NOT_FOUND, "no")),
    ("stream taken back", OPENED, lambda conn: conn.receive(rst_stream(1)), (Code.CANCELED, "")),
]


class Notes:
    """A Tracer that keeps what it is told."""

    def __init__(self, traces: bool = True) -> None:
        self.traces = traces
        self.ended: list[tuple[bytes, int, str]] = []

    def begin(self, path: bytes, metadata: Metadata) -> bytes | None:
        return path if self.traces else None

    def end(self, span: bytes, code: int, text: str) -> None:
        self.ended.append((span, code, text))


def connect(notes: Notes, times: CallTimes | None = None) -> TracedServerConnection:
    unfinished, tally = UnfinishedRequests(1 << 20), CallTally(times)
    conn = TracedServerConnection(METHODS, ServerSettings(), Clock(), unfinished, tally, notes)
    conn.receive(HELLO)
    return conn


@pytest.mark.parametrize(("asked", "end", "told"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
def test_what_is_traced_is_told_once_when_it_ends(asked: bytes, end: Do, told: tuple[int, str]) -> None:
    notes = Notes()
    conn = connect(notes)
    conn.receive(asked)
    end(conn)
    conn.receive(rst_stream(1))
    conn.count_lost()
    assert notes.ended == [(STREAM_PATH if asked is OPENED else CALL_PATH, *told)]


@pytest.mark.parametrize(("asked", "end"), [case[1:3] for case in ENDS], ids=[case[0] for case in ENDS])
def test_of_what_is_not_traced_nothing_is_told(asked: bytes, end: Do) -> None:
    notes = Notes(traces=False)
    conn = connect(notes)
    conn.receive(asked)
    end(conn)
    assert notes.ended == []


def test_a_call_that_is_refused_before_it_began_is_not_traced() -> None:
    notes = Notes()
    conn = connect(notes)
    conn.receive(ASKED)
    conn.refuse(1, Code.UNAVAILABLE, "no leader")
    assert notes.ended == []


def test_times_are_counted_where_they_are_asked_for_as_well() -> None:
    times = CallTimes()
    conn = connect(Notes(), times)
    conn.receive(ASKED)
    conn.reply(1, b"y")
    assert sum(times.counts[3]) == 1
