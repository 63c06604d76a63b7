"""HTTP/1.1: requests in, responses out, keep-alive and limits; and which protocol a connection speaks."""

import pytest

from etcdz.wire import frames as f
from etcdz.wire.http1 import PIPELINED_MAX, Http1Connection, Http1Limits, Request
from etcdz.wire.sniff import HTTP1, HTTP2, sniff

LIMITS = Http1Limits(head_bytes_max=500, body_bytes_max=100)
GET = b"GET /health?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
OK_CLOSE = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def serve(sent: bytes, size: int | None = None) -> tuple[list[Request], bytes, bool]:
    """Each request answered with {} at once."""
    conn = Http1Connection(LIMITS)
    requests = []
    for at in range(0, len(sent), size or len(sent)):
        for request in conn.receive(sent[at : at + (size or len(sent))]):
            requests.append(request)
            conn.respond(request.id, 200, b"{}")
    return requests, conn.take_output(), conn.should_close


CASES = [
    # (name, sent, (method, target, body) of each request, output, closes)
    ("GET", GET, [(b"GET", b"/health?x=1", b"")], OK, False),
    ("keep-alive", GET + GET, [(b"GET", b"/health?x=1", b"")] * 2, OK * 2, False),
    ("Connection: close", GET[:-2] + b"Connection: close\r\n\r\n", [(b"GET", b"/health?x=1", b"")], OK_CLOSE, True),
    ("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", [(b"GET", b"/", b"")], OK_CLOSE, True),
    ("POST", b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
     [(b"POST", b"/v3/kv/put", b"abc")], OK, False),
    ("chunked", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     [(b"PUT", b"/", b"abc")], OK, False),
    ("HEAD", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", [(b"HEAD", b"/", b"")], OK[:-2], False),
    ("Expect: 100-continue", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
     [(b"PUT", b"/", b"x")], b"HTTP/1.1 100 Continue\r\n\r\n" + OK, False),
]  # fmt: skip
REFUSALS = [
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("garbage", b"\x16\x03\x01\x02garbage", 400),
    ("no version", b"GET /\r\n\r\n", 505),
    ("header bomb", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 500 + b"\r\n\r\n", 431),
    ("many headers", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 90 + b"\r\n", 431),
    ("long target", b"GET /" + b"x" * 501 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    ("body too long", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413),
    ("chunked body too long",
     b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"32\r\n" + b"x" * 50 + b"\r\n") * 3, 413),
    ("two lengths", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "expected", "output", "closes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
@pytest.mark.parametrize("size", [None, 1])
def test_request(sent: bytes, expected: list[tuple], output: bytes, closes: bool, size: int | None) -> None:
    requests, written, should_close = serve(sent, size)
    assert [(request.method, request.target, request.body) for request in requests] == expected
    assert (written, should_close) == (output, closes)


@pytest.mark.parametrize(("sent", "status"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
@pytest.mark.parametrize("size", [None, 1])
def test_refusal(sent: bytes, status: int, size: int | None) -> None:
    requests, written, should_close = serve(GET + sent, size)
    assert len(requests) == 1 and should_close
    assert written.startswith(OK + b"HTTP/1.1 %d " % status) and b"Connection: close" in written


def test_path_query_and_headers() -> None:
    request = serve(b"GET /a/b?c=d&e HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\n\r\n")[0][0]
    assert (request.path, request.query) == (b"/a/b", b"c=d&e")
    assert request.headers == {b"host": b"h", b"x-a": b"1,2"}


def test_pipelined_requests_are_answered_in_their_order() -> None:
    conn = Http1Connection(LIMITS)
    first, second, third = conn.receive(GET * 3)
    conn.respond(third.id, 200, b"3")
    conn.respond(second.id, 404, b"2", b"text/plain", [(b"X-Extra", b"y")])
    assert conn.take_output() == b""
    conn.respond(first.id, 204)
    output = conn.take_output()
    at = [output.index(status) for status in (b"204 No Content", b"404 Not Found", b"200 OK")]
    assert at == sorted(at) and b"Content-Length" not in output[: at[1]]
    assert output.endswith(b"3") and b"X-Extra: y" in output
    conn.respond(first.id, 200, b"again")
    conn.respond(99, 200, b"unknown")
    assert conn.take_output() == b""


def test_too_many_pipelined_requests() -> None:
    conn = Http1Connection(LIMITS)
    requests = conn.receive(GET * (PIPELINED_MAX + 1))
    assert len(requests) == PIPELINED_MAX
    for request in requests:
        conn.respond(request.id, 204)
    assert b" 503 " in conn.take_output() and conn.should_close


def test_an_upgrade_to_h2c_is_not_taken() -> None:
    requests, written, should_close = serve(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI")
    assert len(requests) == 1 and written == OK and should_close


def test_sniff_tells_the_protocols_apart() -> None:
    assert sniff(b"") is None
    assert [sniff(f.PREFACE[:size]) for size in range(1, len(f.PREFACE))] == [None] * (len(f.PREFACE) - 1)
    assert sniff(f.PREFACE) == sniff(f.PREFACE + b"more") == HTTP2
    assert [sniff(data) for data in (b"G", b"GET / HTTP/1.1", b"PRO", b"PUT", b"POST", b"\x16\x03")] == [HTTP1] * 6
    assert sniff(f.PREFACE[:-1] + b"?") == HTTP1
