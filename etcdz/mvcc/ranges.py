"""Range: which keys, at which revision, filtered, sorted and cut as etcd does it.

etcd's order of work: pick the revision; count *all* keys of the range that exist then; fetch (one more than the limit
if neither sort nor filters stand in the way); filter; sort; cut; drop values. So `count` ignores filters and limit.

Here the index answers what it can, since records cost ten times as much: counts, filters, and every order but that of
values need none that is not in the answer, and key order needs no sorting. All of it goes in steps (steps.py): between
two of them the state may change, so what is read is pinned to a revision. Only a compaction above that may not take
records out meanwhile.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from etcdz.api import errors
from etcdz.api.errors import Code, EtcdError
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.ranking import Item, Ranking
from etcdz.mvcc.state import KvState
from etcdz.mvcc.steps import STEP_BYTES, STEP_KEYS, STEP_RECORDS, Steps
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.fields import bytes_field, encode_varint, int_field
from etcdz.proto.tags import (
    KV_CREATE_REVISION,
    KV_KEY,
    KV_LEASE,
    KV_MOD_REVISION,
    KV_VERSION,
    RANGE_COUNT,
    RANGE_KVS,
    RANGE_MORE_TRUE,
)

_COUNT_ONE: Final = int_field(RANGE_COUNT, 1)
_KEY, _VERSION, _CREATE, _MOD, _VALUE = range(5)
_NONE, _DESCEND = 0, 2
_LIMIT_MAX: Final = 1 << 62  # beyond, it is none
_CACHED_KEYS_MAX: Final = 10_000  # a range of more keys would drive all else out of the cache of records
_SORTED_BYTES_MAX: Final = 256 << 20
_SCAN_SHARE: Final = 4  # for a larger part of all records than one in so many, they are read in the order of the store
_ITEM_BYTES: Final = 200  # what ranking a key costs beside its value
_TOO_MUCH_TO_SORT: Final = EtcdError(
    "TooMuchToSort", Code.RESOURCE_EXHAUSTED, "etcdserver: too much to sort, use a limit or the order of keys"
)


def range_end(end: bytes) -> bytes | None:
    """etcd's range_end as an upper bound: b"" is the single key, None (it sends a zero byte) is no bound."""
    return None if end == b"\0" else end


def resolve(state: KvState, request: pb.RangeRequest, now: int) -> EtcdError | int:
    """The revision that is to be read, or COMPACTED, or FUTURE_REV. now: the latest"""
    revision: int = request.revision
    if revision > now:
        return errors.FUTURE_REV
    if revision <= 0:
        return now
    return errors.COMPACTED if revision < state.compact_revision else revision


def resolve_chunk(state: KvState, request: pb.RangeRequest, now: int) -> EtcdError | int:
    """The same for a chunk of a RangeStream."""
    revision: int = request.revision or now
    if revision > now:
        return errors.FUTURE_REV
    return errors.COMPACTED if revision < max(state.compact_revision, 0) else revision


def steps(state: KvState, request: pb.RangeRequest, revision: int, answer: Answer) -> Steps[None]:
    """Adds the fields of a RangeResponse behind its header. revision: of `resolve`

    Inside a transaction "now" includes its own changes.
    """
    lo, hi = request.key, range_end(request.range_end)
    state.index.merge()
    count = yield from _count(state, lo, hi, revision)
    if not request.count_only:
        more = yield from _add_records(state, _Query.of(request, revision, count), answer)
        if more:
            answer.add(RANGE_MORE_TRUE)
    answer.add(int_field(RANGE_COUNT, count))


def add_single(state: KvState, request: pb.RangeRequest, revision: int, answer: Answer) -> bool:
    """The same at once, for one key without options; False: it is another range. What orders or cuts has no effect."""
    if request.range_end or request.count_only or request.keys_only or _filters(request) is not None:
        return False
    record = state.record_as_of(request.key, revision)
    if record is not None:
        answer.add(RANGE_KVS + encode_varint(len(record)))
        answer.add(record)
        answer.add(_COUNT_ONE)
    return True


