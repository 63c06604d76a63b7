"""Random calls, valid and invalid, over an alphabet so small that they meet one another.

Everything is drawn from a `random.Random`. hypothesis hands in its own kind (`st.randoms()`), whose draws it can
shrink; a long conversation takes a seeded one.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from etcdz.proto import etcdserverpb as pb
from tests.parity.calls import FAR, Call

_T = TypeVar("_T")

KEYS = [b"a", b"b", b"c", b"aa", b"ab", b"a\x00", b"b\xff", b"d/1", b"d/2", b"\x00", b"\xff", b"\xff\xff"]
RANGE_ENDS = [b"\x00", b"b", b"c", b"d0", b"a", b"e", b"\xff", b"a\x00\x00", b"\x00\x00"]
_SIX_KEYS_AT_MOST = [b"c", b"b", b""]  # range ends, from "a" on
VALUES = [b"1", b"2", b"3", b"", b"\x00\xff", b"v" * 300]
LIMITS = [1, 2, 3, 10, -1, -(1 << 63), (1 << 63) - 1]
LEASES = [1, 2, 7587848943239472601]  # NB: etcd forgets those below zero when it starts again
LEASE_TTLS = [600, 600, 1000, 9_000_000_000, 9_000_000_001, (1 << 63) - 1]  # none runs out in a conversation
ODD_REVISIONS = [-1, -(1 << 63), FAR, (1 << 63) - 1]
ODD_ENUMS = [5, 99, -1]
MAX_TXN_OPS = 128  # etcd's --max-txn-ops
_MAX_DEPTH = 3


def draw_call(rng: Random, newest: int = 20) -> Call:
    """One call. newest: about the revision that the store has by now, relative to the conversation's start."""
    draws = [
        (_draw_range, "Range", 30),
        (_draw_put, "Put", 30),
        (_draw_delete, "DeleteRange", 10),
        (_draw_txn, "Txn", 20),
        (_draw_compact, "Compact", 4),
        (_draw_hash, "HashKV", 4),
        (_draw_grant, "LeaseGrant", 4),
        (_draw_revoke, "LeaseRevoke", 2),
        (_draw_keep_alive, "LeaseKeepAlive", 2),
        (_draw_time_to_live, "LeaseTimeToLive", 3),
        (_draw_leases, "LeaseLeases", 1),
        (_draw_status, "Status", 1),
        (_draw_member_list, "MemberList", 1),
    ]
    at = rng.randrange(sum(weight for _, _, weight in draws))
    for draw, name, weight in draws:
        if at < weight:
            return Call(name, draw(rng, newest))
        at -= weight
    raise AssertionError("weights")


def _chance(rng: Random, percent: int) -> bool:
    """True in so many of a hundred cases. Shrinks to False."""
    return rng.randrange(100) >= 100 - percent


def _pick(rng: Random, items: Sequence[_T]) -> _T:
    return items[rng.randrange(len(items))]


def _key(rng: Random) -> bytes:
    if _chance(rng, 3):
        return b""
    return _pick(rng, KEYS[:4] if _chance(rng, 60) else KEYS)


def _range_end(rng: Random) -> bytes:
    return _pick(rng, RANGE_ENDS) if _chance(rng, 45) else b""


def _revision(rng: Random, newest: int) -> int:
    """0 is "now"; most others exist, some are compacted or lie in the future."""
    if _chance(rng, 4):
        return _pick(rng, ODD_REVISIONS)
    if _chance(rng, 10):
        return 1 + rng.randrange(newest)
    return max(1, newest - rng.randrange(20) + 2)


def _enum(rng: Random, valid: int) -> int:
    return _pick(rng, ODD_ENUMS) if _chance(rng, 3) else rng.randrange(valid)


def _draw_range(rng: Random, newest: int) -> Any:
    request = pb.RangeRequest(key=_key(rng), range_end=_range_end(rng))
    if _chance(rng, 30):
        request.limit = _pick(rng, LIMITS)
    if _chance(rng, 30):
        request.revision = _revision(rng, newest)
    if _chance(rng, 35):
        request.sort_order = rng.randrange(3)
    if _chance(rng, 35):
        request.sort_target = rng.randrange(5)  # NB: an unknown one ends etcd 3.5's process
    if request.sort_target:
        # From 7 keys on, Go's sort leaves equal ones in an order that is chance (and another one in the next Go).
        request.key, request.range_end = _pick(rng, KEYS[:4]), _pick(rng, _SIX_KEYS_AT_MOST)
    request.serializable = _chance(rng, 25)
    request.keys_only = _chance(rng, 15)
    request.count_only = _chance(rng, 15)
    for field in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
        if _chance(rng, 8):
            setattr(request, field, _revision(rng, newest))
    return request


def _draw_put(rng: Random, newest: int) -> Any:
    request = pb.PutRequest(key=_key(rng), value=_pick(rng, VALUES))
    request.prev_kv = _chance(rng, 30)
    request.ignore_lease = _chance(rng, 6)
    if _chance(rng, 6):
        request.ignore_value = True
        if _chance(rng, 70):
            request.value = b""
    if _chance(rng, 12):
        request.lease = _pick(rng, LEASES)
    return request


