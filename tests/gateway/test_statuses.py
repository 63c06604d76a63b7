"""Errors over HTTP."""

import json

from etcdz.api.errors import BY_NAME, Code
from etcdz.gateway.statuses import error_body, error_line, http_status


def test_every_error_of_etcd_has_a_status_that_is_none_of_success() -> None:
    assert all(400 <= http_status(error.code) < 600 for error in BY_NAME.values())


def test_an_error_is_told_in_the_order_that_etcds_own_tests_compare() -> None:
    assert error_body(Code.UNKNOWN, '"leader" field must be provided') == (
        b'{"error":"\\"leader\\" field must be provided","message":"\\"leader\\" field must be provided","code":2}'
    )


def test_an_error_within_a_stream_tells_both_codes() -> None:
    told = json.loads(error_line(Code.UNAVAILABLE, "etcdserver: no leader"))
    assert told == {
        "error": {
            "grpc_code": 14,
            "http_code": 503,
            "message": "etcdserver: no leader",
            "http_status": "Service Unavailable",
        }
    }