def chunk_steps(state: KvState, request: pb.RangeRequest, revision: int, answer: Answer) -> Steps[None]:
    """As steps, for a range with a limit and without order or filters, though maybe with a sort target; without a
    count, so that no more of the range is looked at than is answered."""
    state.index.merge()
    more = yield from _add_records(state, _Query.of(request, revision, request.limit), answer)
    if more:
        answer.add(RANGE_MORE_TRUE)


def count_now(state: KvState, lo: bytes, hi: bytes | None) -> int:
    """Keys of a range that exist now; takes no time."""
    if hi == b"":
        return 1 if state.index.latest(lo) is not None else 0
    return state.index.count_live(lo, hi)


def _count(state: KvState, lo: bytes, hi: bytes | None, revision: int) -> Steps[int]:
    """Keys of a range that existed at a revision."""
    index = state.index
    if revision == state.write_revision:
        return count_now(state, lo, hi)
    count = 0
    for keys in _walk(state, lo, hi, STEP_KEYS):
        if count or len(keys) == STEP_KEYS:
            yield
        count += sum([index.at(key, revision) is not None for key in keys])
    return count


def _walk(
    state: KvState, lo: bytes, hi: bytes | None, count: int, is_descending: bool = False
) -> Iterator[list[bytes]]:
    """Keys of a range in order, so many at a time. Not all of them need to have existed."""
    if hi == b"":
        yield [lo]
        return
    keys: list[bytes] = state.index.keys_behind(lo, hi, count, None, is_descending)
    while keys:
        yield keys
        if len(keys) < count:
            return
        keys = state.index.keys_behind(lo, hi, count, keys[-1], is_descending)


def walk(state: KvState, lo: bytes, hi: bytes | None) -> Iterator[list[bytes]]:
    """Keys of a range, a step's worth at a time. Not all of them need to exist."""
    state.index.merge()
    return _walk(state, lo, hi, STEP_KEYS)


def read_all(state: KvState, lo: bytes, hi: bytes | None, revision: int) -> Iterator[list[bytes]]:
    """Encoded KeyValues of a range as of a main revision, a step's worth at a time."""
    state.index.merge()
    for keys in _walk(state, lo, hi, STEP_RECORDS):
        at = 0
        while at < len(keys):
            records, at = state.records_as_of(keys, at, revision, STEP_BYTES, False)
            yield records


class _Filters(NamedTuple):
    """Bounds of revisions that each key has to satisfy, both inclusive."""

    mod_lo: int
    mod_hi: int
    create_lo: int
    create_hi: int

    def passes(self, created: int, main: int) -> bool:
        return self.mod_lo <= main <= self.mod_hi and self.create_lo <= created <= self.create_hi


class _Query(NamedTuple):
    """What a request asks for.

    limit      0 for none
    fetch      so many keys in key order are all that is looked at, 0: all
    sort       by what, _KEY for the order in which keys are walked over
    size       how many keys there are, filters and limit aside
    is_cached  whether what is read goes into the cache
    """

    lo: bytes
    hi: bytes | None
    revision: int
    limit: int
    fetch: int
    sort: int
    is_descending: bool
    filters: _Filters | None
    keys_only: bool
    size: int
    is_cached: bool

    @classmethod
    def of(cls, request: pb.RangeRequest, revision: int, count: int) -> "_Query":
        """NB: a sort target other than KEY sorts ascending even if no order is asked for, and etcd cuts to the limit
        *before* that, since it decides by the order that the client sent."""
        limit = request.limit if 0 < request.limit < _LIMIT_MAX else 0
        filters = _filters(request)
        is_plain = request.sort_order == _NONE and filters is None
        return cls(
            request.key,
            range_end(request.range_end),
            revision,
            limit,
            limit + 1 if limit and is_plain else 0,
            request.sort_target,
            request.sort_order == _DESCEND,
            filters,
            request.keys_only,
            count,
            count <= _CACHED_KEYS_MAX,
        )


