"""Heads that are known by their bytes: what the parser would make of them, and nothing that it would not take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.wire.http1 import Http1Connection, Http1Limits, Request
from etcdz.wire.known_heads import BYTES_MAX, KNOWN_MAX, KnownHeads
from etcdz.wire.request_target import Target

PUT = b"POST /v3/kv/put HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX: y\r\n\r\nabc"
GET = b"GET /v2/keys/a%20b?wait=false HTTP/1.1\r\nhost: h:1\r\nConnection: keep-alive\r\n\r\n"


def no_pieces(method: bytes, target: Target) -> bool:
    return target.path == b"/pieces"


def parsed(data: bytes) -> list[Request]:
    """What the parser makes of data, if that is requests alone after which another may follow at once."""
    http = Http1Connection(Http1Limits())
    events = http.receive(data)
    requests = [event for event in events if isinstance(event, Request)]
    for request in requests:
        http.respond(request.id, 200, b"")
    http.take_output()
    return requests if http.is_idle and not http.should_close else []


def having_learned(*requests: bytes) -> KnownHeads:
    heads = KnownHeads(no_pieces)
    for data in requests:
        for request in Http1Connection(Http1Limits()).receive(data):
            assert isinstance(request, Request)
            heads.learn(data, request)
    return heads


@pytest.mark.parametrize("data", [PUT, GET])
def test_what_was_parsed_before_is_read_as_the_parser_reads_it(data: bytes) -> None:
    heads = having_learned(data)
    assert [heads.read(data, 1)] == parsed(data)


def test_lines_and_fields_are_known_apart() -> None:
    heads = having_learned(PUT)
    other = PUT.replace(b"/v3/kv/put", b"/v3/kv/other?x=%41").replace(b"abc", b"xyz")
    assert [heads.read(other, 1)] == parsed(other)
    other = GET.partition(b"\r\n")[0] + PUT[PUT.index(b"\r\n") :]
    assert [heads.read(other, 1)] == parsed(other)


FIELDS = PUT[PUT.index(b"\r\n") :]
UNKNOWN = {
    "cut": PUT[:-1],
    "more behind": PUT + b"G",
    "pipelined": PUT + PUT,
    "other fields": PUT.replace(b"X: y", b"X: z"),
    "another length": PUT.replace(b"h: 3", b"h: 2")[:-1],
    "HTTP/1.0": PUT.replace(b"/1.1", b"/1.0"),
    "HEAD": b"HEAD / HTTP/1.1" + FIELDS,
    "OPTIONS": b"OPTIONS * HTTP/1.1" + FIELDS,
    "CONNECT": b"CONNECT h:1 HTTP/1.1" + FIELDS,
    "a line end of its own": b"GET / HTTP/1.1\nX: y" + FIELDS,
    "absolute": b"GET http://h/ HTTP/1.1" + FIELDS,
    "two blanks": b"GET  / HTTP/1.1" + FIELDS,
    "a bad escape": b"GET /%zz HTTP/1.1" + FIELDS,
    "a fragment": b"GET /#a HTTP/1.1" + FIELDS,
    "in pieces": b"POST /pieces HTTP/1.1" + FIELDS,
    "long": b"GET /" + b"x" * BYTES_MAX + b" HTTP/1.1" + FIELDS,
    "no line end": PUT.replace(b"\r\n", b""),
    "nothing": b"",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_all_else_is_left_to_the_parser(name: str) -> None:
    assert having_learned(PUT).read(UNKNOWN[name], 1) is None


@pytest.mark.parametrize(
    "field",
    [b"Connection: close", b"Connection: x", b"Expect: 100-continue", b"Upgrade: x", b"Y: " + b"y" * BYTES_MAX],
)
def test_fields_that_change_the_connection_are_not_learned(field: bytes) -> None:
    data = PUT.replace(b"X: y", field)
    assert having_learned(data).read(data, 1) is None


def test_bodies_in_chunks_are_not_learned() -> None:
    data = PUT.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked").replace(b"abc", b"1\r\na\r\n0\r\n\r\n")
    assert parsed(data) and having_learned(data).read(data, 1) is None


def test_what_is_kept_has_a_bound() -> None:
    heads = having_learned(PUT)
    for number in range(KNOWN_MAX):
        assert heads.read(b"GET /%d HTTP/1.1" % number + FIELDS, 1) is not None
        data = PUT.replace(b"X: y", b"X: %d" % number)
        heads.learn(data, *[one for one in Http1Connection(Http1Limits()).receive(data) if isinstance(one, Request)])
        heads.learn(PUT, *parsed(PUT))
    assert len(heads) <= 2 * KNOWN_MAX


SNIPPETS = [
    b"GET ", b"POST ", b"PUT ", b"HEAD ", b"/", b"/a", b"?b", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r",
    b"\r\n\r\n", b"Host: h", b"Host : h", b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: +3", b"abc",
    b"Transfer-Encoding: chunked", b"Connection: close", b" folded", b"\0", b"x", b":", b"\t",
]  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(SNIPPETS), max_size=12).map(b"".join), max_size=4), st.data())
def test_whatever_is_known_the_parser_takes_and_reads_the_same(others: list[bytes], draw: st.DataObject) -> None:
    whole = [b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", PUT]
    cuts = draw.draw(st.lists(st.tuples(st.sampled_from(whole), st.integers(0, 70), st.sampled_from(SNIPPETS))))
    sent = whole + others + [one[:at] + snippet + one[at:] for one, at, snippet in cuts]
    heads = KnownHeads(no_pieces)
    for data in sent:
        http = Http1Connection(Http1Limits())
        events = http.receive(data)
        if len(events) == 1 and isinstance(events[0], Request):
            heads.learn(data, events[0])
    for line in sent:
        for rest in sent:
            data = line.partition(b"\r\n")[0] + rest[max(rest.find(b"\r\n"), 0) :]
            known = heads.read(data, 1)
            assert known is None or [known] == parsed(data)
