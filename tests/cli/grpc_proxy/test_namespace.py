"""Keys with a prefix: put on what is asked, taken off what is answered."""

import pytest

from etcdz.cli.grpc_proxy.namespace import Namespace
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb


@pytest.mark.parametrize(
    ("prefix", "key", "end", "expected"),
    [
        (b"p/", b"k", b"", (b"p/k", b"")),
        (b"p/", b"k", b"l", (b"p/k", b"p/l")),
        (b"p/", b"\0", b"\0", (b"p/\0", b"p0")),
        (b"a\xff", b"k", b"\0", (b"a\xffk", b"b\0")),
        (b"\xff\xff", b"k", b"\0", (b"\xff\xffk", b"\0")),
        (b"", b"k", b"\0", (b"k", b"\0")),
    ],
)
def test_spans(prefix: bytes, key: bytes, end: bytes, expected: tuple[bytes, bytes]) -> None:
    assert Namespace(prefix).span(key, end) == expected or not prefix


def test_a_transaction_in_a_transaction() -> None:
    inner = pb.TxnRequest(
        compare=[pb.Compare(key=b"c", range_end=b"d")],
        success=[pb.RequestOp(request_put=pb.PutRequest(key=b"a"))],
        failure=[pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d", range_end=b"\0"))],
    )
    txn = pb.TxnRequest(
        success=[
            pb.RequestOp(request_txn=inner),
            pb.RequestOp(request_range=pb.RangeRequest(key=b"r")),
            pb.RequestOp(),
        ]
    )
    Namespace(b"p/").enter_txn(txn)
    inner = txn.success[0].request_txn
    assert (inner.compare[0].key, inner.compare[0].range_end) == (b"p/c", b"p/d")
    assert inner.success[0].request_put.key == b"p/a"
    delete = inner.failure[0].request_delete_range
    assert (delete.key, delete.range_end) == (b"p/d", b"p0")
    assert txn.success[1].request_range.key == b"p/r"


def test_answers_of_a_transaction() -> None:
    kv = mvccpb.KeyValue(key=b"p/k")
    ranged = pb.ResponseOp(response_range=pb.RangeResponse(kvs=[kv]))
    put = pb.ResponseOp(response_put=pb.PutResponse(prev_kv=kv))
    deleted = pb.ResponseOp(response_delete_range=pb.DeleteRangeResponse(prev_kvs=[kv]))
    nested = pb.ResponseOp(response_txn=pb.TxnResponse(responses=[ranged]))
    answer = pb.TxnResponse(responses=[ranged, put, deleted, nested, pb.ResponseOp(response_put=pb.PutResponse())])
    Namespace(b"p/").leave_txn(answer)
    first, second, third, fourth, last = answer.responses
    assert first.response_range.kvs[0].key == b"k"
    assert second.response_put.prev_kv.key == b"k"
    assert third.response_delete_range.prev_kvs[0].key == b"k"
    assert fourth.response_txn.responses[0].response_range.kvs[0].key == b"k"
    assert not last.response_put.HasField("prev_kv")


def test_a_lease_shows_keys_of_the_namespace_alone() -> None:
    answer = pb.LeaseTimeToLiveResponse(keys=[b"p/a", b"other", b"p"])
    Namespace(b"p/").leave_keys(answer)
    assert list(answer.keys) == [b"a"]