def _filters(request: pb.RangeRequest) -> _Filters | None:
    """Zero bounds do not count."""
    bounds = (
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )
    if not any(bounds):
        return None
    mod_lo, mod_hi, create_lo, create_hi = bounds
    return _Filters(
        mod_lo or -_LIMIT_MAX, mod_hi or 2 * _LIMIT_MAX, create_lo or -_LIMIT_MAX, create_hi or 2 * _LIMIT_MAX
    )


def _add_records(state: KvState, query: _Query, answer: Answer) -> Steps[bool]:
    """return whether there are more than the limit lets through"""
    if query.sort == _KEY:
        return (yield from _add_in_order(state, query, answer))
    ranking = Ranking(query.limit, query.is_descending)
    found = yield from (_rank_values if query.sort == _VALUE else _rank_details)(state, query, ranking, answer)
    ranked = ranking.ranked()
    if query.limit:
        ranked = islice(ranked, query.limit)
    while not answer.is_lost and (some := list(islice(ranked, STEP_RECORDS))):
        if query.sort == _VALUE:
            answer.add_messages(RANGE_KVS, [_strip(record) for record in some] if query.keys_only else some)
            yield
        else:
            yield from _add(state, query, some, answer)
    return 0 < query.limit < found


def _add_in_order(state: KvState, query: _Query, answer: Answer) -> Steps[bool]:
    """In key order, forwards or backwards."""
    limit = left = query.limit
    step = STEP_KEYS if query.filters is not None else min(STEP_RECORDS, limit + 1 if limit else STEP_RECORDS)
    for keys in _walk(state, query.lo, query.hi, step, query.is_descending):
        if query.filters is not None:
            keys = [key for key, _ in _filtered(state, query, keys)]
        at = 0
        while at < len(keys) and not answer.is_lost:
            records, at = _read(state, query, keys, at)
            if limit:
                answer.add_messages(RANGE_KVS, records[:left])
                left -= len(records)
                if left < 0:
                    return True
            else:
                answer.add_messages(RANGE_KVS, records)
            yield
        yield
    return False


def _add(state: KvState, query: _Query, keys: list[bytes], answer: Answer) -> Steps[None]:
    """Records of these keys, in their order."""
    at = 0
    while at < len(keys):
        records, at = _read(state, query, keys, at)
        answer.add_messages(RANGE_KVS, records)
        yield


def _read(state: KvState, query: _Query, keys: list[bytes], at: int) -> tuple[list[bytes], int]:
    """As KvState.records_as_of, without values if the client wants none."""
    if not query.keys_only:
        return state.records_as_of(keys, at, query.revision, STEP_BYTES, query.is_cached)
    records = [bare_record(state, key, query.revision) for key in keys[at:]]
    return [record for record in records if record is not None], len(keys)


def _filtered(state: KvState, query: _Query, keys: list[bytes]) -> Iterable[tuple[bytes, tuple[int, int, int, int]]]:
    """(key, its details) of those keys that existed and satisfy the filters."""
    filters, revision, details_at = query.filters, query.revision, state.index.details_at
    for key in keys:
        found = details_at(key, revision)
        if found is None:
            continue
        if not found[3]:
            kv = mvccpb.KeyValue.FromString(state.record_at(found[0], found[1]))
            found = found[0], found[1], kv.create_revision, kv.version
        if filters is None or filters.passes(found[2], found[0]):
            yield key, found


def _rank_details(state: KvState, query: _Query, ranking: Ranking, answer: Answer) -> Steps[int]:
    """Ranks keys by what the index knows. return how many"""
    column = {_VERSION: 3, _CREATE: 2, _MOD: 0}[query.sort]
    seen = 0
    for keys in _walk(state, query.lo, query.hi, min(STEP_KEYS, query.fetch or STEP_KEYS)):
        batch: list[Item] = [(details[column], key) for key, details in _filtered(state, query, keys)]
        if query.fetch:
            del batch[query.fetch - seen :]
        seen += len(batch)
        ranking.add(batch)
        if not ranking.takes_any_order and seen * _ITEM_BYTES > _SORTED_BYTES_MAX:
            answer.fail(_TOO_MUCH_TO_SORT)
        if answer.is_lost or seen == query.fetch:
            break
        yield
    return seen


