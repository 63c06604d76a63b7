"""The backend's warnings about requests that took long: etcd's texts and fields.

Only is_slow runs for requests that did not take long. A report must not fail what it reports on, least of all a
committed entry, which would fail at every later start as well: what cannot be described is logged as just that.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec

from google.protobuf.message import DecodeError

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.api.methods import RANGE, TXN
from etcdz.api.request_text import message_text, raft_request_text, txn_text
from etcdz.config.literals import format_duration
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.tags import RAFT_REQUEST_PUT
from etcdz.telemetry import logs

P = ParamSpec("P")

ORDINARY_S: Final = 100e-6
"""What each further request of a batch may take before the batch counts as slow: many small ones are no slow one."""

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


def _never_fails(warn: Callable[P, None]) -> Callable[P, None]:
    @wraps(warn)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            warn(*args, **kwargs)
        except Exception as error:
            logs.get("backend").error("a slow request could not be described", error=repr(error))

    return guarded


@_never_fails
def warn_apply(log: Any, took_s: float, limit_s: float, entries: Sequence[bytes], replies: Sequence[Reply]) -> None:
    """Logs that a batch of entries took long to apply.

    It names the entry that is most likely to blame, the largest that is not a plain put.

    log, took_s, limit_s    where to, how long the batch took, and what --warning-apply-duration says
    replies                 to the entries, as far as there are any
    """
    data = max(entries, key=lambda entry: (not entry.startswith(RAFT_REQUEST_PUT), len(entry)))
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


@_never_fails
def warn_read(
    log: Any, took_s: float, limit_s: float, items: Sequence[tuple[int, int, bytes, int]], replies: Sequence[Reply]
) -> None:
    """The same about a batch of reads: it names the one with the longest answer. Reads of other kinds than ranges and
    transactions are not logged.

    items   (request id, method, body, index) of all reads
    """
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


@_never_fails
def warn_long_read(
    log: Any, took_s: float, limit_s: float, method: int, body: bytes, size: int, error: EtcdError | None
) -> None:
    """The same about a read that was worked off in slices. size: bytes of its answer"""
    if method not in (RANGE, TXN):
        return
    if method == RANGE:
        text, prefix = message_text(pb.RangeRequest.FromString(body)), "read-only range "
    else:
        text, prefix = txn_text(pb.TxnRequest.FromString(body)), "read-only txn "
    reply = None if error is None else (0, error.code, error.text.encode())
    _warn(log, took_s, limit_s, prefix, text, "" if error is not None else f"size:{size}", reply, 1)


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
