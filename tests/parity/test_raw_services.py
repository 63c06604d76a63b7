"""Bytes that no client library sends, to every method of Watch, Lease, Maintenance, Cluster's list, Lock and Election.

What is right for one method of a kind need not be for the next: each has its own way into the member. Measures as in
test_raw_requests.py. RangeStream, which etcd 3.5.1 does not have, must refuse what Range refuses.
"""

import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb as election
from etcdz.proto import v3lockpb as lock
from tests.parity.http2_post import Reply, grpc_headers, post
from tests.parity.pair import Pair, Side
from tests.parity.test_raw_requests import ALL, CODE, LIVES, REFUSED, Raw, framed

TTL_TOO_LARGE = 9_000_000_001
UNARY: dict[str, bytes] = {
    "/etcdserverpb.Lease/LeaseGrant": pb.LeaseGrantRequest(ID=4711, TTL=TTL_TOO_LARGE).SerializeToString(),
    "/etcdserverpb.Lease/LeaseRevoke": pb.LeaseRevokeRequest(ID=5).SerializeToString(),
    "/etcdserverpb.Lease/LeaseTimeToLive": pb.LeaseTimeToLiveRequest(ID=5, keys=True).SerializeToString(),
    "/etcdserverpb.Lease/LeaseLeases": b"",
    "/etcdserverpb.Maintenance/Alarm": pb.AlarmRequest(memberID=7).SerializeToString(),
    "/etcdserverpb.Maintenance/Status": b"",
    "/etcdserverpb.Maintenance/Hash": b"",
    "/etcdserverpb.Maintenance/HashKV": pb.HashKVRequest(revision=-1).SerializeToString(),
    "/etcdserverpb.Maintenance/Defragment": b"",
    "/etcdserverpb.Maintenance/MoveLeader": pb.MoveLeaderRequest(targetID=5).SerializeToString(),
    "/etcdserverpb.Maintenance/Downgrade": pb.DowngradeRequest(version="3.4").SerializeToString(),
    "/etcdserverpb.Cluster/MemberList": b"",
    "/v3lockpb.Lock/Lock": lock.LockRequest(name=b"raw", lease=99).SerializeToString(),
    "/v3lockpb.Lock/Unlock": lock.UnlockRequest(key=b"raw/99").SerializeToString(),
    "/v3electionpb.Election/Campaign": election.CampaignRequest(name=b"raw", lease=99).SerializeToString(),
    "/v3electionpb.Election/Proclaim": b"",
    "/v3electionpb.Election/Leader": election.LeaderRequest(name=b"raw").SerializeToString(),
    "/v3electionpb.Election/Resign": b"",
}
ONE_WAY = {
    "/etcdserverpb.Maintenance/Snapshot": b"",
    "/v3electionpb.Election/Observe": election.LeaderRequest(name=b"raw").SerializeToString(),
}
"""One request, many answers."""
BOTH_WAYS = {
    "/etcdserverpb.Watch/Watch": b"",
    "/etcdserverpb.Lease/LeaseKeepAlive": pb.LeaseKeepAliveRequest(ID=5).SerializeToString(),
}
RANGE_STREAM = "/etcdserverpb.KV/RangeStream"
BROKEN = {
    "cut field": b"\x0a\x05ab",
    "tag 0": b"\x00\x01",
    "wire type 7": b"\x0f",
    "end of a group": b"\x0c",
    "cut unknown field": b"\xf9\x01abc",
    "negative length": b"\xfa\x01" + b"\xff" * 9 + b"\x01",
    "not even a varint": b"\xff" * 11,
}
UNKNOWN_FIELDS = b"\xfa\x01\x03abc\xfd\x01abcd\xf9\x01abcdefgh\xf8\x01\x05\xfb\x01\xfc\x01"
MEASURED_BY_CODE = ("/Status", "/Hash", "/HashKV", "/Defragment", "/MemberList", "/LeaseGrant", "/LeaseLeases")
"""Their answers hold sizes, ports, or what another test has left."""


def _framing(path: str, good: bytes) -> list[Raw]:
    return [
        Raw("three bytes of five", ALL, path, b"\0\0\0"),
        Raw("cut message", ALL, path, framed(good + b"\xf8\x01\x05")[:-2]),
        Raw("flag 2", ALL, path, framed(good, 2)),
        Raw("compressed without encoding", ALL, path, framed(good, 1)),
        Raw("length one above the limit", ALL, path, b"\0\x00\x20\x00\x01" + good),
        Raw("length 4 GiB", ALL, path, b"\0\xff\xff\xff\xff" + good),
        Raw("unknown encoding", ALL, path, framed(good, 1), {"grpc-encoding": "snappy"}),
        Raw("content-type", REFUSED, path, framed(good), {"content-type": "application/json"}),
        Raw("timeout that is none", REFUSED, path, framed(good), {"grpc-timeout": "1X"}),
    ]


