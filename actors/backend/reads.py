"""Reads of the listeners: what is applied is answered at once, what is not waits until it is.

All answers of a turn leave together at its end, after the turn's writes are committed: an answer may show them.
"""

import heapq
import time
from collections.abc import Callable, Mapping
from typing import Any

from actors.backend.raft_link import RaftLink
from actors.runtime.link import Links
from actors.runtime.slow_requests import is_slow, warn_read
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code
from etcdz.api.methods import LEASE_LEASES, LEASE_TIME_TO_LIVE, RANGE, RANGE_CHUNK, TXN
from etcdz.ipc.messages import Read, Replies
from etcdz.mvcc.mvcc import Mvcc, Outcome
from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb

Reader = Callable[[bytes, AuthInfo | None], tuple[int, bytes]]
"""(request body, who asks) -> (gRPC code, encoded response or error text)."""
LongCall = Callable[[int, int, bytes], None]
"""(slot, request id, body): begins a call whose answer comes with `Reads.answer`, some turns later."""


class Reads:
    """answers    (request id, code, body) of this turn, by listener's slot
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
        *,
        incarnation: int,
        log: Any,
        warning_s: float,
    ) -> None:
        """member_readers   what answers reads of more than the key space, by method tag
        incarnation      of this actor
        warning_s        reads that take longer are logged, as etcd does
        """
        self._links = links
        self._mvcc = mvcc
        self._raft = raft
        self._incarnation = incarnation
        self._log = log
        self._warning_s = warning_s
        self._readers: dict[int, Reader] = {
            RANGE: self._range,
            RANGE_CHUNK: self._range_chunk,
            TXN: self._txn,
            LEASE_TIME_TO_LIVE: self._lease_time_to_live,
            LEASE_LEASES: self._lease_leases,
            **member_readers,
        }
        self.long: Mapping[int, LongCall] = {}
        self.answers: dict[int, list[tuple[int, int, bytes]]] = {}
        self.parked: list[tuple[int, int, int, int, bytes, AuthInfo | None]] = []

    def on_read(self, message: Read) -> None:
        """Answers, parks or begins each of them."""
        slot = message.slot
        applied = self._raft.applied_index
        long = self.long
        answers = self.answers.setdefault(slot, [])
        before = len(answers)
        began = time.monotonic()
        askers = (
            {asked: AuthInfo(name, revision) for asked, name, revision in message.askers} if message.askers else None
        )
        for request_id, method, body, index in message.items:
            auth = askers.get(request_id) if askers else None
            if method in long:
                long[method](slot, request_id, body)
            elif index > applied:
                heapq.heappush(self.parked, (index, request_id, slot, method, body, auth))
            else:
                code, answer = self._readers[method](body, auth)
                answers.append((request_id, code, answer))
        took = time.monotonic() - began
        if is_slow(took, len(message.items), self._warning_s):
            warn_read(self._log, took, self._warning_s, message.items, answers[before:])

    def unpark(self) -> None:
        """More is applied: answers the reads that have waited for it."""
        while self.parked and self.parked[0][0] <= self._raft.applied_index:
            _, request_id, slot, method, body, auth = heapq.heappop(self.parked)
            self.answer(slot, request_id, *self._readers[method](body, auth))

    def answer(self, slot: int, request_id: int, code: int, body: bytes) -> None:
        """Leaves with the others of this turn."""
        self.answers.setdefault(slot, []).append((request_id, code, body))

    def send(self) -> None:
        """The answers so far. Requires: what they show is committed"""
        revision = self._mvcc.state.revision
        for slot, items in self.answers.items():
            self._links.send(self._links.listener(slot), Replies(self._incarnation, 0, items, revision))
        self.answers = {}

    # what answers: the key space and leases

    def _range(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        code, text, answer = self._mvcc.range_bytes(body)
        return code, answer if text is None else text.encode()

    def _range_chunk(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return _answer(self._mvcc.range_chunk(pb.RangeRequest.FromString(body)))

    def _txn(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return _answer(self._mvcc.txn(deep.decode(pb.TxnRequest, body)))

    def _lease_time_to_live(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return Code.OK, self._mvcc.lease_time_to_live(body)

    def _lease_leases(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return Code.OK, self._mvcc.lease_leases(body)


def _answer(outcome: Outcome) -> tuple[int, bytes]:
    code, text, body = outcome
    return code, body if text is None else text.encode()
