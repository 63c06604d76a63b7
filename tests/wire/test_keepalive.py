"""PINGs of both sides, by the rules of a grpc-go server."""

from typing import Any

import pytest

from etcdz.wire import frames as f
from etcdz.wire.keepalive import ASK, GIVE_UP, WAIT, KeepaliveRules, Pulse, rules_of_flags
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.conversation import (
    CALL_FIELDS,
    HELLO,
    METHODS,
    Clock,
    Reader,
    call,
    changed,
    data,
    headers,
    message,
    ping,
    settings,
    window_update,
)
from tests.wire.conversation import STREAM as STREAM_PATH
from tests.wire.echo_server import answer

RULES = KeepaliveRules(min_time_s=5.0, interval_s=60.0, timeout_s=20.0)
TOO_MANY = "GOAWAY {0} ENHANCE_YOUR_CALM"
STREAM_FIELDS = changed((b":path", STREAM_PATH))

Step = tuple[float, bytes]

# One step: seconds since the last, bytes of the client. The number is of the PING that is one too many, 0 for none.
PINGS: dict[str, tuple[list[Step], int]] = {
    "idle, at once": ([(0, ping())] * 5, 4),
    "idle, once a minute": ([(60, ping())] * 5, 4),
    "idle, every two hours": ([(7200, ping())] * 9, 0),
    "idle, a little too soon": ([(7199.9, ping())] * 9, 4),
    "busy, as often as allowed": ([(0, call(1, b"never"))] + [(5, ping())] * 9, 0),
    "busy, a little too soon": ([(0, call(1, b"never"))] + [(4.9, ping())] * 9, 4),
    "strikes are not forgiven by patience": (
        [(0, call(1, b"never")), (0, ping()), (1, ping()), (9, ping()), (1, ping()), (99, ping()), (1, ping())],
        6,
    ),
    "an answer between two": ([(0, ping() + call(n)) for n in range(1, 40, 2)], 0),
    "an answer with each third": (
        [(0, ping() * 3 + call(n)) for n in range(1, 40, 2)],
        0,
    ),
    "an answer with each fifth": ([(0, ping() * 5 + call(n)) for n in range(1, 40, 2)], 4),
    "a refusal is HEADERS too": ([(0, ping() + call(n, b"fail:5:no")) for n in range(1, 40, 2)], 0),
    "a stream's messages": (
        [(0, headers(1, STREAM_FIELDS))] + [(0, data(1, message(b"x"), 0) + ping())] * 9,
        0,
    ),
    "what is not for a call forgives nothing": ([(0, ping() + settings() + window_update(0, 1))] * 9, 4),
}


def pings_survived(steps: list[Step], rules: KeepaliveRules | None) -> tuple[int, list[str], Any]:
    """(PINGs answered, the last lines, the connection)."""
    clock = Clock()
    conn = GrpcServerConnection(METHODS, ServerSettings(keepalive=rules), clock)
    reader, answered, lines = Reader(), 0, []
    for wait_s, sent in [(0.0, HELLO), *steps]:
        clock.now += wait_s
        answer(conn, conn.receive(sent))
        lines = reader.lines(conn.take_output()) or lines
        answered += sum(line.startswith("PING ACK") for line in lines)
        if conn.closed:
            break
    return answered, lines, conn


@pytest.mark.parametrize("name", PINGS)
def test_more_than_two_pings_too_soon_are_too_many(name: str) -> None:
    steps, too_many = PINGS[name]
    answered, lines, conn = pings_survived(steps, RULES)
    assert conn.closed == bool(too_many)
    if too_many:
        assert answered == too_many
        assert lines[-1].split()[0::2] == ["GOAWAY", "ENHANCE_YOUR_CALM"]


def test_goaway_says_too_many_pings() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(keepalive=RULES), Clock())
    conn.receive(HELLO + call(1, b"never") + ping() * 4)
    assert conn.should_close and conn.take_output().endswith(b"\0\0\0\x01\0\0\0\x0btoo_many_pings")


def test_without_rules_only_floods_end() -> None:
    assert not pings_survived([(0, ping())] * 100, None)[2].closed


@pytest.mark.parametrize(
    ("flags", "rules"),
    [
        ((5, 7200, 20), KeepaliveRules(5, 7200, 20)),
        ((0, 7200, 20), KeepaliveRules(300, 7200, 20)),
        ((5, 0, 1), KeepaliveRules(5, 7200, 20)),
        ((5, 1, 0), KeepaliveRules(5, 7200, 20)),
        ((5, 0.2, 0.1), KeepaliveRules(5, 1, 0.1)),
    ],
)
def test_rules_of_flags(flags: tuple[float, float, float], rules: KeepaliveRules) -> None:
    assert rules_of_flags(*flags) == rules


# (time, anything heard since the last look, what to do)
LOOKS: dict[str, list[tuple[float, bool, int]]] = {
    "a client that answers nothing": [(59.9, False, WAIT), (60, False, ASK), (79.9, False, WAIT), (80, False, GIVE_UP)],
    "an answer": [(60, False, ASK), (61, True, WAIT), (120.9, False, WAIT), (121, False, ASK), (141, False, GIVE_UP)],
    "the last moment": [(60, False, ASK), (80, True, WAIT), (140, False, ASK)],
    "a busy client": [(at, True, WAIT) for at in range(0, 1000, 50)],
    "looked at late": [(500, False, ASK), (501, False, WAIT), (900, False, GIVE_UP)],
}


@pytest.mark.parametrize("name", LOOKS)
def test_pulse(name: str) -> None:
    pulse = Pulse(RULES, 0.0)
    assert [pulse.look(now, heard) for now, heard, _ in LOOKS[name]] == [expected for _, _, expected in LOOKS[name]]


def test_a_silent_client_is_sent_a_ping_and_any_byte_of_it_counts() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(keepalive=RULES), Clock())
    conn.receive(HELLO)
    conn.take_output()
    assert conn.keep_alive(1.0) and conn.keep_alive(60.9) and conn.take_output() == b""
    assert conn.keep_alive(61.0)
    assert Reader().lines(conn.take_output()) == ["PING 0000000000000000"]
    conn.receive(headers(1, CALL_FIELDS)[:5])
    assert conn.keep_alive(81.0) and conn.keep_alive(141.0)
    assert not conn.keep_alive(161.0)


def test_the_answers_to_pings_are_no_flood() -> None:
    clock = Clock()
    conn = GrpcServerConnection(METHODS, ServerSettings(keepalive=RULES), clock)
    conn.receive(HELLO)
    for _ in range(20_000):
        clock.now += 1.0
        conn.receive(ping(bytes(8), f.ACK))
    assert not conn.closed
