"""Warnings about requests that took long: etcd's texts and fields. Nothing here runs for a request that did not."""

import time
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from etcdz.api import errors
from etcdz.api.methods import PATHS, RAFT_FIELD, RANGE, TXN
from etcdz.api.request_text import call_stats, message_text, raft_request_text, txn_text
from etcdz.config.literals import format_duration
from etcdz.mvcc.put_entry import PUT_TAG
from etcdz.proto import etcdserverpb as pb

ORDINARY_S: Final = 100e-6
"""What each further request of a batch may take before the batch counts as slow: many small ones are no slow one."""
_PATH_OF: Final = {method: path.decode() for path, method in PATHS.items()}

_INNER_ERRORS: Final = {
    error.text.encode(): inner
    for error, inner in (
        (errors.COMPACTED, b"mvcc: required revision has been compacted"),
        (errors.FUTURE_REV, b"mvcc: required revision is a future revision"),
        (errors.LEASE_NOT_FOUND, b"lease not found"),
        (errors.LEASE_EXIST, b"lease already exists"),
        (errors.LEASE_TTLTOO_LARGE, b"too large lease TTL"),
        (errors.NO_SPACE, b"etcdserver: no space"),
    )
}
"""A client's words for an error -> etcd's own, before it reaches the client."""

Reply = tuple[int, int, bytes]
"""(request id, gRPC code, answer or error text)."""


def is_slow(took_s: float, requests: int, limit_s: float) -> bool:
    """Whether a batch of so many requests, at least one, held a slow one."""
    return took_s > limit_s + (requests - 1) * ORDINARY_S


def warn_apply(log: Any, took_s: float, limit_s: float, entries: Sequence[bytes], replies: Sequence[Reply]) -> None:
    """About a batch of entries: names the one that is most likely to blame, the largest that is not a plain put."""
    data = max(entries, key=lambda entry: (entry[:1] != bytes((PUT_TAG,)), len(entry)))
    try:
        request = pb.InternalRaftRequest.FromString(data)
    except DecodeError:  # of etcd's v2 API
        return
    text = raft_request_text(request)
    if not text:  # of the v2 API as well, or empty: a leader begins its term so
        return
    reply = next((reply for reply in replies if reply[0] == request.header.ID), None)
    size = f"size:{_applied_bytes(reply[2], request)}" if reply is not None and not reply[1] else ""
    _warn(log, took_s, limit_s, "", text, size, reply, len(entries))


def warn_read(
    log: Any, took_s: float, limit_s: float, items: Sequence[tuple[int, int, bytes, int]], replies: Sequence[Reply]
) -> None:
    """About a batch of reads: names the one with the longest answer. items: (request id, method, body, index)"""
    by_id = {request_id: (method, body) for request_id, method, body, _ in items if method in (RANGE, TXN)}
    read = [reply for reply in replies if reply[0] in by_id]
    if not read:
        return
    reply = max(read, key=lambda reply: len(reply[2]))
    method, body = by_id[reply[0]]
    if method == RANGE:
        text, prefix = message_text(pb.RangeRequest.FromString(body)), "read-only range "
        response = "" if reply[1] else f"range_response_count:{len(pb.RangeResponse.FromString(reply[2]).kvs)} "
    else:
        text, prefix = txn_text(pb.TxnRequest.FromString(body)), "read-only txn "
        response = "" if reply[1] else f"responses:<{_range_counts(reply[2])}> "
    if response:
        response += f"size:{_applied_bytes(reply[2])}"
    _warn(log, took_s, limit_s, prefix, text, response, reply, len(items))


def _applied_bytes(answer: bytes, entry: Any = None) -> int:
    """Size of an answer as etcd's applier has made it: most of the header, an alarm's whole header, comes later."""
    if entry is not None and (entry.HasField("lease_grant") or entry.HasField("lease_revoke")):
        return len(answer)
    header = pb.PutResponse.FromString(answer).header
    if entry is not None and entry.HasField("alarm"):
        return len(answer) - int(pb.PutResponse(header=header).ByteSize())
    return len(answer) - int(header.ByteSize()) + int(pb.ResponseHeader(revision=header.revision).ByteSize())


def _range_counts(answer: bytes) -> str:
    responses = pb.TxnResponse.FromString(answer).responses
    return " ".join([f"range_response_count:{len(each.response_range.kvs)}" for each in responses])


def _warn(
    log: Any, took_s: float, limit_s: float, prefix: str, request: str, response: str, reply: Reply | None, batch: int
) -> None:
    fields: dict[str, Any] = {
        "took": format_duration(int(took_s * 1e9)),
        "expected-duration": format_duration(round(limit_s * 1e9)),
        "prefix": prefix,
        "request": request,
        "response": response,
    }
    if reply is not None and reply[1]:
        fields["error"] = _INNER_ERRORS.get(reply[2], reply[2]).decode()
    if batch > 1:
        fields["batch"] = batch
    log.warn("apply request took too long", **fields)


class SlowCalls:
    """Of a listener. With --log-level=debug all calls are told of, as by etcd.

    over_s  what takes longer is for report()
    """

    def __init__(self, log: Any, warning_s: float, log_level: str) -> None:
        self._log = log
        self._level = "debug" if log_level == "debug" else "warn"
        self.over_s = warning_s if self._level == "warn" else -1.0

    def report(self, caller: Any, method: int, request: bytes, code: int, body: bytes, began_s: float) -> None:
        """request: as the client sent it. body: the answer or the error's text. began_s: on the monotonic clock"""
        remote = getattr(caller, "remote", None)
        if remote is None:  # no gRPC client
            return
        took_s = time.monotonic() - began_s
        stats = call_stats(method, request, b"" if code else body)
        fields = {
            "start time": _stamp(time.time() - took_s),
            "time spent": format_duration(int(took_s * 1e9)),
            "remote": remote,
            "response type": _PATH_OF.get(method, ""),
            "request count": stats.request_count,
            "request size": stats.request_size,
            "response count": stats.response_count,
            "response size": stats.response_size,
            "request content": stats.content,
        }
        self._log.log(self._level, "request stats", **fields)


def request_of(method: int, entry: bytes) -> bytes:
    """The client's request in an InternalRaftRequest."""
    field = RAFT_FIELD.get(method)
    for descriptor, value in pb.InternalRaftRequest.FromString(entry).ListFields():
        if descriptor.number == field:
            return bytes(value.SerializeToString())
    return b""


def _stamp(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s)) + f".{int(at_s % 1 * 1000):03d}Z"
