"""HTTP/1.1 messages from either end, however they are cut; what breaks the grammar or a bound ends the connection."""

import random
from typing import Any

import pytest

from etcdz.peer.chunks import LAST_CHUNK, LINE_BYTES_MAX, TRAILER_BYTES_MAX, encode_chunk
from etcdz.peer.heads import CHUNKED, UNTIL_EOF, RequestHead, ResponseHead, encode_request, encode_response
from etcdz.peer.http1 import END, HEAD_BYTES_MAX, RequestReader, ResponseReader
from etcdz.peer.protocol_error import ProtocolError

GET = b"GET /members HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /raft HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
SNAPSHOT = b"POST /raft/snapshot HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED_POST = b"POST /raft HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def requests() -> RequestReader:
    return RequestReader(lambda head: None if head.path == b"/raft/snapshot" else 100)


def read(reader: RequestReader | ResponseReader, data: bytes, size: int = 1 << 20) -> list[Any]:
    """All messages that data holds, each worked off at once; neighbouring pieces of a body are joined."""
    events: list[Any] = []
    for at in range(0, len(data), size):
        found: list[Any] = list(reader.receive(data[at : at + size]))
        while found:
            for event in found:
                if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
                    events[-1] += event
                else:
                    events.append(event)
            found = list(reader.proceed()) if found[-1] is END else []
    return events


def get_head(target: bytes = b"/members", keeps_alive: bool = True, **headers: bytes) -> RequestHead:
    return RequestHead(b"GET", target, {b"host": b"a"} | {k.encode(): v for k, v in headers.items()}, 0, keeps_alive)


REQUESTS = {
    "no body": (GET, [get_head(), END]),
    "two": (GET * 2, [get_head(), END] * 2),
    "body": (
        POST + GET,
        [
            RequestHead(b"POST", b"/raft", {b"host": b"a", b"content-length": b"3"}, 3, True),
            b"abc",
            END,
            get_head(),
            END,
        ],
    ),
    "chunks": (
        CHUNKED_POST + b"2\r\nab\r\n1;x=y\r\nc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n" + GET,
        [
            RequestHead(b"POST", b"/raft", {b"host": b"a", b"transfer-encoding": b"chunked"}, CHUNKED, True),
            b"abc0123456789",
            END,
            get_head(),
            END,
        ],
    ),
    "query": (GET.replace(b"members", b"members?x=1"), [get_head(b"/members?x=1"), END]),
    "close": (GET[:-2] + b"connection: x, Close\r\n\r\n", [get_head(connection=b"x, Close", keeps_alive=False), END]),
    "HTTP/1.0": (GET.replace(b"1.1", b"1.0"), [get_head(keeps_alive=False), END]),
    "repeated field": (GET[:-2] + b"A: 1\r\na:2 \r\n\r\n", [get_head(a=b"1,2"), END]),
}


