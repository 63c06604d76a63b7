"""KV.RangeStream: a range in chunks, all of one revision, so that neither side holds all of it at once.

    answer := RangeStreamResponse {kvs}* {kvs, header, more, count}

NB: a sort target without an order sorts each chunk by itself, and the range goes on behind the last key of the chunk as
it is sorted: keys may come twice or not at all. etcd does so, too, for `etcdctl get --sort-by VALUE --stream`.

Merged, the messages are the answer of Range. The header's revision is that of the store when the first chunk was read.
Source: etcd 3.7; checks, texts, and how the size of chunks grows.
"""

from typing import Final

from etcdz.api.errors import Code
from etcdz.api.methods import RANGE, RANGE_CHUNK
from etcdz.mvcc.validate import check_range
from etcdz.proto import etcdserverpb as pb
from etcdz.recipes.steps import Ask, Asking, Recipe, Refused, Send

FIRST_CHUNK_KEYS: Final = 10
_NONE, _ASCEND = 0, 1
_BY_KEY = 0


def range_stream(request: pb.RangeRequest, chunk_bytes: int) -> Recipe:
    """chunk_bytes: about so large is a message, if single keys are not larger."""
    _check(request)
    if request.count_only:
        answer: pb.RangeResponse = yield Ask(RANGE, request)
        yield Send(_message(pb.RangeResponse(header=answer.header, count=answer.count)))
        return None
    limit, sent, keys = max(0, request.limit), 0, FIRST_CHUNK_KEYS
    header = None
    while True:
        request.limit = min(keys, limit - sent) if limit else keys
        chunk: pb.RangeResponse = yield Ask(RANGE_CHUNK, request)
        if header is None:
            header = chunk.header
            request.revision = request.revision or header.revision
        size = chunk.ByteSize()
        sent += len(chunk.kvs)
        if not chunk.more or sent == limit:
            break
        request.key = chunk.kvs[-1].key + b"\0"
        chunk.ClearField("header")
        chunk.ClearField("more")
        yield Send(_message(chunk))
        keys = _next_keys(request.limit, size, chunk_bytes)
    chunk.header.CopyFrom(header)
    chunk.count = sent + (yield from _rest(request, chunk))
    yield Send(_message(chunk))
    return None


def _check(request: pb.RangeRequest) -> None:
    """raises Refused"""
    error = check_range(request)
    if error is not None:
        raise Refused.by(error)
    if request.sort_order != _NONE and (request.sort_target, request.sort_order) != (_BY_KEY, _ASCEND):
        raise Refused(Code.UNIMPLEMENTED, "RangeStream does not support custom sort orders")
    bounds = ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision")
    if any(getattr(request, bound) for bound in bounds):
        raise Refused(Code.UNIMPLEMENTED, "RangeStream does not support revision filters")


def _rest(request: pb.RangeRequest, chunk: pb.RangeResponse) -> Asking[int]:
    """How many keys of the range the client does not get."""
    if not chunk.more:
        return 0
    request.key = chunk.kvs[-1].key + b"\0"
    request.limit, request.count_only = 0, True
    answer: pb.RangeResponse = yield Ask(RANGE, request)
    return answer.count


def _next_keys(keys: int, size: int, chunk_bytes: int) -> int:
    """Twice or half as many if the last chunk was far from what it should be."""
    if size < chunk_bytes // 2:
        return keys * 2
    return max(1, keys // 2) if size > chunk_bytes * 2 else keys


def _message(chunk: pb.RangeResponse) -> pb.RangeStreamResponse:
    return pb.RangeStreamResponse(range_response=chunk)
