"""Holds what a store contains against what its writers were told (load.py).

    contents = read_all(channel)
    check(record, contents)          raises CheckFailed with the first few of all differences

What is checked:

    acknowledged        is there, whole, with the acknowledged revision
    refused             is not there (an error that says that nothing was done)
    unacknowledged      is there whole, or not at all: never one key of a pair, never a drop's marker beside its victim
    written once        unique keys have version 1; no two calls share a revision; counters have counted every marker
    no holes            each revision from 2 to the current one belongs to exactly one call
    no strangers        every key in the store is one that a client sent
    real time           a call that began after another was acknowledged has the higher revision; a linearizable read
                        sees at least that
    history             a read at an older revision sees exactly what had been written by then
    hash                HashKV is that of a model to which the same calls were applied, each once (model.py)
"""

import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from etcdz.proto import etcdserverpb as pb
from tests.process import model
from tests.process.load import COUNT, COUNTERS, DROP, PEEK, READS, Op, Record, counter_key, is_value_of, unary

_PAGE: Final = 2_000
_PROBLEMS_SHOWN: Final = 12
_PAST_READS: Final = 8
READ_TIMEOUT_S: Final = 60.0


class CheckFailed(AssertionError):
    """The store and the record differ."""


class Stored(NamedTuple):
    """A key as the store has it. number: of a counter or a count's marker."""

    create: int
    mod: int
    version: int
    whole: bool
    number: tuple[int, int] | None


class Contents(NamedTuple):
    """All of a store at one revision, and the member's place in the raft log then."""

    revision: int
    term: int
    raft_index: int
    applied_index: int
    keys: dict[bytes, Stored]
    past_counts: dict[int, int]
    """Revision -> how many keys there were."""
    hash_kv: int | None
    """None: not asked for."""


class Summary(NamedTuple):
    """What was checked, for people."""

    revision: int
    acknowledged: int
    unknown_done: int
    """Calls without an answer that turned out to be done."""
    unknown_not_done: int
    refused: int


# ---- reading


def read_all(channel: Any, rng: random.Random | None = None) -> Contents:
    """The store at the revision that it has now, read in pages."""
    get = unary(channel, "KV/Range", pb.RangeResponse)
    now = get(pb.RangeRequest(key=b"\0", range_end=b"\0", count_only=True), timeout=READ_TIMEOUT_S)
    revision = now.header.revision
    keys = {kv.key: _stored(kv) for kv in _pages(get, revision)}
    if len(keys) != now.count:
        raise CheckFailed(f"{now.count} keys counted, {len(keys)} read at revision {revision}")
    status = unary(channel, "Maintenance/Status", pb.StatusResponse)(pb.StatusRequest(), timeout=READ_TIMEOUT_S)
    return Contents(
        revision,
        now.header.raft_term,
        status.raftIndex,
        status.raftAppliedIndex,
        keys,
        _past_counts(get, revision, rng or random.Random(revision)),
        hash_kv(channel, revision),
    )


def hash_kv(channel: Any, revision: int) -> int:
    call = unary(channel, "Maintenance/HashKV", pb.HashKVResponse)
    return int(call(pb.HashKVRequest(revision=revision), timeout=READ_TIMEOUT_S).hash)


def _pages(get: Any, revision: int) -> Iterator[Any]:
    start = b"\0"
    while True:
        request = pb.RangeRequest(key=start, range_end=b"\0", revision=revision, limit=_PAGE)
        page = get(request, timeout=READ_TIMEOUT_S)
        yield from page.kvs
        if not page.more:
            return
        start = page.kvs[-1].key + b"\0"


def _past_counts(get: Any, revision: int, rng: random.Random) -> dict[int, int]:
    wanted = {rng.randint(1, revision) for _ in range(_PAST_READS)} if revision > 1 else set()
    return {
        at: get(pb.RangeRequest(key=b"\0", range_end=b"\0", revision=at, count_only=True), timeout=READ_TIMEOUT_S).count
        for at in sorted(wanted)
    }


def _stored(kv: Any) -> Stored:
    number = None
    if kv.key.startswith((b"counter/", b"count/")):
        counter, _, value = kv.value.partition(b"/")
        whole = counter.isdigit() and value.isdigit()
        number = (int(counter), int(value)) if whole else None
    else:
        whole = is_value_of(kv.key, kv.value)
    return Stored(kv.create_revision, kv.mod_revision, kv.version, whole, number)


# ---- checking


def check(record: Record, contents: Contents) -> Summary:
    """raises CheckFailed"""
    checked = _Check(record, contents)
    checked.run()
    return checked.summary()