def _rank_values(state: KvState, query: _Query, ranking: Ranking, answer: Answer) -> Steps[int]:
    """Ranks records by their values. return how many"""
    if _is_scanned(state, query, ranking):
        return (yield from _scan_values(state, query, ranking))
    parse = mvccpb.KeyValue.FromString
    seen = size = 0
    for records in _records_to_rank(state, query):
        if query.fetch:
            del records[query.fetch - seen :]
        seen += len(records)
        batch: list[Item] = []
        for record in records:
            kv = parse(record)
            batch.append((kv.value, kv.key, record))
        ranking.add(batch)
        if not ranking.takes_any_order:
            size += sum([2 * len(record) + _ITEM_BYTES for record in records])
        if size > _SORTED_BYTES_MAX:
            answer.fail(_TOO_MUCH_TO_SORT)
        if answer.is_lost or seen == query.fetch:
            break
        yield
    return seen


def _records_to_rank(state: KvState, query: _Query) -> Iterator[list[bytes]]:
    """All records that the query looks at, in the order of their keys."""
    for keys in _walk(state, query.lo, query.hi, min(STEP_RECORDS, query.fetch or STEP_RECORDS)):
        if query.filters is not None:
            keys = [key for key, _ in _filtered(state, query, keys)]
        at = 0
        while at < len(keys):
            records, at = state.records_as_of(keys, at, query.revision, STEP_BYTES, query.is_cached)
            yield records


def _is_scanned(state: KvState, query: _Query, ranking: Ranking) -> bool:
    """Whether values are ranked in the order of the store. A record takes a sixth of the time there of one that is
    looked for, and of most no more than the value is looked at."""
    if not ranking.takes_any_order or query.fetch or query.filters is not None or query.hi == b"":
        return False
    return query.size * _SCAN_SHARE > state.records_max


def _scan_values(state: KvState, query: _Query, ranking: Ranking) -> Steps[int]:
    """Ranks records by their values, in the order of the store. return how many keys there are"""
    parse = mvccpb.KeyValue.FromString
    lo, hi, is_descending = query.lo, query.hi, query.is_descending
    for rows in state.rows(query.revision):
        batch: list[Item] = []
        worst, worst_key = ranking.worst or (None, b"")
        for name, record in rows:
            kv = parse(record)
            value, key = kv.value, kv.key
            if worst is not None:
                if value == worst:
                    if key > worst_key:
                        continue
                elif (value < worst) is is_descending:
                    continue
            if lo <= key and (hi is None or key < hi) and state.shows(name, key, query.revision):
                batch.append((value, key, record))
        ranking.add(batch)
        yield
    return query.size


def bare_record(state: KvState, key: bytes, revision: int) -> bytes | None:
    """Encoded KeyValue without its value, as of a main revision; None if the key did not exist then.

    The index knows all but the lease, which is that of now if the key has not changed since.
    """
    found = state.index.details_at(key, revision)
    if found is None:
        return None
    main, sub, created, version = found
    leases = state.leases
    if not version or key in leases.orphans or state.index.latest(key) != found:
        return _strip(state.record_at(main, sub))
    lease_id = leases.lease_of.get(key, 0)
    parts = (
        bytes_field(KV_KEY, key),
        KV_CREATE_REVISION,
        encode_varint(created),
        KV_MOD_REVISION,
        encode_varint(main),
        KV_VERSION,
        encode_varint(version),
        int_field(KV_LEASE, lease_id),
    )
    return b"".join(parts)


def _strip(record: bytes) -> bytes:
    kv: Any = mvccpb.KeyValue.FromString(record)
    kv.ClearField("value")
    stripped: bytes = kv.SerializeToString()
    return stripped
