"""Waiting in line: one key per lease under a prefix; the one with the lowest create revision is first.

    key     prefix + lease id in hex, attached to that lease, so that a client that dies leaves the line

Source: etcd 3.5 client/v3/concurrency; its requests, key names and TTL.
"""

from typing import Final

from etcdz.api.methods import LEASE_GRANT, RANGE
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.recipes.steps import NEXT, Ask, Asking, Watch

SESSION_TTL_S: Final = 60
"""Of the lease that a client without one is granted."""
_ASCEND, _DESCEND = 1, 2
_BY_CREATE = 2
_TARGET_CREATE = 1
_NO_PUT = 0
DELETE: Final = mvccpb.Event.DELETE


def session(lease_id: int) -> Asking[int]:
    """The lease to use. NB: one that is named need not exist: the first put says so."""
    if lease_id:
        return lease_id
    granted: pb.LeaseGrantResponse = yield Ask(LEASE_GRANT, pb.LeaseGrantRequest(TTL=SESSION_TTL_S))
    return granted.ID


def own_key(prefix: bytes, lease_id: int) -> bytes:
    return prefix + format(lease_id, "x").encode()


def end_of(prefix: bytes) -> bytes:
    """The range end of all keys that begin with prefix, which ends in a byte that is not 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def created_at(key: bytes, revision: int) -> pb.Compare:
    """A comparison. revision 0: the key does not exist."""
    return pb.Compare(key=key, target=_TARGET_CREATE, create_revision=revision)


def put(key: bytes, value: bytes, lease_id: int) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value, lease=lease_id))


def get(key: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))


def first_in_line(prefix: bytes) -> pb.RangeRequest:
    """A range of the one key that was created first."""
    return pb.RangeRequest(key=prefix, range_end=end_of(prefix), limit=1, sort_order=_ASCEND, sort_target=_BY_CREATE)


def wait_for_turn(prefix: bytes, revision: int) -> Asking[None]:
    """Returns when no key is left that was created before revision. Waits for the last of them, one after another, so
    that a key that goes wakes one waiter."""
    before = pb.RangeRequest(
        key=prefix,
        range_end=end_of(prefix),
        limit=1,
        sort_order=_DESCEND,
        sort_target=_BY_CREATE,
        max_create_revision=revision - 1,
    )
    while True:
        found: pb.RangeResponse = yield Ask(RANGE, before)
        if not found.kvs:
            return
        response: pb.WatchResponse = yield Watch(
            pb.WatchCreateRequest(key=found.kvs[0].key, start_revision=found.header.revision, filters=[_NO_PUT])
        )
        while not any(event.type == DELETE for event in response.events):
            response = yield NEXT
