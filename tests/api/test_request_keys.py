"""Which keys a request touches, and whether a prefix is among them."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from etcdz.api.methods import COMPACT, PUT, TXN
from etcdz.api.request_keys import matches, touched_by_call, touched_by_entry
from etcdz.proto import etcdserverpb as pb

SHORT = st.binary(max_size=3).map(lambda data: bytes(byte % 3 for byte in data))


def test_a_transaction_touches_what_it_compares_and_what_both_branches_do() -> None:
    txn = pb.TxnRequest(
        compare=[pb.Compare(key=b"c", target=pb.Compare.VALUE, value=b"secret")],
        success=[pb.RequestOp(request_put=pb.PutRequest(key=b"p", value=b"secret"))],
        failure=[
            pb.RequestOp(
                request_txn=pb.TxnRequest(
                    success=[pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d", range_end=b"e"))]
                )
            )
        ],
    )
    expected = [("compare", b"c", b""), ("put", b"p", b""), ("delete", b"d", b"e")]
    assert touched_by_call(TXN, txn.SerializeToString()) == expected
    assert touched_by_entry(pb.InternalRaftRequest(txn=txn).SerializeToString()) == expected


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x10short"])
def test_what_is_no_request_touches_nothing(body: bytes) -> None:
    assert touched_by_call(PUT, body) == []
    assert touched_by_entry(body) == []
    assert touched_by_call(COMPACT, body) == []


@given(SHORT, SHORT, SHORT)
def test_a_range_matches_a_prefix_if_a_key_with_the_prefix_lies_in_it(key: bytes, end: bytes, prefix: bytes) -> None:
    assume(not end or end == b"\0" or key < end)
    digits = (b"\0", b"\1", b"\2")
    longer = [b""]
    for _ in range(4):
        longer += [word + digit for word in longer if len(word) == max(map(len, longer)) for digit in digits]
    every = [prefix + word for word in longer]
    inside = [k for k in every if (k >= key and (end == b"\0" or k < end) if end else k == key)]
    assert matches(("range", key, end), prefix) == bool(inside) or (end <= key != b"" and end != b"\0")
