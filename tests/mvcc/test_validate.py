"""Request checks as tables: what is refused, with which error, and which of two errors comes first."""

from typing import Any

import pytest
from google.protobuf import text_format

from etcdz.api import errors
from etcdz.mvcc import validate
from etcdz.proto import etcdserverpb as pb

MAX_OPS = 4


def _txn(text: str) -> Any:
    return text_format.Parse(text, pb.TxnRequest())


@pytest.mark.parametrize(
    ("check", "request_", "error"),
    [
        (validate.check_put, pb.PutRequest(key=b"a"), None),
        (validate.check_put, pb.PutRequest(value=b"v"), errors.EMPTY_KEY),
        (validate.check_put, pb.PutRequest(key=b"a", ignore_value=True), None),
        (validate.check_put, pb.PutRequest(key=b"a", value=b"v", ignore_value=True), errors.VALUE_PROVIDED),
        (validate.check_put, pb.PutRequest(key=b"a", lease=1, ignore_lease=True), errors.LEASE_PROVIDED),
        (
            validate.check_put,
            pb.PutRequest(value=b"v", lease=1, ignore_lease=True, ignore_value=True),
            errors.EMPTY_KEY,
        ),
        (
            validate.check_put,
            pb.PutRequest(key=b"a", value=b"v", lease=1, ignore_lease=True, ignore_value=True),
            errors.VALUE_PROVIDED,
        ),
        (validate.check_range, pb.RangeRequest(key=b"a", range_end=b"\0"), None),
        (validate.check_range, pb.RangeRequest(range_end=b"\0"), errors.EMPTY_KEY),
        (validate.check_range, pb.RangeRequest(key=b"a", sort_order=2, sort_target=4), None),
        (validate.check_range, pb.RangeRequest(key=b"a", sort_order=3), errors.INVALID_SORT_OPTION),
        (validate.check_range, pb.RangeRequest(key=b"a", sort_target=5), errors.INVALID_SORT_OPTION),
        (validate.check_range, pb.RangeRequest(key=b"a", sort_target=-1), errors.INVALID_SORT_OPTION),
        (validate.check_range, pb.RangeRequest(sort_target=5), errors.EMPTY_KEY),
        (validate.check_delete, pb.DeleteRangeRequest(key=b"a"), None),
        (validate.check_delete, pb.DeleteRangeRequest(range_end=b"b"), errors.EMPTY_KEY),
    ],
)
def test_single_requests(check: Any, request_: Any, error: errors.EtcdError | None) -> None:
    assert check(request_) == error


PUT_A = 'success { request_put { key: "a" } }'
DEL_A = 'success { request_delete_range { key: "a" } }'
OPS = 'success { request_range { key: "r" } } ' * MAX_OPS
BAD_PUT = "success { request_put { } }"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", None),
        (OPS, None),
        (OPS + OPS[: len(OPS) // MAX_OPS], errors.TOO_MANY_OPS),
        ('compare { key: "a" } ' * 5, errors.TOO_MANY_OPS),
        ('failure { request_range { key: "r" } } ' * 5, errors.TOO_MANY_OPS),
        ("compare { } " * 5, errors.TOO_MANY_OPS),
        ("compare { }", errors.EMPTY_KEY),
        (BAD_PUT, errors.EMPTY_KEY),
        ("success { }", errors.KEY_NOT_FOUND),
        ("failure { }", errors.KEY_NOT_FOUND),
        ('success { request_range { key: "a" sort_target: 9 } }', errors.INVALID_SORT_OPTION),
        # what the outer transaction uses up, the inner one lacks
        ('success { request_txn { success { request_range { key: "a" } } } }', None),
        ("success { request_txn { " + 'compare { key: "a" } ' * 3 + "} }", None),
        ("success { request_txn { " + 'compare { key: "a" } ' * 4 + "} }", errors.TOO_MANY_OPS),
        (OPS + " failure { request_txn { " + 'compare { key: "a" } ' + "} }", errors.TOO_MANY_OPS),
        # overlaps on one level
        (PUT_A + PUT_A, errors.DUPLICATE_KEY),
        (PUT_A + DEL_A, errors.DUPLICATE_KEY),
        (DEL_A + PUT_A, errors.DUPLICATE_KEY),
        (DEL_A + DEL_A, None),
        (PUT_A + 'failure { request_put { key: "a" } }', None),
        (PUT_A + 'success { request_delete_range { key: "b" range_end: "c" } }', None),
        (PUT_A + 'success { request_delete_range { key: "A" range_end: "b" } }', errors.DUPLICATE_KEY),
        (PUT_A + 'success { request_delete_range { key: "A" range_end: "a" } }', None),
        (PUT_A + 'success { request_delete_range { key: "b" range_end: "a" } }', None),
        # NB: the check reads a range end of one zero byte as what it is, an end before everything
        (PUT_A + 'success { request_delete_range { key: "a" range_end: "\\000" } }', None),
        # overlaps over levels
        (PUT_A + 'success { request_txn { success { request_put { key: "a" } } } }', errors.DUPLICATE_KEY),
        (PUT_A + 'success { request_txn { failure { request_put { key: "a" } } } }', errors.DUPLICATE_KEY),
        (PUT_A + 'success { request_txn { success { request_delete_range { key: "a" } } } }', errors.DUPLICATE_KEY),
        (DEL_A + 'success { request_txn { failure { request_put { key: "a" } } } }', errors.DUPLICATE_KEY),
        (
            'success { request_txn { success { request_put { key: "a" } } failure { request_put { key: "a" } } } }',
            None,
        ),
        ('success { request_txn { success { request_put { key: "a" } } } } ' * 2, errors.DUPLICATE_KEY),
        (
            'success { request_txn { success { request_put { key: "a" } } } }'
            'success { request_txn { success { request_delete_range { key: "a" } } } }',
            None,
        ),
        (
            'success { request_txn { success { request_delete_range { key: "a" } } } }'
            'success { request_txn { success { request_put { key: "a" } } } }',
            errors.DUPLICATE_KEY,
        ),
        # which error comes first
        (PUT_A + PUT_A + BAD_PUT, errors.EMPTY_KEY),
        (PUT_A + PUT_A + "compare { }", errors.EMPTY_KEY),
        (BAD_PUT + "success { }", errors.EMPTY_KEY),
        ("success { }" + BAD_PUT, errors.KEY_NOT_FOUND),
    ],
)
def test_transactions(text: str, error: errors.EtcdError | None) -> None:
    assert validate.check_txn(_txn(text), MAX_OPS) == error
