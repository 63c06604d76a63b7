"""Requests in log lines: every text here was written by an etcd 3.5.1 for the same request."""

from typing import Any

import pytest

from etcdz.api.methods import COMPACT, DELETE_RANGE, PUT, RANGE, TXN
from etcdz.api.request_text import call_stats, message_text, raft_request_text
from etcdz.proto import etcdserverpb as pb

PUT_A = pb.PutRequest(key=b"a", value='v"é1'.encode())
PUT_K = pb.PutRequest(key='k"é\n'.encode(), value=b"vvv")
DELETE = pb.DeleteRangeRequest(key=b"a", range_end=b"k")
WRITE_TXN = pb.TxnRequest(
    compare=[
        pb.Compare(target=pb.Compare.CompareTarget.VALUE, key=b"a", value=b"x"),
        pb.Compare(result=pb.Compare.CompareResult.GREATER, key=b"a", version=1),
    ],
    success=[
        pb.RequestOp(request_put=pb.PutRequest(key=b"a", value=b"bb")),
        pb.RequestOp(request_range=pb.RangeRequest(key=b"a")),
    ],
    failure=[
        pb.RequestOp(request_range=pb.RangeRequest(key=b"b")),
        pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"a", range_end=b"b")),
    ],
)
TXN_TEXT = (
    'compare:<target:VALUE key:"a" value_size:1  result:GREATER key:"a" version:1 > '
    'success:<request_put:<key:"a" value_size:2 > request_range:<key:"a" > > '
    'failure:<request_range:<key:"b" >  request_delete_range:<key:"a" range_end:"b" > >'
)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"put": PUT_A}, 'header:<ID:7 > put:<key:"a" value_size:5 >'),
        ({"put": PUT_K}, 'header:<ID:7 > put:<key:"k\\"\\303\\251\\n" value_size:3 >'),
        (
            {"put": pb.PutRequest(key=b"a", value=b"b", lease=18)},
            'header:<ID:7 > put:<key:"a" value_size:1 lease:18 >',
        ),
        ({"delete_range": DELETE}, 'header:<ID:7 > delete_range:<key:"a" range_end:"k" > '),
        (
            {"compaction": pb.CompactionRequest(revision=3, physical=True)},
            "header:<ID:7 > compaction:<revision:3 physical:true > ",
        ),
        ({"txn": WRITE_TXN}, f"header:<ID:7 > txn:<{TXN_TEXT}>"),
    ],
)
def test_entries(fields: dict[str, Any], text: str) -> None:
    assert raft_request_text(pb.InternalRaftRequest(header=pb.RequestHeader(ID=7), **fields)) == text


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (pb.RangeRequest(key=b"\0", range_end=b"\0"), 'key:"\\000" range_end:"\\000" '),
        (pb.RangeRequest(key=b"k", limit=3, keys_only=True), 'key:"k" limit:3 keys_only:true '),
        (pb.RangeRequest(), ""),
    ],
)
def test_reads(request_: Any, text: str) -> None:
    assert message_text(request_) == text


HEADER = pb.ResponseHeader(cluster_id=14841639068965178418, member_id=10276657743932975437, revision=2, raft_term=2)


@pytest.mark.parametrize(
    ("method", "request_", "response", "stats"),
    [
        (PUT, PUT_A, pb.PutResponse(header=HEADER), (1, 10, 0, 28, 'key:"a" value_size:5 ')),
        (PUT, PUT_A, None, (1, 10, 0, 0, 'key:"a" value_size:5 ')),
        (RANGE, pb.RangeRequest(key=b"x", revision=1), None, (0, 5, 0, 0, 'key:"x" revision:1 ')),
        (
            DELETE_RANGE,
            DELETE,
            pb.DeleteRangeResponse(header=HEADER, deleted=1),
            (0, 6, 1, 30, 'key:"a" range_end:"k" '),
        ),
        (TXN, WRITE_TXN, pb.TxnResponse(header=HEADER), (2, 13, 0, 28, TXN_TEXT)),
        (TXN, WRITE_TXN, None, (0, 0, 0, 0, "")),
        (COMPACT, pb.CompactionRequest(revision=3), pb.CompactionResponse(header=HEADER), (-1, -1, -1, -1, "")),
    ],
)
def test_call_stats(method: int, request_: Any, response: Any, stats: tuple[int, int, int, int, str]) -> None:
    assert call_stats(method, request_.SerializeToString(), response.SerializeToString() if response else b"") == stats


@pytest.mark.parametrize(
    "fields",
    [
        {"auth_user_add": pb.AuthUserAddRequest(name="u", password="secret", hashedPassword="secret")},
        {"auth_user_change_password": pb.AuthUserChangePasswordRequest(name="u", password="secret")},
        {"authenticate": pb.InternalAuthenticateRequest(name="u", password="secret", simple_token="secret")},
    ],
)
def test_no_secret_is_told(fields: dict[str, Any]) -> None:
    text = raft_request_text(pb.InternalRaftRequest(header=pb.RequestHeader(ID=7), **fields))
    assert 'name:"u"' in text and "secret" not in text
