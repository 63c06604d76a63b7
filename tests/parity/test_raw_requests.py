"""Requests that no client library sends: paths, headers, framing and protobuf bytes, as they come off the wire.

Four measures, weakest first:
- LIVES    both live on; newer versions of gRPC treat it otherwise than etcd 3.5.1's does, so that either may be right
- REFUSED  neither serves the call; how is a matter of the gRPC version (etcd 3.5.1's resets the stream, newer ones
           answer HTTP 415 or 405)
- CODE     the same gRPC code; the text is the word of a library (its protobuf or gzip decoder)
- ALL      the same code, text and answer bytes
"""

import gzip
from typing import NamedTuple

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.parity.http2_post import Reply, grpc_headers, post
from tests.parity.pair import Pair

LIVES, REFUSED, CODE, ALL = "lives", "refused", "code", "all"
PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"


def framed(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


GOOD = pb.PutRequest(key=b"raw", value=b"1").SerializeToString()


class Raw(NamedTuple):
    """headers: changes to an ordinary call's; None leaves one out."""

    name: str
    measure: str
    path: str = PUT
    body: bytes = framed(GOOD)
    headers: dict[str, str | None] = {}  # noqa: RUF012 (never written to)


def _paths() -> list[Raw]:
    unknown = ["/nope.Nope/Put", "/etcdserverpb.KV/Nope", "/etcdserverpb.KV/", "/etcdserverpb.KV/put", "//Put"]
    unknown += ["/etcdserverpb.kv/Put", "/etcdserverpb.KV/Put/x", "/etcdserverpb.KV/Put?x=1"]
    unknown += ["/grpc.health.v1.Health/Nope", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
    malformed = ["/", "/etcdserverpb.KV"]
    return [Raw(f"path {path}", ALL, path=path) for path in unknown + malformed]


def _headers() -> list[Raw]:
    served = ["application/grpc+proto", "application/grpc;charset=utf-8"]
    refused = ["application/grpcx", "application/json", "text/plain", "", None]
    cases = [Raw(f"content-type {value}", ALL, headers={"content-type": value}) for value in served]
    cases += [Raw(f"content-type {value}", REFUSED, headers={"content-type": value}) for value in refused]
    cases += [Raw(f"method {value}", REFUSED, headers={":method": value}) for value in ("GET", "PUT", "OPTIONS")]
    cases += [Raw(f"timeout {value}", ALL, headers={"grpc-timeout": value}) for value in ("1S", "99999999S", "60000m")]
    cases += [
        Raw(f"timeout {value!r}", REFUSED, headers={"grpc-timeout": value})
        for value in ("abc", "1", "S", "", "1X", "999999999S")
    ]
    # A read: whether a write that nobody waits for still happens is a race, in etcd too.
    cases += [Raw(f"timeout {value}", REFUSED, RANGE, headers={"grpc-timeout": value}) for value in ("1n", "0n")]
    return [
        *cases,
        Raw("no te", ALL, headers={"te": None}),
        Raw("unknown metadata", ALL, headers={"x-mine": "1", "x-mine-bin": "YWJj", "grpc-mine": "2"}),
        Raw("metadata -bin that is no base64", ALL, headers={"x-mine-bin": "!!!"}),
        Raw("an upper-case header name", REFUSED, headers={"X-Mine": "1"}),
        Raw("client-api-version of the future", ALL, headers={"client-api-version": "9.9"}),
        Raw("hasleader", ALL, headers={"hasleader": "true"}),
    ]


def _framing() -> list[Raw]:
    packed = framed(gzip.compress(GOOD), 1)
    return [
        Raw("no message", ALL, body=b""),
        Raw("three bytes of five", ALL, body=b"\0\0\0"),
        Raw("cut message", ALL, body=framed(GOOD)[:-2]),
        Raw("two messages", LIVES, body=framed(GOOD) * 2),
        Raw("bytes behind the message", LIVES, body=framed(GOOD) + b"\0\0"),
        Raw("length 4 GiB", ALL, body=b"\0\xff\xff\xff\xff" + GOOD),
        Raw("length one above the limit", ALL, body=b"\0\x00\x20\x00\x01" + GOOD),
        Raw("flag 2", ALL, body=framed(GOOD, 2)),
        Raw("flag 255", ALL, body=framed(GOOD, 255)),
        Raw("compressed without encoding", ALL, body=framed(GOOD, 1)),
        Raw("compressed with identity", ALL, body=framed(GOOD, 1), headers={"grpc-encoding": "identity"}),
        Raw("identity", ALL, headers={"grpc-encoding": "identity"}),
        Raw("gzip", CODE, body=packed, headers={"grpc-encoding": "gzip"}),
        Raw("gzip announced but not used", CODE, headers={"grpc-encoding": "gzip"}),
        Raw("gzip that is none", CODE, body=framed(b"xx", 1), headers={"grpc-encoding": "gzip"}),
        Raw("unknown encoding", ALL, body=framed(GOOD, 1), headers={"grpc-encoding": "snappy"}),
        Raw("unknown encoding, not used", ALL, headers={"grpc-encoding": "snappy"}),
        Raw("gzip accepted", ALL, headers={"grpc-accept-encoding": "gzip"}),
    ]


def _protobuf() -> list[Raw]:
    broken = {
        "cut field": b"\x0a\x05ab",
        "tag 0": b"\x00\x01",
        "end of a group that never began": b"\x0c",
        "wire type 6": b"\x0e",
        "wire type 7": b"\x0f",
        "varint of 11 bytes": b"\x0a\x03raw\x18" + b"\x80" * 10 + b"\x01",
        "negative length": b"\x0a" + b"\xff" * 9 + b"\x01",
        "cut unknown field": b"\x0a\x03raw\xf9\x01abc",
    }
    odd = {
        "unknown fields of every wire type": b"\x0a\x03raw\xfa\x01\x03abc\xfd\x01abcd\xf9\x01abcdefgh\xf8\x01\x05",
        "unknown group": b"\x0a\x03raw\xfb\x01\xfc\x01",
        "a field twice: the last one counts": b"\x0a\x01k\x0a\x03raw",
        "fields in reverse order": b"\x12\x01v\x0a\x03raw",
        "a bool of 5 is true": b"\x0a\x03raw\x20\x05",
        "a varint longer than it must be": b"\x0a\x03raw\x20\x81\x80\x00",
    }
    first = pb.RequestOp(request_range=pb.RangeRequest(key=b"a")).SerializeToString()
    second = pb.RequestOp(request_put=pb.PutRequest(key=b"two")).SerializeToString()
    both = first + second
    return [
        *(Raw(name, CODE, body=framed(body)) for name, body in broken.items()),
        *(Raw(name, ALL, body=framed(body)) for name, body in odd.items()),
        # upb takes it for an unknown field and finds no key, gogo for an error.
        Raw("wrong wire type", REFUSED, body=framed(b"\x08\x01")),
        Raw("two of a oneof: the last one counts", ALL, TXN, framed(b"\x12" + bytes([len(both)]) + both)),
        Raw("transactions 40 deep", ALL, TXN, framed(_deep(40))),
    ]


def _deep(levels: int) -> bytes:
    txn = pb.TxnRequest()
    for _ in range(levels - 1):
        outer = pb.TxnRequest()
        outer.success.add().request_txn.CopyFrom(txn)
        txn = outer
    return bytes(txn.SerializeToString())


CASES = [*_paths(), *_headers(), *_framing(), *_protobuf()]


def _ask(target: str, case: Raw) -> Reply:
    changed = grpc_headers(target, case.path) | case.headers
    return post(target, {name: value for name, value in changed.items() if value is not None}, case.body)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_raw_request(pair: Pair, case: Raw) -> None:
    pair.begin_conversation()
    expected, got = (_ask(side.member.target, case) for side in pair.sides)
    if case.measure == LIVES:
        pair.begin_conversation()
    elif case.measure == REFUSED:
        assert expected.grpc_status != "0"
        assert got.grpc_status != "0", got
    else:
        assert got.http_status == expected.http_status, got
        assert got.grpc_status == expected.grpc_status, got
        if case.measure == ALL:
            assert (got.grpc_message or "") == expected.grpc_message
            assert pair.sides[1].alike_body(got.body) == pair.sides[0].alike_body(expected.body)
    revisions = [_revision(side.member.target) for side in pair.sides]
    assert revisions[0] == revisions[1], "what was refused must leave nothing behind, what was served must be there"


def _revision(target: str) -> int:
    body = framed(pb.RangeRequest(key=b"raw").SerializeToString())
    reply = post(target, grpc_headers(target, RANGE), body)
    return int(pb.RangeResponse.FromString(reply.body[5:]).header.revision)


def test_an_answer_has_the_header_block_of_etcd(pair: Pair) -> None:
    """Status and content type in front, status and message behind; for an error all of it in one block."""
    pair.begin_conversation()
    for body in (framed(GOOD), framed(b"")):
        expected, got = (_ask(side.member.target, Raw("", ALL, body=body)) for side in pair.sides)
        assert got.headers.keys() == expected.headers.keys()
        empty = {"grpc-message"} if expected.grpc_message == "" else set()  # etcd sends it, gRPC asks for none
        assert got.trailers.keys() | empty == expected.trailers.keys() | empty


# --- sizes: through grpcio, which knows flow control

_MIB = 1 << 20


@pytest.mark.parametrize("size", [_MIB, 1_572_864 - 200, 1_572_864, 2 * _MIB - 100, 2 * _MIB, 3 * _MIB])
def test_size_of_a_request(pair: Pair, size: int) -> None:
    """1.5 MiB is etcd's limit, 2 MiB gRPC's; each has a text of its own. Around them the same side of the edge."""
    pair.begin_conversation()
    request = pb.PutRequest(key=b"big", value=b"v" * size)
    expected, got = (side.ask("Put", request) for side in pair.sides)
    for side, answer in zip(pair.sides, (expected, got), strict=True):
        if answer.message is not None:
            answer.message.header.raft_term = side.plain_term(answer.message.header.raft_term)
    assert got == expected


def test_the_largest_request_that_passes_is_the_same(pair: Pair) -> None:
    """--max-request-bytes is held against the raft entry, which is larger than the request by its header."""
    pair.begin_conversation()
    edges = []
    for side in pair.sides:
        passes, fails = 1_572_864 - 200, 1_572_864 + 200
        while fails - passes > 1:
            middle = (passes + fails) // 2
            if side.ask("Put", pb.PutRequest(key=b"big", value=b"v" * (middle - 10))).code == "OK":
                passes = middle
            else:
                fails = middle
        edges.append(passes)
    assert edges[0] == edges[1]


def test_a_large_answer_arrives_whole(pair: Pair) -> None:
    base = pair.begin_conversation()
    for at in range(6):
        for side in pair.sides:
            side.must("Put", pb.PutRequest(key=b"large/%d" % at, value=bytes([at]) * _MIB))
    expected, got = (side.must("Range", pb.RangeRequest(key=b"large/", range_end=b"large0")) for side in pair.sides)
    for side, answer in zip(pair.sides, (expected, got), strict=True):
        answer.header.raft_term = side.plain_term(answer.header.raft_term)
    assert got == expected
    assert (got.count, got.header.revision) == (6, base + 6)
