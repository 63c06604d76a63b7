"""Where etcd 3.5.1 is no judge: requests that end its process, or for which its successors made a rule of their own."""

from typing import Any

import pytest

from etcdz.api.errors import INVALID_SORT_OPTION
from etcdz.proto import etcdserverpb as pb
from tests.parity.pair import Answer, Pair


@pytest.fixture
def etcdz(pair: Pair) -> Any:
    side = pair.sides[1]
    if side.member.kind != "etcdz":
        pytest.skip("the subject is an etcd 3.5.1 too")
    return side


def _refused(answer: Answer) -> bool:
    return (answer.code, answer.text) == ("INVALID_ARGUMENT", INVALID_SORT_OPTION.text)


@pytest.mark.parametrize(("target", "order"), [(5, 1), (99, 2), (-1, 0), (0, 3), (2, -1), (7, 7)])
def test_an_unknown_sort_is_refused(etcdz: Any, target: int, order: int) -> None:
    """etcd 3.5 panics over an unknown target and takes an unknown order for none; 3.6 and later refuse both."""
    ranged = pb.RangeRequest(key=b"a", range_end=b"z", sort_target=target, sort_order=order)
    assert _refused(etcdz.ask("Range", ranged))
    nested = pb.TxnRequest()
    nested.success.add().request_txn.failure.add().request_range.CopyFrom(ranged)
    assert _refused(etcdz.ask("Txn", nested))


def test_the_key_is_checked_before_the_sort(etcdz: Any) -> None:
    assert etcdz.ask("Range", pb.RangeRequest(sort_target=99)).text == "etcdserver: key is not provided"


def test_transactions_deeper_than_the_library_reads_are_applied(etcdz: Any) -> None:
    """etcd reads any depth. The library stops at 100 messages in one another: on the client's side too, hence raw."""
    txn = pb.TxnRequest()
    txn.success.add().request_put.CopyFrom(pb.PutRequest(key=b"deep"))
    body = txn.SerializeToString()
    for _ in range(60):
        body = _field(2, _field(4, body))
    assert etcdz.begin("/etcdserverpb.KV/Txn", body).result()
    assert etcdz.must("Range", pb.RangeRequest(key=b"deep")).count == 1


def _field(number: int, body: bytes) -> bytes:
    """A message field: tag, length as a varint, bytes."""
    length, head = len(body), bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + body