def _draw_delete(rng: Random, newest: int) -> Any:
    return pb.DeleteRangeRequest(key=_key(rng), range_end=_range_end(rng), prev_kv=_chance(rng, 40))


def _draw_compact(rng: Random, newest: int) -> Any:
    request = pb.CompactionRequest(physical=_chance(rng, 50))
    if _chance(rng, 20):
        request.revision = _pick(rng, [0, *ODD_REVISIONS])
    else:
        request.revision = max(1, newest - rng.randrange(30))
    return request


def _draw_hash(rng: Random, newest: int) -> Any:
    return pb.HashKVRequest(revision=_revision(rng, newest) if _chance(rng, 60) else 0)


def _lease(rng: Random) -> int:
    return 99 if _chance(rng, 5) else _pick(rng, LEASES)


def _draw_grant(rng: Random, newest: int) -> Any:
    ttls = LEASE_TTLS[:3] if _chance(rng, 70) else LEASE_TTLS
    return pb.LeaseGrantRequest(ID=_pick(rng, LEASES), TTL=_pick(rng, ttls))


def _draw_revoke(rng: Random, newest: int) -> Any:
    return pb.LeaseRevokeRequest(ID=0 if _chance(rng, 3) else _lease(rng))


def _draw_keep_alive(rng: Random, newest: int) -> Any:
    return pb.LeaseKeepAliveRequest(ID=_lease(rng))


def _draw_time_to_live(rng: Random, newest: int) -> Any:
    return pb.LeaseTimeToLiveRequest(ID=_lease(rng), keys=_chance(rng, 70))


def _draw_leases(rng: Random, newest: int) -> Any:
    return pb.LeaseLeasesRequest()


def _draw_status(rng: Random, newest: int) -> Any:
    return pb.StatusRequest()


def _draw_member_list(rng: Random, newest: int) -> Any:
    return pb.MemberListRequest(linearizable=_chance(rng, 50))


# --- transactions


def _draw_txn(rng: Random, newest: int) -> Any:
    request = _txn(rng, newest, depth=1)
    if _chance(rng, 3):
        _crowd(rng, request)
    return request


def _txn(rng: Random, newest: int, depth: int) -> Any:
    request = pb.TxnRequest()
    for _ in range(rng.randrange(3)):
        request.compare.append(_compare(rng, newest))
    for branch in (request.success, request.failure):
        # Written keys of one branch must differ: without a stack to take them from, most would collide.
        free = None if _chance(rng, 15) else _shuffled(rng, KEYS)
        for _ in range(rng.randrange(4)):
            branch.append(_op(rng, newest, depth, free))
    return request


def _shuffled(rng: Random, items: Sequence[_T]) -> list[_T]:
    at = rng.randrange(len(items))
    return [*items[at:], *items[:at]]


def _op(rng: Random, newest: int, depth: int, free: list[bytes] | None) -> Any:
    op = pb.RequestOp()
    kind = rng.randrange(100)
    if kind < 35:
        op.request_range.CopyFrom(_draw_range(rng, newest))
    elif kind < 70:
        op.request_put.CopyFrom(_draw_put(rng, newest))
        if free and op.request_put.key:
            op.request_put.key = free.pop()
    elif kind < 83:
        op.request_delete_range.CopyFrom(_draw_delete(rng, newest))
        if free and op.request_delete_range.key:
            op.request_delete_range.key = free.pop()
            if _chance(rng, 80):
                op.request_delete_range.range_end = b""
    elif kind < 97:
        if depth < _MAX_DEPTH:
            op.request_txn.CopyFrom(_txn(rng, newest, depth + 1))
        else:
            op.request_txn.SetInParent()
    return op  # the last 3 %: a set operation without a request in it


def _compare(rng: Random, newest: int) -> Any:
    compare = pb.Compare(key=_key(rng), range_end=_range_end(rng) if _chance(rng, 40) else b"")
    compare.result = _enum(rng, 4)
    compare.target = _enum(rng, 5)
    # The wrong member of the oneof, or none, is a request that a client can send.
    union = rng.randrange(7) if _chance(rng, 8) else compare.target
    if union == 0:
        compare.version = _pick(rng, [0, 1, 2, -1])
    elif union == 1:
        compare.create_revision = 0 if _chance(rng, 30) else _revision(rng, newest)
    elif union == 2:
        compare.mod_revision = 0 if _chance(rng, 30) else _revision(rng, newest)
    elif union == 3:
        compare.value = _pick(rng, VALUES)
    elif union == 4:
        compare.lease = _pick(rng, [0, *LEASES])
    return compare


def _crowd(rng: Random, request: Any) -> None:
    """As many operations (or comparisons) as are allowed, or one more, in one of the places that etcd counts."""
    count = MAX_TXN_OPS + rng.randrange(2)
    place = rng.randrange(4)
    if place == 3:
        request.compare.extend([pb.Compare(key=b"a", version=1)] * count)
        return
    nested = request.success.add().request_txn
    branch = [request.success, request.failure, nested.success][place]
    while len(branch) < count:
        branch.add().request_range.CopyFrom(pb.RangeRequest(key=b"a", count_only=True))