@pytest.mark.parametrize("data, events", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("size", [1, 2, 17, 1000])
def test_requests(data: bytes, events: list[Any], size: int) -> None:
    reader = requests()
    assert read(reader, data, size) == events
    assert reader.is_idle
    assert reader.receive_eof() == []


def test_the_next_request_waits_until_the_last_is_dealt_with() -> None:
    reader = requests()
    assert reader.receive(GET + POST) == [get_head(), END]
    assert reader.receive(GET) == []
    assert reader.waiting_bytes == len(POST + GET)
    _, body, end = reader.proceed()
    assert (body, end) == (b"abc", END)
    assert reader.proceed() == [get_head(), END]


def test_a_body_without_a_bound_is_handed_over_as_it_came() -> None:
    reader = requests()
    (head,) = reader.receive(SNAPSHOT + b"2\r\na")
    assert isinstance(head, RequestHead) and head.length == CHUNKED
    assert reader.receive(b"b\r\n") == []
    assert reader.hand_over() == b"2\r\nab\r\n"


RESPONSES = {
    "no content": (
        b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
        [ResponseHead(204, {b"date": b"x"}, 0, True), END],
    ),
    "length": (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc",
        [ResponseHead(404, {b"content-length": b"3"}, 3, True), b"abc", END],
    ),
    "no reason": (
        b"HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n",
        [ResponseHead(500, {b"content-length": b"0"}, 0, True), END],
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        [ResponseHead(204, {}, 0, True), END],
    ),
    "stream": (
        STREAM_HEAD + encode_chunk([b"ab", b"c"]) + encode_chunk([b"d" * 300]) + LAST_CHUNK,
        [
            ResponseHead(200, {b"x-server-version": b"3.5.1", b"transfer-encoding": b"chunked"}, CHUNKED, True),
            b"abc" + b"d" * 300,
            END,
        ],
    ),
}


@pytest.mark.parametrize("data, events", RESPONSES.values(), ids=RESPONSES)
@pytest.mark.parametrize("size", [1, 2, 17, 1000])
def test_responses(data: bytes, events: list[Any], size: int) -> None:
    reader = ResponseReader(100, is_stream=True)
    assert read(reader, data * 2, size) == events * 2
    assert reader.receive_eof() == []


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    reader = ResponseReader()
    assert read(reader, b"HTTP/1.0 200 OK\r\n\r\nab") == [ResponseHead(200, {}, UNTIL_EOF, False), b"ab"]
    assert reader.receive(b"c") == [b"c"]
    assert reader.receive_eof() == [END]


def test_pieces_of_a_stream_come_as_they_arrive() -> None:
    reader = ResponseReader(is_stream=True)
    assert len(reader.receive(STREAM_HEAD)) == 1
    assert reader.receive(b"5\r\nab") == [b"ab"]
    assert reader.receive(b"cde\r\n3\r\nf") == [b"cde", b"f"]
    with pytest.raises(ProtocolError, match="inside a message"):
        reader.receive_eof()


BAD = {
    "no request": (b"\x16\x03\x01\x00\x00\x00\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "folded field": (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400),
    "space before colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "control character": (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "negative length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    "length and chunks": (CHUNKED_POST[:-2] + b"Content-Length: 1\r\n\r\n", 400),
    "other coding": (CHUNKED_POST.replace(b"chunked", b"gzip, chunked"), 501),
    "chunk size": (CHUNKED_POST + b"x\r\n", 400),
    "huge chunk size": (CHUNKED_POST + b"1" * 16 + b"\r\n", 400),
    "chunk without its end": (CHUNKED_POST + b"1\r\nab\r\n", 400),
    "endless chunk line": (CHUNKED_POST + b"1;" + b"x" * LINE_BYTES_MAX, 400),
    "endless trailer": (CHUNKED_POST + b"0\r\n" + b"a: b\r\n" * (TRAILER_BYTES_MAX // 4 + 1), 400),
    "endless head": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * (HEAD_BYTES_MAX // 6), 431),
    "body too large": (POST.replace(b"3\r", b"101\r"), 413),
    "chunks too large": (
        CHUNKED_POST + encode_chunk([b"x" * 60]) * 2,
        413,
    ),
}


@pytest.mark.parametrize("data, status", BAD.values(), ids=BAD)
@pytest.mark.parametrize("size", [5, 1 << 20])
def test_bad_requests(data: bytes, status: int, size: int) -> None:
    with pytest.raises(ProtocolError) as error:
        read(requests(), data, size)
    assert error.value.status == status


@pytest.mark.parametrize("line", [b"HTTP/2 200 OK", b"HTTP/1.1 20 OK", b"SSH-2.0-x", b"HTTP/1.1 999 x"])
def test_bad_responses(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        ResponseReader().receive(line + b"\r\n\r\n")


def test_an_answer_that_is_no_stream_is_bounded() -> None:
    with pytest.raises(ProtocolError):
        ResponseReader(10, is_stream=True).receive(b"HTTP/1.1 404 Not Found\r\nContent-Length: 11\r\n\r\n")
    with pytest.raises(ProtocolError):
        read(ResponseReader(10), b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 11)


@pytest.mark.parametrize("seed", range(10))
def test_garbage_raises_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        data = bytearray(rng.choice([one[0] for one in (*REQUESTS.values(), *RESPONSES.values())]))
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        for reader in (requests(), ResponseReader(100)):
            try:
                read(reader, bytes(data), rng.choice((1, 9, 1000)))
                reader.receive_eof()
            except ProtocolError:
                pass


def test_heads_are_written() -> None:
    assert encode_request(b"GET", b"/raft", [(b"Host", b"a"), (b"X", b"y")]) == (
        b"GET /raft HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
    )
    assert encode_response(412, [(b"A", b"b")]) == b"HTTP/1.1 412 Precondition Failed\r\nA: b\r\n\r\n"
