"""HTTP/1.1: requests in, responses out, keep-alive and limits; and which protocol a connection speaks."""

from collections.abc import Callable

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.wire import frames as f
from etcdz.wire.http1 import PIPELINED_MAX, BodyEnd, BodyPart, Http1Connection, Http1Limits, Request
from etcdz.wire.sniff import BROKEN, HTTP1, HTTP2, sniff

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
    ("absolute-form", b"GET http://b:1/health?x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
     [(b"GET", b"/health?x=1", b"")], OK, False),
    ("asterisk-form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [(b"OPTIONS", b"*", b"")], OK, False),
    ("escaped path", b"GET /%68ealth HTTP/1.1\r\nHost: a:80\r\n\r\n", [(b"GET", b"/health", b"")], OK, False),
    ("chunk extensions", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0;c\r\n\r\n",
     [(b"PUT", b"/", b"ab")], OK, False),
    ("trailer", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\nX: y\r\n\r\n",
     [(b"PUT", b"/", b"")], OK, False),
    ("GET with a body", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
     [(b"GET", b"/", b"GET /")], OK, False),
    ("IPv6 host", b"GET / HTTP/1.1\r\nHost: [::1]:2379\r\n\r\n", [(b"GET", b"/", b"")], OK, False),
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
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("two Hosts in 1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("Host with a user", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    ("space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("space before the first header", b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", 400),
    ("folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
    ("bare CR", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", 400),
    ("NUL", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", 400),
    ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400),
    ("length no number", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
    ("signed length", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
    ("length beyond 64 bits", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    ("lengths that differ", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ("chunked is not last", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400),
    ("chunk size no number", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400),
    ("chunk size beyond 64 bits",
     b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400),
    ("chunk without its end", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", 400),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("target without slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("asterisk of another method", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("URL without a host", b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("bad escape", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("unknown coding", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("unknown expectation", b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", 417),
    ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n", 400),
    ("bare LF behind a header", b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    ("bare LF at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    ("length behind a bare CR", b"PUT / HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: 5\r\n\r\n", 400),
    ("two lengths alike", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    ("list of lengths", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400),
    ("length in hexadecimal", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", 400),
    ("length with a space", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx", 400),
    ("no length", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nx", 400),
    ("both framings", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400),
    ("a length in a trailer",
     b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", 400),
    ("chunked twice", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
    ("almost chunked", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
    ("chunked in quotes", b'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "chunked"\r\n\r\n', 501),
    ("chunked behind a tabulator", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
    ("coding before a colon", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
    *[(f"chunk {line!r}", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + line, 400)
      for line in (b"0x1\r\n", b"+1\r\n", b"-1\r\n", b" 1\r\n", b"1 \r\n", b"\r\n", b"1_0\r\n", b"1\n", b"1;a\nx",
                   b"1\r\nx\n")],
    ("trailers without end",
     b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 90, 431),
    ("two lengths", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "expected", "output", "closes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
@pytest.mark.parametrize("size", [None, 1])
def test_request(sent: bytes, expected: list[tuple], output: bytes, closes: bool, size: int | None) -> None:
    requests, written, should_close = serve(sent, size)
    assert [(request.method, b"?".join(filter(None, request.target)), request.body) for request in requests] == expected
    assert (written, should_close) == (output, closes)


@pytest.mark.parametrize(("sent", "status"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
@pytest.mark.parametrize("size", [None, 1])
def test_refusal(sent: bytes, status: int, size: int | None) -> None:
    requests, written, should_close = serve(GET + sent, size)
    assert len(requests) == 1 and should_close
    assert written.startswith(OK + b"HTTP/1.1 %d " % status) and b"Connection: close" in written


def test_a_client_that_has_closed_its_half_gets_its_answers() -> None:
    conn = Http1Connection(LIMITS)
    first, second = conn.receive(GET + GET)
    conn.receive_eof()
    conn.receive_eof()
    assert not conn.should_close
    conn.respond(first.id, 200, b"{}")
    assert not conn.should_close
    conn.respond(second.id, 200, b"{}")
    assert conn.take_output() == OK * 2 and conn.should_close


@pytest.mark.parametrize("sent", [GET[:9], GET[:-2], b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"])
def test_a_request_that_is_cut_short_is_refused(sent: bytes) -> None:
    conn = Http1Connection(LIMITS)
    assert conn.receive(sent) == []
    conn.receive_eof()
    assert b" 400 " in conn.take_output() and conn.should_close


def test_a_client_that_asks_nothing_more_is_closed() -> None:
    conn = Http1Connection(LIMITS)
    conn.receive_eof()
    assert conn.take_output() == b"" and conn.should_close


def test_path_query_and_headers() -> None:
    request = serve(b"GET /a/b?c=d&e HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\n\r\n")[0][0]
    assert (request.path, request.query) == (b"/a/b", b"c=d&e")
    assert request.headers == {b"host": b"h", b"x-a": b"1,2"}


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    (request,) = Http1Connection(LIMITS).receive(b"GET / HTTP/1.1\r\nHost: a\r\nX:\t b c \t\r\n\r\n")
    assert isinstance(request, Request) and request.headers[b"x"] == b"b c"


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
    assert sniff(f.PREFACE[:-1] + b"?") == sniff(b"PRI * HTTP/2.0\r\nHost: a") == BROKEN
    assert sniff(b"PRI * HTTP/1.1\r\n") == HTTP1


# ---- bodies and answers in pieces ----

Step = Callable[[Http1Connection, int], None]


def _pieces(pieces: list[bytes]) -> list[Step]:
    """An answer in pieces."""
    sends: list[Step] = [lambda conn, at, data=data: conn.send(at, data) for data in pieces]  # type: ignore[misc]
    return [lambda conn, at: conn.begin(at, 200, b"text/plain"), *sends, lambda conn, at: conn.end(at)]


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=50), max_size=4) | st.binary(max_size=50), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_answers_in_any_pieces_and_order_are_whole_and_in_the_order_of_the_requests(answers, rng) -> None:  # type: ignore[no-untyped-def]
    conn = Http1Connection(LIMITS)
    ids = [request.id for request in conn.receive(GET * len(answers))]
    steps = [
        _pieces(answer) if isinstance(answer, list) else [lambda conn, at, body=answer: conn.respond(at, 200, body)]  # type: ignore[misc]
        for answer in answers
    ]
    output = b""
    while any(steps):
        at = rng.choice([at for at, left in enumerate(steps) if left])
        steps[at].pop(0)(conn, ids[at])
        output += conn.take_output()
    client = h11.Connection(h11.CLIENT)
    client.receive_data(output)
    for answer in answers:
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        assert _body_of(client) == (b"".join(answer) if isinstance(answer, list) else answer)
        client.start_next_cycle()
    assert client.trailing_data == (b"", False)


def _body_of(client: h11.Connection) -> bytes:
    body = b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            assert isinstance(event, h11.Response) and event.status_code == 200
    return body


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=10), st.integers(1, 50))
def test_an_open_body_is_the_same_in_pieces_as_whole(body: bytes, chunks: list[int], size: int) -> None:
    sent, rest = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", body
    for length in [*chunks, 1 << 20]:
        if part := rest[:length]:
            sent += b"%x\r\n%b\r\n" % (len(part), part)
            rest = rest[length:]
    sent += b"0\r\n\r\n" + GET
    conn = Http1Connection(LIMITS, takes_pieces=lambda method, target: method == b"PUT")
    events = [event for at in range(0, len(sent), size) for event in conn.receive(sent[at : at + size])]
    first, *parts, end, last = events
    assert isinstance(first, Request) and first.is_open and first.body == b""
    assert b"".join(part.data for part in parts if isinstance(part, BodyPart)) == body
    assert end == BodyEnd(first.id, True) and isinstance(last, Request) and not last.is_open
    assert all(isinstance(part, BodyPart) and part.id == first.id for part in parts)


@pytest.mark.parametrize("chunks", [b"1;" + b"a" * 600, b"0" * 600, (b"1;" + b"a" * 50 + b"\r\nx\r\n") * 30])
@pytest.mark.parametrize("is_open", [True, False])
def test_chunks_with_too_little_in_them_are_refused(chunks: bytes, is_open: bool) -> None:
    conn = Http1Connection(LIMITS, takes_pieces=lambda method, target: is_open)
    conn.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    events = conn.receive(chunks)
    assert b" 400 " in conn.take_output() and conn.should_close
    assert not is_open or events[-1] == BodyEnd(1, False)


def test_a_long_open_body_of_small_chunks_goes_on() -> None:
    conn = Http1Connection(LIMITS, takes_pieces=lambda method, target: True)
    conn.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1_000):
        assert conn.receive(b"1\r\nx\r\n") == [BodyPart(1, b"x")]
    assert conn.receive(b"1;" + b"a" * 20_000) != [] and conn.should_close
