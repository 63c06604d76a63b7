"""Requests that are not gRPC over HTTP/2, where they are served: handed on whole, answered whole."""

import pytest

from etcdz.wire import frames as f
from etcdz.wire.events import CALL, CANCEL, REQUEST
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.conversation import (
    HELLO,
    METHODS,
    Clock,
    Reader,
    call,
    data,
    headers,
    rst_stream,
    settings,
    window_update,
)

END = f.END_STREAM | f.END_HEADERS
GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/health?a=b"), (b":authority", b"x")]
POST = [(b":method", b"POST"), *GET[1:], (b"content-type", b"application/json")]
LIMIT = 100


def server(serves_grpc: bool = True) -> GrpcServerConnection:
    chosen = ServerSettings(body_bytes_max=LIMIT, serves_http=True, serves_grpc=serves_grpc)
    made = GrpcServerConnection(METHODS, chosen, Clock())
    made.receive(HELLO)
    made.take_output()
    return made


def requests(events: list) -> list[tuple[int, bytes, bytes]]:  # type: ignore[type-arg]
    """(stream, path, body)"""
    assert all(event[0] == REQUEST for event in events), events
    return [(event[1], event[5][b":path"], event[3]) for event in events]


def test_a_request_without_body_comes_with_its_fields() -> None:
    [(kind, stream_id, _, body, _, fields)] = server().receive(headers(1, GET, END))
    assert (kind, stream_id, body) == (REQUEST, 1, b"")
    assert fields == dict(GET)


@pytest.mark.parametrize("sizes", [[5], [1, 4], [0, 5, 0]])
def test_a_body_in_any_pieces(sizes: list[int]) -> None:
    made = server()
    body, at = b'{"a":', 0
    assert made.receive(headers(1, POST)) == []
    for size in sizes:
        assert made.receive(data(1, body[at : at + size], 0)) == []
        at += size
    assert requests(made.receive(data(1, b""))) == [(1, b"/health?a=b", body)]


def test_what_looks_like_a_message_of_grpc_is_a_body_as_any_other() -> None:
    made = server()
    made.receive(headers(1, POST))
    body = b"\0\0\0\0\x02ab"
    assert requests(made.receive(data(1, body, 0) + data(1, body))) == [(1, b"/health?a=b", body * 2)]


def test_grpc_is_served_beside_it_and_only_there() -> None:
    made = server()
    assert [event[0] for event in made.receive(call(1, b"hello") + headers(3, GET, END))] == [CALL, REQUEST]
    assert [event[0] for event in server(serves_grpc=False).receive(call(1, b"hello"))] == [REQUEST]


def test_the_answer_is_a_head_and_a_body() -> None:
    made = server()
    made.receive(headers(1, GET, END) + headers(3, GET, END))
    reader = Reader()
    made.respond(3, 404, [(b"content-type", b"text/plain")], b"gone")
    made.respond(1, 200, [], b"")
    made.respond(1, 200, [], b"again")
    assert reader.lines(made.take_output()) == [
        "HEADERS 3 :status=404 content-type=text/plain",
        "DATA 3 4",
        "DATA 3 END_STREAM 0",
        "HEADERS 1 END_STREAM :status=200",
    ]
    assert made.open_streams == 0


def test_a_long_answer_keeps_to_the_window() -> None:
    made = server()
    made.receive(settings((f.SETTING_INITIAL_WINDOW_SIZE, 10)) + headers(1, GET, END))
    made.take_output()
    made.respond(1, 200, [], bytes(25))
    reader = Reader()
    assert reader.lines(made.take_output())[1:] == ["DATA 1 10"]
    made.receive(window_update(1, 100))
    assert reader.lines(made.take_output()) == ["DATA 1 15", "DATA 1 END_STREAM 0"]


def test_a_body_that_is_too_long_is_refused_before_it_has_come() -> None:
    made = server()
    made.receive(headers(1, POST) + data(1, bytes(LIMIT), 0))
    assert made.take_output() == b""
    assert made.receive(data(1, b"x", 0)) == []
    lines = Reader().lines(made.take_output())
    assert lines[0].startswith("HEADERS 1 :status=413") and lines[-1] == "RST_STREAM 1 NO_ERROR"
    assert made.receive(data(1, b"more")) == [] and not made.closed


def test_a_body_of_another_length_than_was_said_resets_the_stream() -> None:
    made = server()
    assert made.receive(headers(1, [*POST, (b"content-length", b"5")]) + data(1, b"four")) == []
    assert Reader().lines(made.take_output()) == ["RST_STREAM 1 PROTOCOL_ERROR"]


def test_a_request_that_is_given_up_is_not_answered() -> None:
    made = server()
    made.receive(headers(1, GET, END))
    assert [event[0] for event in made.receive(rst_stream(1))] == [CANCEL]
    made.respond(1, 200, [], b"late")
    assert made.take_output() == b""


def test_unfinished_bodies_count_until_they_are_whole() -> None:
    made = server()
    made.receive(headers(1, POST) + data(1, bytes(50), 0))
    assert made._unfinished.total == 50
    made.receive(data(1, b""))
    assert made._unfinished.total == 0
