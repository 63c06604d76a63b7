"""The fast check of a transaction says what the rule says."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etcdz.mvcc.put_entry import keys_of_puts
from etcdz.mvcc.validate import check_any_txn, check_puts, check_txn
from etcdz.proto import etcdserverpb as pb

KEYS = st.sampled_from([b"", b"a", b"b", b"c"])
PUTS = st.builds(
    lambda key, value, lease, ignore_value, ignore_lease: pb.RequestOp(
        request_put=pb.PutRequest(
            key=key, value=value, lease=lease, ignore_value=ignore_value, ignore_lease=ignore_lease
        )
    ),
    KEYS,
    st.sampled_from([b"", b"v"]),
    st.sampled_from([0, 0, 7]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
)
RANGES = st.builds(
    lambda key, order: pb.RequestOp(request_range=pb.RangeRequest(key=key, sort_order=order)),
    KEYS,
    st.sampled_from([0, 0, 0, 9]),
)
DELETES = st.builds(lambda key: pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key)), KEYS)
NOTHING = st.just(pb.RequestOp())
BRANCHES = st.lists(st.one_of(PUTS, PUTS, PUTS, RANGES, DELETES, NOTHING), max_size=4)
FLAT_BRANCHES = st.lists(st.one_of(PUTS, RANGES), max_size=4)
COMPARES = st.lists(st.builds(lambda key: pb.Compare(key=key), KEYS), max_size=2)


def nested(compare: list[Any], success: list[Any], failure: list[Any]) -> Any:
    return pb.TxnRequest(compare=compare, success=success, failure=failure)


@given(
    st.one_of(
        st.builds(nested, COMPARES, FLAT_BRANCHES, FLAT_BRANCHES),
        st.builds(nested, COMPARES, BRANCHES, BRANCHES),
    ),
    st.integers(0, 4),
)
def test_the_fast_check_agrees_with_the_rule(request: Any, max_ops: int) -> None:
    assert check_txn(request, max_ops) == check_any_txn(request, max_ops)


PLAIN_PUTS = st.builds(lambda key: pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"v")), KEYS)


@given(st.lists(PLAIN_PUTS, min_size=1, max_size=4), st.integers(0, 4))
def test_the_check_of_plain_puts_agrees_with_the_rule(puts: list[Any], max_ops: int) -> None:
    request = pb.TxnRequest(success=puts)
    keys = keys_of_puts(request.SerializeToString())
    if keys is None:  # an empty key: for the parser and the rule
        assert check_any_txn(request, max_ops) is not None
    else:
        assert check_puts(keys, max_ops) == check_any_txn(request, max_ops)
