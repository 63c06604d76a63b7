"""Errors over HTTP: gRPC's codes as HTTP statuses, and the bodies that tell them.

    unary              {"error":text,"code":N,"message":text}
    within a stream    {"error":{"grpc_code":N,"http_code":N,"message":text,"http_status":reason}}

Source: grpc-gateway v1 as in etcd 3.5; the order of a unary error's fields is 3.4's, which its tests compare.
"""

import json
from http import HTTPStatus
from typing import Final

from etcdz.api.errors import Code

_HTTP: Final = {
    Code.OK: 200,
    Code.CANCELED: 408,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


def http_status(code: int) -> int:
    """code: gRPC's"""
    return _HTTP.get(code, 500)


def error_body(code: int, text: str) -> bytes:
    """Of a call that is answered with an error."""
    quoted = json.dumps(text, ensure_ascii=False)
    return f'{{"error":{quoted},"message":{quoted},"code":{code}}}'.encode(errors="replace")


def error_line(code: int, text: str) -> bytes:
    """The last line of a stream that an error ends."""
    status = http_status(code)
    told = {"grpc_code": code, "http_code": status, "message": text, "http_status": HTTPStatus(status).phrase}
    return json.dumps({"error": told}, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
