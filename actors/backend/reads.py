"""Reads of the listeners: what is applied is answered at once, what is not waits until it is.

All answers of a turn leave together at its end, after the turn's writes are committed: an answer may show them.

A read of one key is answered as it comes. Others are *short* or *long*. A short one looks at few keys and has a small
answer: it is answered in this turn, or, if many have come, in one of the next, so that writes do not wait for all of
them. A long one is given back to its listener, which asks for it again when it has room for the answer (long_reads.py).
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from actors.backend.auth_reads import AuthReads, BeginRead, Reader
from actors.backend.raft_link import RaftLink
from actors.runtime.link import Links
from actors.runtime.slow_requests import is_slow, warn_read
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import LEASE_LEASES, LEASE_TIME_TO_LIVE, RANGE, RANGE_CHUNK, TXN
from etcdz.ipc.messages import LongReads, Read, Replies
from etcdz.mvcc import ranges
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb

SHORT_KEYS_MAX: Final = 256
SHORT_BYTES_MAX: Final = 128 << 10
SHORT_S: Final = 0.001
"""A read that takes longer than this is long, whatever it looked like."""
SHORT_READS_S: Final = 0.002
"""What short reads may take of one turn."""
OUT_OF_MEMORY: Final = EtcdError(
    "OutOfMemory", Code.RESOURCE_EXHAUSTED, "etcdserver: not enough memory for this answer"
)

LongCall = Callable[[int, int, bytes], None]
"""(slot, request id, body): begins a call whose answer comes with `Reads.answer`, some turns later."""


class Reads:
    """answers    (request id, code, body) of this turn, by listener's slot
    deferred   request ids of long reads of this turn, by listener's slot
    short      (slot, request id, method tag, body, who asks): reads that may be short
    begin      method tag -> how a read begins that may be short or long
    long       method tag -> how a call begins that takes more than a turn
    parked     a heap of (index, request id, slot, method tag, body, who asks): reads that wait for that index to be
               applied
    """

    def __init__(
        self,
        links: Links,
        mvcc: Mvcc,
        raft: RaftLink,
        member_readers: Mapping[int, Reader],
        member_begin: Mapping[int, BeginRead],
        *,
        incarnation: int,
        log: Any,
        warning_s: float,
    ) -> None:
        """member_readers   what answers reads of more than the key space, by method tag
        member_begin     how those of them begin that may be long
        incarnation      of this actor
        warning_s        reads that take longer are logged, as etcd does
        """
        self._links = links
        self._mvcc = mvcc
        self._raft = raft
        self._incarnation = incarnation
        self._log = log
        self._warning_s = warning_s
        self._plain_readers: dict[int, Reader] = {
            RANGE: self._get,
            RANGE_CHUNK: _not_at_once,
            TXN: _not_at_once,
            LEASE_TIME_TO_LIVE: self._lease_time_to_live,
            LEASE_LEASES: self._lease_leases,
            **member_readers,
        }
        self._plain_begin: dict[int, BeginRead] = {
            RANGE: lambda body, _: mvcc.begin_range(pb.RangeRequest.FromString(body)),
            RANGE_CHUNK: lambda body, _: mvcc.begin_chunk(pb.RangeRequest.FromString(body)),
            TXN: lambda body, _: mvcc.begin_txn(deep.decode(pb.TxnRequest, body)),
            **member_begin,
        }
        self._readers = self._plain_readers
        self.begin = self._plain_begin
        self.long: Mapping[int, LongCall] = {}
        self.answers: dict[int, list[tuple[int, int, bytes]]] = {}
        self.deferred: dict[int, list[int]] = {}
        self.short: deque[tuple[int, int, int, bytes, AuthInfo | None]] = deque()
        self.parked: list[tuple[int, int, int, int, bytes, AuthInfo | None]] = []

    def guard(self, auth: AuthReads) -> None:
        """Auth is on, off, or has changed."""
        self._readers = auth.guard_readers(self._plain_readers)
        self.begin = auth.guard_begin(self._plain_begin)

    def on_read(self, message: Read) -> None:
        """Answers, parks or begins each of them."""
        slot = message.slot
        applied = self._raft.applied_index
        long = self.long
        answers = self.answers.setdefault(slot, [])
        before = len(answers)
        began = time.monotonic()
        auth = AuthInfo(*message.asker) if message.asker else None
        askers = (
            {asked: AuthInfo(name, revision) for asked, name, revision in message.askers} if message.askers else None
        )
        for request_id, method, body, index in message.items:
            if askers:
                auth = askers.get(request_id)
            if method in long:
                long[method](slot, request_id, body)
            elif index > applied:
                heapq.heappush(self.parked, (index, request_id, slot, method, body, auth))
            else:
                answer = self._readers[method](body, auth)
                if answer is None:
                    self.short.append((slot, request_id, method, body, auth))
                else:
                    answers.append((request_id, answer[0], answer[1]))
        took = time.monotonic() - began
        if is_slow(took, len(message.items), self._warning_s):
            warn_read(self._log, took, self._warning_s, message.items, answers[before:])

    def unpark(self) -> None:
        """More is applied: answers the reads that have waited for it."""
        while self.parked and self.parked[0][0] <= self._raft.applied_index:
            _, request_id, slot, method, body, auth = heapq.heappop(self.parked)
            answer = self._readers[method](body, auth)
            if answer is None:
                self.short.append((slot, request_id, method, body, auth))
            else:
                self.answer(slot, request_id, *answer)

    def cancel(self, ids: Iterable[int]) -> None:
        """Nobody waits for these any more."""
        if self.parked:
            gone = set(ids)
            self._keep_parked([read for read in self.parked if read[1] not in gone])

    def forget(self, slot: int) -> None:
        """Its listener is gone."""
        if self.parked:
            self._keep_parked([read for read in self.parked if read[2] != slot])

    def _keep_parked(self, kept: list[tuple[int, int, int, int, bytes, AuthInfo | None]]) -> None:
        self.parked = kept
        heapq.heapify(kept)

    def work(self) -> None:
        """Answers what is short; what has come beyond the share of a turn stays for the next."""
        until = time.monotonic() + SHORT_READS_S
        while self.short:
            slot, request_id, method, body, auth = self.short.popleft()
            began = time.monotonic()
            answer = self._answer_short(method, body, auth)
            if answer is None:
                self.deferred.setdefault(slot, []).append(request_id)
            else:
                self.answer(slot, request_id, *answer)
            now = time.monotonic()
            if now - began > self._warning_s and answer is not None:
                warn_read(
                    self._log, now - began, self._warning_s, [(request_id, method, body, 0)], [(request_id, *answer)]
                )
            if now >= until:
                break

    def _answer_short(self, method: int, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes] | None:
        """None: it is long."""
        if self._keys_looked_at(method, body) > SHORT_KEYS_MAX:
            return None
        reading = self.begin[method](body, auth)
        if isinstance(reading, EtcdError):
            return reading.code, reading.text.encode()
        until = time.monotonic() + SHORT_S
        answer = reading.answer
        while answer.size <= SHORT_BYTES_MAX and time.monotonic() < until:
            try:
                next(reading.steps)
            except StopIteration as end:
                self.count_range(method)
                error: EtcdError | None = end.value or answer.error
                if error is not None:
                    return error.code, error.text.encode()
                return (Code.OK, answer.join()) if answer.size <= SHORT_BYTES_MAX else None
        return None

    def count_range(self, method: int) -> None:
        """A read is at its end. NB: counted here, since one that turns out to be long is begun again; what is no range
        counts by itself."""
        if method in (RANGE, RANGE_CHUNK):
            self._mvcc.state.tally.ranges += 1

    def _keys_looked_at(self, method: int, body: bytes) -> int:
        """About how many keys a read looks at; 1: that is not known."""
        if method in (RANGE, RANGE_CHUNK):
            return self._keys_of_range(pb.RangeRequest.FromString(body))
        if method != TXN:
            return 1
        request = deep.decode(pb.TxnRequest, body)
        compared = [self._keys(compare.key, compare.range_end) for compare in request.compare if compare.range_end]
        return sum(compared) + max(self._keys_of_branch(request.success), self._keys_of_branch(request.failure))

    def _keys_of_branch(self, ops: Iterable[pb.RequestOp]) -> int:
        return sum([self._keys_of_range(op.request_range) for op in ops])

    def _keys_of_range(self, request: pb.RangeRequest) -> int:
        if not request.range_end:
            return 1
        is_plain = not (request.revision or request.sort_order or request.sort_target)
        if is_plain and request.count_only:
            return 1
        if is_plain and 0 < request.limit <= SHORT_KEYS_MAX:
            return 1  # filters may look at more: then it turns out to be long
        return self._keys(request.key, request.range_end)

    def _keys(self, lo: bytes, end: bytes) -> int:
        return ranges.count_now(self._mvcc.state, lo, ranges.range_end(end))

    def answer(self, slot: int, request_id: int, code: int, body: bytes) -> None:
        """Leaves with the others of this turn."""
        self.answers.setdefault(slot, []).append((request_id, code, body))

    def send(self) -> None:
        """The answers so far. Requires: what they show is committed"""
        if self.deferred:
            for slot, ids in self.deferred.items():
                self._links.send(self._links.listener(slot), LongReads(self._incarnation, ids))
            self.deferred = {}
        revision = self._mvcc.state.revision
        for slot, items in self.answers.items():
            self._links.send(self._links.listener(slot), Replies(self._incarnation, 0, items, revision))
        self.answers = {}

    # what answers: the key space and leases

    def _get(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes] | None:
        answer = self._mvcc.get_bytes(body)
        return None if answer is None else (0, answer)

    def _lease_time_to_live(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return Code.OK, self._mvcc.lease_time_to_live(body)

    def _lease_leases(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return Code.OK, self._mvcc.lease_leases(body)


def _not_at_once(body: bytes, auth: AuthInfo | None) -> None:
    return None
