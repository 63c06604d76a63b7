"""Which revisions each key has: etcd's key index, packed so that a million keys cost megabytes and not gigabytes.

An entry of the index is one of two things:

    int      the key has one revision and exists:  (version - 1) << 160 | (main - created) << 96 | main << 32 | sub
    History  anything else: several revisions, or a deleted key of which a tombstone is still kept

A key that was written once is so an int of 32 bytes. The alternative, an object per key as in etcd, took 375 MB for a
million keys. Generations (the lives of a key between its deletions) need no objects either: a tombstone ends one.

Revisions are (main, sub); `main` counts transactions, `sub` the changes inside one.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import final

from sortedcontainers import SortedList

_MASK32 = (1 << 32) - 1
MASK64 = (1 << 64) - 1
_MASK96 = (1 << 96) - 1


@final
class History:
    """Revisions of one key in ascending order.

    mains     main << 1 | tombstone of each
    subs      sub of each, or None while all are 0
    created   main revision that began the life that goes on now; of no meaning while the last one is a tombstone
    version   of the last revision

    Invariant: never empty, and never one put alone (that is an int in the index).
    """

    __slots__ = ("created", "mains", "subs", "version")

    def __init__(self, created: int, version: int, mains: Iterable[int] = ()) -> None:
        self.mains = array("q", mains)
        self.subs: array[int] | None = None
        self.created = created
        self.version = version

    def append(self, main: int, sub: int, tombstone: int) -> None:
        if sub and self.subs is None:
            self.subs = array("I", bytes(4 * len(self.mains)))
        self.mains.append(main << 1 | tombstone)
        if self.subs is not None:
            self.subs.append(sub)

    def sub_at(self, i: int) -> int:
        return self.subs[i] if self.subs is not None else 0

    def drop_before(self, i: int) -> None:
        del self.mains[:i]
        if self.subs is not None:
            del self.subs[:i]
            if not any(self.subs):
                self.subs = None


def pack(main: int, sub: int, created: int, version: int) -> int:
    """The entry of a key with one revision."""
    return (version - 1) << 160 | (main - created) << 96 | main << 32 | sub


class KeyIndex:
    """All keys and their revisions.

    Invariant: `_keys` and `_fresh` together hold each key of `entries` once. New keys wait in `_fresh` until a
    range is asked for or they become too many, so that a put of a new key mostly costs no search of its place.
    Invariant: `_dead` holds the keys whose last revision is a tombstone; counting a range needs no walk over it.
    """

    __slots__ = ("_dead", "_fresh", "_keys", "entries")

    def __init__(self) -> None:
        self.entries: dict[bytes, int | History] = {}
        self._keys = SortedList()
        self._fresh: list[bytes] = []
        self._dead = SortedList()

    def __len__(self) -> int:
        return len(self.entries)

    # changes

    def put(self, key: bytes, main: int, sub: int) -> tuple[int, int]:
        """Adds a revision, newer than all others of the key. return (create revision, version) of it."""
        entry = self.entries.get(key)
        if entry is None:
            self.entries[key] = main << 32 | sub
            self._fresh.append(key)
            return main, 1
        if type(entry) is History:
            history = entry
            if history.mains[-1] & 1:
                self._dead.remove(key)
                history.created = main
                history.version = 0
        else:
            history = self.entries[key] = self._unfold(entry)
        if sub or history.subs is not None:
            history.append(main, sub, 0)
        else:
            history.mains.append(main << 1)
        history.version += 1
        return history.created, history.version

    def tombstone(self, key: bytes, main: int, sub: int) -> None:
        """Ends the life of a key. Requires: the key exists now."""
        self.tombstones((key,), main, sub)

    def tombstones(self, keys: Sequence[bytes], main: int, sub: int) -> None:
        """Ends the lives of several keys, by changes from sub on. Requires: all of them exist now."""
        entries = self.entries
        for at, key in enumerate(keys, sub):
            entry = entries[key]
            if type(entry) is not History:
                entry = entries[key] = self._unfold(entry)
            entry.append(main, at, 1)
        if len(keys) > 1:
            self._dead.update(keys)
        else:
            self._dead.add(keys[0])

    def restore(self, key: bytes, main: int, sub: int, created: int, version: int) -> None:
        """Adds the revision of a put that a store holds, in ascending order; created and version as its record says.

        Requires: `adopt` after the last one.
        """
        if key in self.entries:
            self.put(key, main, sub)
        else:
            self.entries[key] = pack(main, sub, created, version)

    def restore_tombstone(self, key: bytes, main: int, sub: int) -> None:
        """Adds a tombstone that a store holds. After a compaction at its revision it may be all that is left."""
        entry = self.entries.get(key)
        if entry is None:
            history = self.entries[key] = History(0, 0)
            history.append(main, sub, 1)
            self._dead.add(key)
        elif type(entry) is not History or not entry.mains[-1] & 1:
            self.tombstone(key, main, sub)

    def adopt(self) -> None:
        """Sorts all keys, at the end of a load."""
        self._keys = SortedList(self.entries)

    # single keys

    def latest(self, key: bytes) -> tuple[int, int, int, int] | None:
        """(main, sub, create revision, version) of a key now, None if it does not exist."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        if type(entry) is not History:
            main = entry >> 32 & MASK64
            return main, entry & _MASK32, main - (entry >> 96 & MASK64), (entry >> 160) + 1
        last = entry.mains[-1]
        if last & 1:
            return None
        return last >> 1, entry.sub_at(-1), entry.created, entry.version

    def at(self, key: bytes, revision: int) -> tuple[int, int] | None:
        """(main, sub) of a key as of a main revision, None if it did not exist then."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        if type(entry) is not History:
            main = entry >> 32 & MASK64
            return (main, entry & _MASK32) if main <= revision else None
        mains = entry.mains
        i = bisect_right(mains, revision << 1 | 1) - 1
        if i < 0 or mains[i] & 1:
            return None
        return mains[i] >> 1, entry.sub_at(i)

    def details_at(self, key: bytes, revision: int) -> tuple[int, int, int, int] | None:
        """(main, sub, create revision, version) of a key as of a main revision, None if it did not exist then.

        NB: a version of 0 says that the last two are not known here: they are in the record.
        """
        entry = self.entries.get(key)
        if entry is None:
            return None
        if type(entry) is not History:
            main = entry >> 32 & MASK64
            if main > revision:
                return None
            return main, entry & _MASK32, main - (entry >> 96 & MASK64), (entry >> 160) + 1
        mains = entry.mains
        last = len(mains) - 1
        i = last if mains[last] <= revision << 1 | 1 else bisect_right(mains, revision << 1 | 1) - 1
        if i < 0 or mains[i] & 1:
            return None
        main, sub = mains[i] >> 1, entry.sub_at(i)
        if i == last:
            return main, sub, entry.created, entry.version
        if any(later & 1 for later in mains[i + 1 :]):
            return main, sub, 0, 0  # of an earlier life
        return main, sub, entry.created, entry.version - (last - i)

    def revisions_since(self, key: bytes, revision: int) -> Iterator[tuple[int, int, bool]]:
        """(main, sub, tombstone) of all changes of a key from a main revision on, ascending."""
        entry = self.entries.get(key)
        if type(entry) is History:
            for i in range(bisect_left(entry.mains, revision << 1), len(entry.mains)):
                yield entry.mains[i] >> 1, entry.sub_at(i), bool(entry.mains[i] & 1)
        elif entry is not None:
            main = entry >> 32 & MASK64
            if main >= revision:
                yield main, entry & _MASK32, False

    # ranges; hi None is no bound

    def keys_now(self, lo: bytes, hi: bytes | None, limit: int = 0) -> list[bytes]:
        """Keys in [lo, hi) that exist now, ascending, limit 0 for all. hi b"" is the one key lo."""
        if hi == b"":
            return [lo] if self.latest(lo) is not None else []
        walk = self._walk(lo, hi)
        if self._dead:
            if not self.count_live(lo, hi):
                return []  # and not a walk over all that a large delete has left until it is compacted
            walk = filter(self.latest, walk)
        return list(islice(walk, limit or None))

    def keys_behind(
        self, lo: bytes, hi: bytes | None, count: int, after: bytes | None = None, is_descending: bool = False
    ) -> list[bytes]:
        """Up to count keys in [lo, hi) that the index has, those that do not exist now included, in order; after: only
        those behind this one. The index may change between two calls: each finds its place anew.

        Requires: `merge` since the first put of a key that is to be found
        """
        keys = self._keys
        if is_descending:
            bound = hi if after is None else after
            return (
                []
                if bound is not None and bound <= lo
                else list(islice(keys.irange(lo, bound, (True, False), reverse=True), count))
            )
        if hi is not None and hi <= lo:
            return []
        start = lo if after is None else after
        return list(islice(keys.irange(start, hi, (after is None, False)), count))

    def revisions_at(self, lo: bytes, hi: bytes | None, revision: int) -> Iterator[tuple[int, int]]:
        """(main, sub) as of a main revision of the keys in [lo, hi) that existed then, in key order."""
        at = self.at
        for key in self._walk(lo, hi):
            found = at(key, revision)
            if found is not None:
                yield found

    def count_live(self, lo: bytes, hi: bytes | None) -> int:
        """How many keys in [lo, hi) exist now; logarithmic."""
        self.merge()
        return max(0, self._span(self._keys, lo, hi) - self._span(self._dead, lo, hi))

    def merge(self, spare: int = 0) -> None:
        """Sorts the new keys in, all but `spare` of them."""
        fresh = self._fresh
        if len(fresh) > spare:
            self._keys.update(fresh[spare:])
            del fresh[spare:]

    def _walk(self, lo: bytes, hi: bytes | None) -> Iterable[bytes]:
        self.merge()
        if hi is not None and hi <= lo:
            return ()
        walk: Iterable[bytes] = self._keys.irange(lo, hi, (True, False))
        return walk

    @staticmethod
    def _span(keys: SortedList, lo: bytes, hi: bytes | None) -> int:
        if not keys:
            return 0
        end = len(keys) if hi is None else keys.bisect_left(hi)
        return int(end - keys.bisect_left(lo))

    # compaction

    def compact_record(
        self, key: bytes, main: int, sub: int, compacted: int, finished: int
    ) -> tuple[bool, tuple[int, int] | None]:
        """What a compaction does with the record (main, sub) of key, main <= compacted; the index forgets what goes.

        finished   where the compaction before it was
        return     (whether this record is kept, the put that was kept there and goes now: (main, sub) or None)

        Kept is a key's last revision up to the compacted one, unless it is a tombstone of an older revision. The
        tombstone *at* the compacted revision stays until the next compaction, for watchers that start there.
        Requires: a compaction visits the records in ascending order. It may leave out those that the one before kept.
        """
        entry = self.entries.get(key)
        if entry is None:
            return False, None
        if type(entry) is not History:
            return entry & _MASK96 == main << 32 | sub, None
        history = entry
        mains = history.mains
        first = mains[0]
        if first >> 1 > main:
            return False, None  # forgotten with the first record of the key that was visited
        obsolete = None
        last = bisect_right(mains, compacted << 1 | 1) - 1
        if last > 0:
            if first >> 1 < finished:
                obsolete = first >> 1, history.sub_at(0)
            history.drop_before(last)
            first = mains[0]
        kept = first >> 1 == main and history.sub_at(0) == sub
        if kept and first & 1 and main < compacted:
            kept = False
            history.drop_before(1)
        if len(mains) <= 1:
            self._fold(key, history)
        return kept, obsolete

    def shows_any(self, revision: int) -> bool:
        """Whether any key existed at a main revision."""
        return next(iter(self.revisions_at(b"", None, revision)), None) is not None

    def _unfold(self, entry: int) -> History:
        main, sub = entry >> 32 & MASK64, entry & _MASK32
        history = History(main - (entry >> 96 & MASK64), (entry >> 160) + 1, (main << 1,))
        if sub:
            history.subs = array("I", (sub,))
        return history

    def _fold(self, key: bytes, history: History) -> None:
        """Back to an int, or out of the index, if that is all that is left."""
        mains = history.mains
        if not mains:
            del self.entries[key]
            self.merge()
            self._keys.remove(key)
            self._dead.remove(key)
        elif len(mains) == 1 and not mains[0] & 1:
            self.entries[key] = pack(mains[0] >> 1, history.sub_at(0), history.created, history.version)
