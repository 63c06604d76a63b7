"""v3lockpb.Lock: the key that is first in line holds the lock.

Source: etcd 3.5 v3lock, and its client's Mutex: requests, headers, error texts, what is tidied up when.
"""

from etcdz.api.methods import DELETE_RANGE, RANGE, TXN
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3lockpb
from etcdz.recipes.steps import Ask, Asking, Gone, Leaving, Recipe, Refused
from etcdz.recipes.waiting import created_at, first_in_line, get, own_key, put, session, wait_for_turn

SESSION_EXPIRED = "mutex: session is expired"


def lock(request: v3lockpb.LockRequest) -> Recipe:
    """NB: a client that goes, or is refused, while it waits leaves the line; one that moves to another listener with a
    lease of its own finds its place again."""
    lease_id = yield from session(request.lease)
    prefix = request.name + b"/"
    key = own_key(prefix, lease_id)
    owner = pb.RequestOp(request_range=first_in_line(prefix))
    answer: pb.TxnResponse = yield Ask(
        TXN,
        pb.TxnRequest(
            compare=[created_at(key, 0)], success=[put(key, b"", lease_id), owner], failure=[get(key), owner]
        ),
    )
    revision = answer.header.revision
    if not answer.succeeded:
        revision = answer.responses[0].response_range.kvs[0].create_revision
    owners = answer.responses[1].response_range.kvs
    if not owners or owners[0].create_revision == revision:
        return v3lockpb.LockResponse(header=answer.header, key=key)
    try:
        yield from wait_for_turn(prefix, revision)
        seen: pb.RangeResponse = yield Ask(RANGE, pb.RangeRequest(key=key))
    except (Refused, Gone) as reason:
        if not (isinstance(reason, Leaving) and request.lease):
            yield from _leave(key)
        raise
    if not seen.kvs:
        raise Refused.unnamed(SESSION_EXPIRED)
    return v3lockpb.LockResponse(header=seen.header, key=key)


def _leave(key: bytes) -> Asking[None]:
    try:
        yield Ask(DELETE_RANGE, pb.DeleteRangeRequest(key=key))
    except Refused:
        return  # its lease will


def unlock(request: v3lockpb.UnlockRequest) -> Recipe:
    answer: pb.DeleteRangeResponse = yield Ask(DELETE_RANGE, pb.DeleteRangeRequest(key=request.key))
    return v3lockpb.UnlockResponse(header=answer.header)
