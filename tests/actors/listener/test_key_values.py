"""Calls of the KV service as they begin: what is refused at once, what is proposed, and what is read and how."""

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.api.methods import COMPACT, DELETE_RANGE, PUT, RANGE, TXN
from etcdz.ipc.messages import Propose, Read, ReadIndex, Write
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import encode_varint
from tests.actors.listener.test_calls import Setup

PUT_K = pb.RequestOp(request_put=pb.PutRequest(key=b"k"))
GET_K = pb.RequestOp(request_range=pb.RangeRequest(key=b"k"))
STALE_K = pb.RequestOp(request_range=pb.RangeRequest(key=b"k", serializable=True))


@pytest.mark.parametrize(
    ("method", "request_", "refusal"),
    [
        (PUT, pb.PutRequest(), errors.EMPTY_KEY),
        (DELETE_RANGE, pb.DeleteRangeRequest(), errors.EMPTY_KEY),
        (RANGE, pb.RangeRequest(), errors.EMPTY_KEY),
        (TXN, pb.TxnRequest(success=[PUT_K, PUT_K]), errors.DUPLICATE_KEY),
        (TXN, pb.TxnRequest(success=[GET_K] * 129), errors.TOO_MANY_OPS),
    ],
)
def test_what_is_wrong_is_answered_at_once_and_goes_nowhere(
    method: int, request_: pb.PutRequest, refusal: EtcdError
) -> None:
    setup = Setup()
    setup.begin(1, method, request_.SerializeToString())
    assert setup.turn() == []
    assert setup.client.answers == {1: (refusal.code, refusal.text.encode())}


@pytest.mark.parametrize(
    ("method", "request_", "kinds"),
    [
        (PUT, pb.PutRequest(key=b"k"), (Propose, Write)),
        (DELETE_RANGE, pb.DeleteRangeRequest(key=b"k"), (Propose, Write)),
        (COMPACT, pb.CompactionRequest(revision=3), (Propose, Write)),
        (TXN, pb.TxnRequest(success=[GET_K], failure=[PUT_K]), (Propose, Write)),
        (TXN, pb.TxnRequest(success=[GET_K]), (Read, ReadIndex)),
        (RANGE, pb.RangeRequest(key=b"k"), (Read, ReadIndex)),
        (TXN, pb.TxnRequest(success=[STALE_K]), (Read,)),
        (RANGE, pb.RangeRequest(key=b"k", serializable=True), (Read,)),
    ],
)
def test_writes_are_proposed_and_reads_are_not(
    method: int, request_: pb.PutRequest, kinds: tuple[type[object], ...]
) -> None:
    setup = Setup()
    setup.begin(1, method, request_.SerializeToString())
    assert [type(message) in kinds for _, message in setup.turn()] == [True]


@pytest.mark.parametrize("depth", [128, 200, 1_000, 5_000])
def test_a_transaction_that_is_nested_too_deep_has_too_many_operations(depth: int) -> None:
    body = pb.TxnRequest(success=[PUT_K]).SerializeToString()
    for _ in range(depth):
        op = b"\x22" + encode_varint(len(body)) + body
        body = b"\x12" + encode_varint(len(op)) + op
    setup = Setup()
    setup.begin(1, TXN, body)
    assert setup.turn() == []
    assert setup.client.answers == {1: (errors.TOO_MANY_OPS.code, errors.TOO_MANY_OPS.text.encode())}