class _Check:
    def __init__(self, record: Record, contents: Contents) -> None:
        self.record = record
        self.contents = contents
        self.keys = contents.keys
        self.problems: list[str] = []
        self.done: dict[int, Op] = {}
        """Revision -> the call that made it."""
        self.dropped: dict[bytes, Op] = {}
        """Victim -> the drop that was done."""
        self.unknown_done = 0
        self.unknown_not_done = 0

    def run(self) -> None:
        for op in self.record.ops:
            self._check_op(op)
        for op in self.record.ops:
            self._check_victims(op)
        self._check_revisions()
        self._check_counters()
        self._check_strangers()
        self._check_real_time()
        self._check_past()
        self._check_raft()
        if not self.problems and self.contents.hash_kv is not None:
            self._check_hash()
        if self.problems:
            more = len(self.problems) - _PROBLEMS_SHOWN
            lines = self.problems[:_PROBLEMS_SHOWN] + ([f"... and {more} more"] if more > 0 else [])
            raise CheckFailed("\n".join(["the store and the record differ:", *lines]))

    def summary(self) -> Summary:
        ops = self.record.ops
        return Summary(
            self.contents.revision,
            sum(op.acknowledged for op in ops),
            self.unknown_done,
            self.unknown_not_done,
            sum(op.refused for op in ops),
        )

    def _say(self, what: str, op: Op | None = None) -> None:
        self.problems.append(f"{what}: {op!r}" if op is not None else what)

    # ---- one call

    def _check_op(self, op: Op) -> None:
        """Which revision the call made, if any. A dropped key is gone: its call was acknowledged, so that is known."""
        found = [self.keys.get(key) for key in op.keys]
        there = [stored for stored in found if stored is not None]
        for stored in there:
            self._check_stored(op, stored)
        if len({stored.mod for stored in there}) > 1:
            self._say("half of it at another revision", op)
        if op.acknowledged and op.applied:
            self._note_done(op, op.revision)
            if any(stored.mod != op.revision for stored in there):
                self._say(f"stored at revision {there[0].mod}", op)
            return
        if there and len(there) < len(op.keys):
            self._say("only half of it is there", op)
        if there and (op.acknowledged or op.refused):
            self._say("is there, and should not be", op)
        if there:
            self._note_done(op, there[0].mod)
        if op.wrong:
            self._say(op.wrong, op)
        if not op.acknowledged and not op.refused and op.kind not in READS:
            self.unknown_done += bool(there)
            self.unknown_not_done += not there

    def _check_stored(self, op: Op, stored: Stored) -> None:
        if not stored.whole:
            self._say("its value is not what was sent", op)
        if stored.version != 1 or stored.create != stored.mod:
            self._say(f"written {stored.version} times, first at revision {stored.create}", op)
        if op.kind == COUNT and stored.number and stored.number[0] != op.counter:
            self._say("counts another counter", op)

    def _note_done(self, op: Op, revision: int) -> None:
        other = self.done.setdefault(revision, op)
        if other is not op:
            self._say(f"revision {revision} belongs to {other!r} as well as to", op)
        if op.kind == DROP:
            self.dropped[op.victim] = op

    def _check_victims(self, op: Op) -> None:
        """Acknowledged keys are there unless dropped, and a drop's marker is there exactly if its victim is not."""
        if not op.acknowledged or not op.applied:
            return
        for key in op.keys:
            if (key in self.keys) == (key in self.dropped):
                self._say("is there although dropped" if key in self.keys else "acknowledged, and lost", op)

    # ---- all calls together

    def _check_revisions(self) -> None:
        last = self.contents.revision
        holes = [revision for revision in range(2, last + 1) if revision not in self.done]
        if holes:
            self._say(f"{len(holes)} revisions up to {last} belong to no call: {holes[:5]}")
        beyond = sorted(revision for revision in self.done if revision > last)
        if beyond:
            self._say(f"{len(beyond)} calls beyond the store's revision {last}", self.done[beyond[0]])

    def _check_counters(self) -> None:
        counts = [(revision, op) for revision, op in sorted(self.done.items()) if op.kind == COUNT]
        for counter in range(COUNTERS):
            markers = [(revision, op, self.keys.get(op.keys[0])) for revision, op in counts if op.counter == counter]
            for expected, (_, op, marker) in enumerate(markers, start=1):
                if marker is not None and marker.number != (counter, expected):
                    self._say(f"counted {marker.number}, expected {expected}", op)
            stored = self.keys.get(counter_key(counter))
            seen = (stored.version, stored.mod, stored.number) if stored else None
            wanted = (len(markers), markers[-1][0], (counter, len(markers))) if markers else None
            if seen != wanted:
                self._say(f"counter {counter} is (version, revision, value) {seen}, its markers say {wanted}")

    def _check_strangers(self) -> None:
        sent = {key for op in self.record.ops for key in op.keys} | {counter_key(n) for n in range(COUNTERS)}
        for key in self.keys.keys() - sent:
            self._say(f"nobody wrote {key!r}")

    def _check_real_time(self) -> None:
        """Acknowledged calls in the order in which they began: each above all that had been acknowledged by then."""
        ended = sorted((op for op in self.record.ops if op.acknowledged and op.kind != PEEK), key=lambda op: op.ended_s)
        highest, upto = 0, 0
        for op in sorted(ended, key=lambda op: op.sent_s):
            while upto < len(ended) and ended[upto].ended_s < op.sent_s:
                highest = max(highest, ended[upto].revision)
                upto += 1
            if op.revision < highest or (op.applied and op.revision == highest):
                self._say(f"began when revision {highest} was known", op)

    def _check_past(self) -> None:
        """How many keys there were at older revisions, from the calls alone."""
        for at, count in self.contents.past_counts.items():
            born = sum(len(op.keys) for revision, op in self.done.items() if revision <= at)
            dropped = sum(op.kind == DROP for revision, op in self.done.items() if revision <= at)
            counters = {op.counter for revision, op in self.done.items() if revision <= at and op.kind == COUNT}
            if count != born - dropped + len(counters):
                self._say(f"{count} keys at revision {at}, expected {born - dropped + len(counters)}")

    def _check_hash(self) -> None:
        expected = model.hash_kv(self.done)
        if self.contents.hash_kv != expected:
            self._say(f"HashKV is {self.contents.hash_kv}, of a model with the same calls {expected}")

    def _check_raft(self) -> None:
        """Each revision came of an entry of its own, and terms do not go back."""
        contents = self.contents
        if contents.term < self.record.term:
            self._say(f"term {contents.term} after {self.record.term}")
        if contents.applied_index > contents.raft_index or contents.applied_index < contents.revision - 1:
            self._say(f"revision {contents.revision}, applied {contents.applied_index}, log {contents.raft_index}")
