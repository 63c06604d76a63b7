"""Range: which keys, at which revision, filtered, sorted and cut as etcd does it.

etcd's order of work: pick the revision; count *all* keys of the range that exist then; fetch (one more than the limit
if neither sort nor filters stand in the way); filter; sort; cut; drop values. So `count` ignores filters and limit.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.mvcc.state import KvState
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.fields import encode_varint, int_field
from etcdz.proto.tags import RANGE_COUNT, RANGE_KVS, RANGE_MORE_TRUE

_SORT_KEYS: dict[int, Callable[[Any], Any]] = {
    0: lambda kv: kv.key,
    1: lambda kv: kv.version,
    2: lambda kv: kv.create_revision,
    3: lambda kv: kv.mod_revision,
    4: lambda kv: kv.value,
}
_NONE, _DESCEND = 0, 2
_LIMIT_MAX = 1 << 62  # beyond, it is none


def range_end(end: bytes) -> bytes | None:
    """etcd's range_end as an upper bound: b"" is the single key, None (it sends a zero byte) is no bound."""
    return None if end == b"\0" else end


def run(state: KvState, request: pb.RangeRequest) -> EtcdError | bytes:
    """The fields of a RangeResponse behind its header, or COMPACTED, or FUTURE_REV.

    Inside a transaction "now" includes its own changes.
    """
    now = state.write_revision
    revision = request.revision
    if revision > now:
        return errors.FUTURE_REV
    if revision <= 0:
        revision = now
    if revision < state.compact_revision:
        return errors.COMPACTED
    lo, hi = request.key, range_end(request.range_end)
    if request.count_only:
        return int_field(RANGE_COUNT, _count(state, lo, hi, None if revision == now else revision))
    limit = request.limit
    filters = _filters(request)
    fetch = limit + 1 if 0 < limit < _LIMIT_MAX and request.sort_order == _NONE and not filters else 0
    if revision == now:
        records = records_now(state, lo, hi, fetch)
        count = len(records) if not fetch or len(records) < fetch else _count(state, lo, hi, None)
    else:
        records, count = _records_at(state, lo, hi, revision, fetch)
    if filters or request.sort_order != _NONE or request.sort_target or request.keys_only:
        records = _shape(records, filters, request)
    more = 0 < limit < len(records)
    if more:
        del records[limit:]
    parts: list[bytes] = []
    for record in records:
        parts += (RANGE_KVS, encode_varint(len(record)), record)
    if more:
        parts.append(RANGE_MORE_TRUE)
    parts.append(int_field(RANGE_COUNT, count))
    return b"".join(parts)


def run_chunk(state: KvState, request: pb.RangeRequest) -> EtcdError | bytes:
    """As run, for a range with a limit and without order or filters, though maybe with a sort target; without a count,
    so that no more of the range is looked at than is answered."""
    now = state.revision
    revision = request.revision or now
    if revision > now:
        return errors.FUTURE_REV
    if revision < max(state.compact_revision, 0):
        return errors.COMPACTED
    lo, hi, limit = request.key, range_end(request.range_end), request.limit
    if revision == now:
        records = records_now(state, lo, hi, limit + 1)
    elif hi == b"":
        records, _ = _records_at(state, lo, hi, revision, 0)
    else:
        found = islice(state.index.revisions_at(lo, hi, revision), limit + 1)
        records = [state.record_at(main, sub) for main, sub in found]
    if request.keys_only or request.sort_target:
        records = _shape(records, [], request)
    more = len(records) > limit
    del records[limit:]
    parts: list[bytes] = []
    for record in records:
        parts += (RANGE_KVS, encode_varint(len(record)), record)
    return b"".join(parts) + (RANGE_MORE_TRUE if more else b"")


def records_now(state: KvState, lo: bytes, hi: bytes | None, limit: int = 0) -> list[bytes]:
    """Encoded KeyValues of the keys that exist now, in key order; limit 0 is none."""
    return state.records_of(state.index.keys_now(lo, hi, limit))


def _records_at(state: KvState, lo: bytes, hi: bytes | None, revision: int, limit: int) -> tuple[list[bytes], int]:
    """Encoded KeyValues as of an older revision, at most limit of them (0 is none), and how many there are in all."""
    if hi == b"":
        single = state.index.at(lo, revision)
        found = [] if single is None else [single]
    else:
        found = list(state.index.revisions_at(lo, hi, revision))
    wanted = found[:limit] if limit else found
    return [state.record_at(main, sub) for main, sub in wanted], len(found)


def _count(state: KvState, lo: bytes, hi: bytes | None, revision: int | None) -> int:
    """Keys of a range that exist now (revision None) or existed at a revision."""
    index = state.index
    if hi == b"":
        found = index.latest(lo) if revision is None else index.at(lo, revision)
        return 0 if found is None else 1
    if revision is None:
        return index.count_live(lo, hi)
    return sum(1 for _ in index.revisions_at(lo, hi, revision))


def _filters(request: pb.RangeRequest) -> list[Callable[[Any], bool]]:
    """What each key has to satisfy; zero bounds do not count."""
    mod_lo, mod_hi = request.min_mod_revision, request.max_mod_revision
    create_lo, create_hi = request.min_create_revision, request.max_create_revision
    filters: list[Callable[[Any], bool]] = []
    if mod_hi:
        filters.append(lambda kv: kv.mod_revision <= mod_hi)
    if mod_lo:
        filters.append(lambda kv: kv.mod_revision >= mod_lo)
    if create_hi:
        filters.append(lambda kv: kv.create_revision <= create_hi)
    if create_lo:
        filters.append(lambda kv: kv.create_revision >= create_lo)
    return filters


def _shape(records: list[bytes], filters: list[Callable[[Any], bool]], request: pb.RangeRequest) -> list[bytes]:
    """Filters, sorts and strips. A sort target other than KEY sorts ascending even if no order is asked for.

    NB: etcd cuts to the limit *before* that implied sort, since it decides by the order that the client sent.
    Equal ones keep key order; in etcd that holds for few keys and is chance for many.
    """
    pairs = [(mvccpb.KeyValue.FromString(record), record) for record in records]
    for keep in filters:
        pairs = [pair for pair in pairs if keep(pair[0])]
    order, target = request.sort_order, request.sort_target
    if order != _NONE or target:
        sort_key = _SORT_KEYS[target]
        pairs.sort(key=lambda pair: sort_key(pair[0]), reverse=order == _DESCEND)
    if not request.keys_only:
        return [record for _, record in pairs]
    for kv, _ in pairs:
        kv.ClearField("value")
    return [kv.SerializeToString() for kv, _ in pairs]
