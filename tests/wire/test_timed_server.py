"""Calls on a timed connection: each that is counted when it ends is timed, once."""

from collections.abc import Callable

import pytest

from etcdz.wire.call_tally import CallTally
from etcdz.wire.call_times import CallTimes
from etcdz.wire.request_head import Method
from etcdz.wire.server import ServerSettings
from etcdz.wire.timed_server import TimedServerConnection
from etcdz.wire.unfinished import UnfinishedRequests
from tests.wire.conversation import HELLO, Clock, changed, data, headers, message, rst_stream

CALL_PATH, STREAM_PATH = b"/test.Echo/Call", b"/test.Echo/Stream"
CALL_TAG, STREAM_TAG = 3, 4
METHODS = {CALL_PATH: Method(CALL_PATH, True, CALL_TAG), STREAM_PATH: Method(STREAM_PATH, False, STREAM_TAG)}
ASKED = headers(1, changed((b":path", CALL_PATH))) + data(1, message(b"x"))
OPENED = headers(1, changed((b":path", STREAM_PATH)))

Do = Callable[[TimedServerConnection], object]
ENDS: list[tuple[str, bytes, Do]] = [
    ("answered", ASKED, lambda conn: conn.reply(1, b"y")),
    ("answered in parts", ASKED, lambda conn: conn.reply_parts(1, [b"y", b"z"])),
    ("failed", ASKED, lambda conn: conn.fail(1, 5, "no")),
    ("taken back", ASKED, lambda conn: conn.receive(rst_stream(1))),
    ("client gone", ASKED, lambda conn: conn.count_lost()),
    ("stream finished", OPENED, lambda conn: conn.finish(1)),
    ("stream failed", OPENED, lambda conn: conn.fail(1, 5, "no")),
    ("stream taken back", OPENED, lambda conn: conn.receive(rst_stream(1))),
    ("stream of a client that is gone", OPENED, lambda conn: conn.count_lost()),
]


def connect(clock: Clock) -> tuple[TimedServerConnection, CallTimes]:
    times = CallTimes()
    unfinished = UnfinishedRequests(1 << 20)
    conn = TimedServerConnection(METHODS, ServerSettings(), clock, unfinished, CallTally(times), times)
    conn.receive(HELLO)
    return conn, times


@pytest.mark.parametrize(("asked", "end"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
def test_what_has_ended_is_timed_once(asked: bytes, end: Do) -> None:
    clock = Clock()
    conn, times = connect(clock)
    conn.receive(asked)
    clock.now += 0.03
    end(conn)
    conn.receive(rst_stream(1))
    tag = CALL_TAG if asked is ASKED else STREAM_TAG
    assert times.counts == {tag: [0, 0, 0, 1, *[0] * 8]}  # above 25 ms, up to 50
    assert times.total_s[tag] == pytest.approx(0.03)


def test_a_call_taken_back_in_the_bytes_that_bring_it_is_timed() -> None:
    conn, times = connect(Clock())
    conn.receive(ASKED + rst_stream(1))
    assert times.counts == {CALL_TAG: [1, *[0] * 11]}


def test_calls_one_after_the_other_are_timed_by_themselves() -> None:
    clock = Clock()
    conn, times = connect(clock)
    for stream_id, took_s in ((1, 0.004), (3, 0.2), (5, 20.0)):
        conn.receive(headers(stream_id, changed((b":path", CALL_PATH))) + data(stream_id, message(b"x")))
        clock.now += took_s
        conn.reply(stream_id, b"y")
    assert times.counts[CALL_TAG] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert times.total_s[CALL_TAG] == pytest.approx(20.204)


def test_what_was_refused_before_it_began_is_not_timed() -> None:
    conn, times = connect(Clock())
    conn.receive(ASKED)
    conn.refuse(1, 14, "no leader")
    conn.count_lost()
    assert times.counts == {}