def _broken(path: str) -> list[Raw]:
    return [Raw(name, CODE, path, framed(body)) for name, body in BROKEN.items()]


def _unary(path: str, good: bytes) -> list[Raw]:
    measure = CODE if path.endswith(MEASURED_BY_CODE) else ALL
    return [
        *_framing(path, good),
        *_broken(path),
        Raw("no message", ALL, path, b""),
        Raw("two messages", LIVES, path, framed(good) * 2),
        Raw("unknown fields", measure, path, framed(good + UNKNOWN_FIELDS)),
    ]


def _streams(path: str, good: bytes) -> list[Raw]:
    return [*_framing(path, good), *_broken(path)]


CASES = [
    *(raw for path, good in UNARY.items() for raw in _unary(path, good)),
    *(raw for path, good in (ONE_WAY | BOTH_WAYS).items() for raw in _streams(path, good)),
    *(Raw("no message", ALL, path, b"") for path in ONE_WAY),
    Raw("no message", CODE, "/etcdserverpb.Lease/LeaseKeepAlive", b""),
    Raw("unknown fields", ALL, "/etcdserverpb.Lease/LeaseKeepAlive", framed(b"\x08\x05" + UNKNOWN_FIELDS)),
    Raw("good, then broken", CODE, "/etcdserverpb.Lease/LeaseKeepAlive", framed(b"\x08\x05") + framed(b"\x0f")),
    Raw("good, then bytes", CODE, "/etcdserverpb.Lease/LeaseKeepAlive", framed(b"\x08\x05") + b"\0\0"),
    Raw("no request in it, then broken", CODE, "/etcdserverpb.Watch/Watch", framed(b"") + framed(b"\x0f")),
    Raw("unknown request, then broken", CODE, "/etcdserverpb.Watch/Watch", framed(b"\x7a\x00") + framed(b"\x0f")),
]


def ask(side: Side, case: Raw) -> Reply:
    changed = grpc_headers(side.member.target, case.path) | case.headers
    return post(side.member.target, {name: value for name, value in changed.items() if value is not None}, case.body)


def _id(case: Raw) -> str:
    return f"{case.path.rpartition('/')[2]}-{case.name}"


def judge(case: Raw, expected: Reply, got: Reply) -> None:
    if case.measure == LIVES:
        return
    if case.measure == REFUSED:
        assert expected.grpc_status != "0" and got.grpc_status != "0", (expected, got)
        return
    assert (got.http_status, got.grpc_status) == (expected.http_status, expected.grpc_status), (expected, got)
    if case.measure == ALL:
        assert (got.grpc_message or "") == (expected.grpc_message or "")
        assert got.body == expected.body


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_raw_request(pair: Pair, case: Raw) -> None:
    expected, got = (ask(side, case) for side in pair.sides)
    if case.measure == ALL:
        etcd, subject = pair.sides
        expected = expected._replace(body=etcd.alike_body(expected.body))
        got = got._replace(body=subject.alike_body(got.body))
    judge(case, expected, got)


def test_none_of_it_left_anything_behind(pair: Pair) -> None:
    base = pair.begin_conversation()
    for case in CASES:
        for side in pair.sides:
            ask(side, case)
    for side in pair.sides:
        assert side.must("Range", pb.RangeRequest(key=b"-")).header.revision == base
        assert not side.must("LeaseLeases", pb.LeaseLeasesRequest()).leases
        assert not side.must("Range", pb.RangeRequest(key=b"\0", range_end=b"\0")).kvs


@pytest.mark.parametrize("case", _unary(RANGE_STREAM, pb.RangeRequest(key=b"raw").SerializeToString()), ids=_id)
def test_range_stream_refuses_what_range_refuses(pair: Pair, case: Raw) -> None:
    side = pair.sides[1]
    if side.member.kind != "etcdz":
        pytest.skip("etcd 3.5.1 has no RangeStream")
    expected, got = (ask(side, case._replace(path=path)) for path in ("/etcdserverpb.KV/Range", RANGE_STREAM))
    if case.name == "unknown fields":
        assert (expected.grpc_status, got.grpc_status) == ("0", "0")
    elif case.name in ("three bytes of five", "cut message"):
        assert (got.grpc_status, got.grpc_message) == ("13", "unexpected EOF"), "a stream's word for it"
    else:
        judge(case, expected, got)
