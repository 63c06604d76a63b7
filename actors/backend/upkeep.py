"""Long work of the backend, in slices between its turns: compactions, hashes, defragmentation, checks of the data.

What a turn has applied is written and answered before a slice begins, so that no client waits longer than one slice.
The compactor asks for each slice of a compaction; the others go on by themselves. After a restart of this process they
begin anew, since listeners ask a new backend again.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from actors.backend.compaction_times import CompactionTimes
from actors.runtime.link import Links
from etcdz import limits
from etcdz.api import errors
from etcdz.api.errors import Code
from etcdz.api.methods import DEFRAGMENT, HASH, HASH_KV, WAIT_COMPACTION
from etcdz.config.literals import format_duration
from etcdz.ipc.messages import CompactionState, CompactSlice
from etcdz.mvcc.hashes import HashJob, HashKvJob, KvHash
from etcdz.mvcc.mvcc import Mvcc, Outcome
from etcdz.mvcc.peer_hashes import compare_with_before
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import Store
from etcdz.telemetry.histogram import Doublings

_NEVER: Final = float("inf")


class Readers(Protocol):
    """Reads that go on between turns."""

    def holds_up(self, target: int, now: float) -> bool:
        """Whether a compaction at this revision has to wait for them."""


class Host(Protocol):
    """What upkeep needs of the backend."""

    mvcc: Mvcc
    links: Links
    log: Any

    @property
    def long_reads(self) -> Readers: ...
    def commit_pending(self) -> None: ...
    def raise_corrupt(self) -> None: ...


class _Job(NamedTuple):
    """step(records) -> outcome, or None: more to do. done: takes the outcome."""

    step: Callable[[int], Outcome | None]
    done: Callable[[Outcome], None]


class Upkeep:
    """See the module.

    next_at    when `work` wants to be called, on the monotonic clock; None: not at all
    is_told    what the compactor knows: whether a compaction is under way
    long       method tag -> how such a call begins: it ends with an answer some time later
    """

    def __init__(self, host: Host, answer: Callable[[int, int, int, bytes], None], check_every_s: float = 0.0) -> None:
        """answer: takes (slot, request id, gRPC code, body) of a call. check_every_s: the data is checked; 0: never"""
        self._host = host
        self._answer = answer
        self.next_at: float | None = None
        self.is_told = False
        self.long: dict[int, Callable[[int, int, bytes], None]] = {
            WAIT_COMPACTION: self._wait_for_compaction,
            HASH: self._hash,
            HASH_KV: self._hash_kv,
            DEFRAGMENT: self._defragment,
        }
        self._compact_slice: CompactSlice | None = None
        self._compact_at = 0.0
        self._notes = b""
        self._compaction_waiters: list[tuple[int, int]] = []
        self._jobs: deque[_Job] = deque()
        self._job_at = _NEVER
        self._defrag_waiters: list[tuple[int, int]] = []
        self._defrag_at = _NEVER
        self._defrag_began = 0.0
        self._defrag_sizes = (0, 0)
        self._defrag_waiting: list[tuple[int, int]] = []
        self._hash_times, self._hash_kv_times = Doublings(10_000_000, 15), Doublings(10_000_000, 15)
        self._defrag_times = Doublings(100_000_000, 13)
        self._compacted_at_s = 0
        self._compaction_times = CompactionTimes()
        self._check_every_s = check_every_s
        self._check_at = time.monotonic() + check_every_s if check_every_s > 0 else _NEVER
        self._known_hash: KvHash | None = None
        self._plan()

    def _plan(self) -> None:
        compact_at = self._compact_at if self._compact_slice is not None else _NEVER
        at = min(compact_at, self._job_at, self._defrag_at, self._check_at)
        self.next_at = None if at == _NEVER else at

    # compaction

    def on_compact_slice(self, message: CompactSlice) -> None:
        self._notes = message.notes or self._notes
        if message.records:
            self._compact_slice = message
            self._compact_at = 0.0
            self._plan()
        else:
            self.tell_compactor()

    def tell_compactor(self) -> None:
        """Where the compaction stands."""
        mvcc = self._host.mvcc
        self.is_told = mvcc.compaction.running
        message = CompactionState(mvcc.state.revision, mvcc.state.compact_revision, self.is_told, self._notes)
        self._host.links.send("compactor", message)

    def _wait_for_compaction(self, slot: int, request_id: int, body: bytes) -> None:
        self._compaction_waiters.append((slot, request_id))
        if not self._host.mvcc.compaction.running:
            self._end_compaction()

    def _end_compaction(self) -> None:
        """NB: what a physical compaction answers names the revision at its end, as in etcd."""
        for slot, request_id in self._compaction_waiters:
            self._answer(slot, request_id, Code.OK, self._host.mvcc.header())
        self._compaction_waiters = []

    def _do_slice(self, message: CompactSlice, now: float) -> None:
        if self._host.long_reads.holds_up(self._host.mvcc.compaction.target, now):
            self._compact_at = now + limits.HELD_COMPACTION_LOOK_S
            return
        self._compact_slice = None
        began_ns = time.monotonic_ns()
        is_done = self._host.mvcc.compaction.step(message.records)
        self._compaction_times.add_slice(began_ns, time.monotonic_ns(), is_done)
        if is_done:
            self._compacted_at_s = int(time.time())
            self._end_compaction()
        self.tell_compactor()

    # hashes

    def _hash(self, slot: int, request_id: int, body: bytes) -> None:
        self._host.commit_pending()
        job = HashJob(self._host.mvcc.state)
        self._begin(lambda records: self._host.mvcc.hash_step(job, records), slot, request_id, self._hash_times)

    def _hash_kv(self, slot: int, request_id: int, body: bytes) -> None:
        self._host.commit_pending()
        job = HashKvJob(self._host.mvcc.state, pb.HashKVRequest.FromString(body).revision)
        self._begin(lambda records: self._host.mvcc.hash_kv_step(job, records), slot, request_id, self._hash_kv_times)

    def _begin(self, step: Callable[[int], Outcome | None], slot: int, request_id: int, times: Doublings) -> None:
        began_ns = time.monotonic_ns()

        def done(outcome: Outcome) -> None:
            times.add(time.monotonic_ns() - began_ns)
            code, text, body = outcome
            self._answer(slot, request_id, code, body if text is None else text.encode())

        self._add(_Job(step, done))

    def _add(self, job: _Job) -> None:
        self._jobs.append(job)
        self._job_at = 0.0
        self._plan()

    def _job_slice(self, now: float) -> None:
        """A slice, and then a rest that leaves the other calls their share."""
        job = self._jobs[0]
        try:
            outcome = job.step(limits.HASH_SLICE)
            while outcome is None and time.monotonic() < now + limits.HASH_SLICE_S:
                outcome = job.step(limits.HASH_SLICE)
        except OSError as error:
            self._host.log.error("found data that cannot be read", error=str(error))
            self._host.raise_corrupt()
            outcome = (errors.CORRUPT.code, errors.CORRUPT.text, b"")
        if outcome is not None:
            self._jobs.popleft()
            job.done(outcome)
        took = time.monotonic() - now
        self._job_at = now + took / limits.SLICE_SHARE if self._jobs else _NEVER

    # checks

    def _check(self, now: float) -> None:
        """What was there at the last check must have the same hash now, unless it was compacted; then the hash of what
        is there now. The comparison with other members is in peer_checks.py."""
        self._check_at = now + self._check_every_s
        known = self._known_hash
        if self._jobs:
            return  # clients ask for hashes all the time
        if known is not None and known.compact_revision == self._host.mvcc.state.compact_revision:
            self.hash_at(known.revision, lambda found: self._compare(known, found))
        self.hash_at(0, self._remember)

    def hash_at(self, revision: int, done: Callable[[KvHash | None], None]) -> None:
        """done is called with the hash up to a revision (0: the one that is the latest then), some turns later; None:
        there is none"""
        found: list[KvHash] = []
        jobs: list[HashKvJob] = []

        def step(records: int) -> Outcome | None:
            if not jobs:
                self._host.commit_pending()
                jobs.append(HashKvJob(self._host.mvcc.state, revision))
            result = jobs[0].step(records)
            if isinstance(result, KvHash):
                found.append(result)
            return None if result is None else (Code.OK, None, b"")

        self._add(_Job(step, lambda _: done(found[0] if found else None)))

    def _remember(self, found: KvHash | None) -> None:
        if found is not None:
            self._known_hash = found

    def _compare(self, known: KvHash, found: KvHash | None) -> None:
        finding = compare_with_before(known, found) if found is not None else None
        if finding is not None:
            self._host.log.warn(finding.text, **finding.fields)
            self._host.raise_corrupt()

    # defragmentation

    def _defragment(self, slot: int, request_id: int, body: bytes) -> None:
        """Calls that come while one is under way are answered when the next is done: what they deleted is in that."""
        self._defrag_waiters.append((slot, request_id))
        if self._defrag_at == _NEVER:
            self._begin_defragment()

    def _begin_defragment(self) -> None:
        self._host.commit_pending()
        self._host.log.info("starting defragment")
        self._defrag_began = self._defrag_at = time.monotonic()
        self._defrag_sizes = self._host.mvcc.state.store.size(), self._host.mvcc.state.store.size_in_use()
        self._defrag_waiting, self._defrag_waiters = self._defrag_waiters, []
        self._host.mvcc.state.store.defragment()
        self._plan()

    def _defragment_step(self, now: float) -> None:
        if not self._host.mvcc.state.store.defragment_step():
            self._defrag_at = now + limits.DEFRAG_LOOK_S
            return
        self._defrag_at = _NEVER
        self._defrag_times.add(max(1, int((time.monotonic() - self._defrag_began) * 1e9)))
        fields = defrag_fields(self._host.mvcc.state.store, self._defrag_sizes, self._defrag_began)
        self._host.log.info("finished defragment", **fields)
        for slot, request_id in self._defrag_waiting:
            self._answer(slot, request_id, Code.OK, b"")
        if self._defrag_waiters:
            self._begin_defragment()

    def metrics(self) -> dict[str, Any]:
        """The figures for /metrics, by the names in etcdz.telemetry.families."""
        return {
            "hash_durations": self._hash_times.figure(),
            "hash_kv_durations": self._hash_kv_times.figure(),
            "defrags": self._defrag_times.figure(),
            "defrag_under_way": int(self._defrag_at != _NEVER),
            "compacted_at_s": self._compacted_at_s,
            **self._compaction_times.figures(),
        }

    # the turn

    def work(self, now: float) -> None:
        """What is due. Requires: nothing is pending, and what waits for links has been sent."""
        if self._compact_slice is not None and now >= self._compact_at:
            self._do_slice(self._compact_slice, now)
        if self._jobs and now >= self._job_at:
            self._job_slice(now)
        if now >= self._defrag_at:
            self._defragment_step(now)
        if now >= self._check_at:
            self._check(now)
        self._plan()


def defragment_at_start(store: Store, threshold_mb: int, log: Any) -> None:
    """--bootstrap-defrag-threshold-megabytes: if so much would come free, and not for 0. Blocks until it is done."""
    if not threshold_mb:
        return
    before = store.size(), store.size_in_use()
    if before[0] - before[1] < threshold_mb << 20:
        fields = {"current-db-size-bytes": before[0], "current-db-size-in-use-bytes": before[1]}
        fields["experimental-bootstrap-defrag-threshold-bytes"] = threshold_mb << 20
        log.info("Skipping defragmentation", **fields)
        return
    began = time.monotonic()
    log.info("defragmenting")
    store.defragment()
    while not store.defragment_step():
        time.sleep(limits.DEFRAG_LOOK_S)
    log.info("finished defragmenting directory", **defrag_fields(store, before, began))


def check_at_start(mvcc: Mvcc, timeout_s: float, log: Any) -> KvHash:
    """--experimental-initial-corrupt-check: reads all records, with their checksums, as etcd does to hash them.

    return  their hash, for the comparison with other members
    raises  OSError: some cannot be read
    """
    timeout = format_duration(int(timeout_s * 1e9))
    log.info("starting initial corruption check", **{"local-member-id": f"{mvcc.member_id:x}"}, timeout=timeout)
    found = HashKvJob(mvcc.state, 0).step()
    if not isinstance(found, KvHash):
        raise RuntimeError(f"no hash of the latest revision: {found}")
    return found


def defrag_fields(store: Store, before: tuple[int, int], began_s: float) -> dict[str, Any]:
    """Fields for the log. before: size and size in use then. began_s: on the monotonic clock"""
    size, in_use = store.size(), store.size_in_use()
    return {
        "previous-db-size-bytes": before[0],
        "previous-db-size-in-use-bytes": before[1],
        "current-db-size-bytes": size,
        "current-db-size-in-use-bytes": in_use,
        "took": f"{time.monotonic() - began_s:.3f}s",
    }
