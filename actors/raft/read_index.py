"""Read indexes: at which index a linearizable read is safe, asked of the leader for all reads that wait, at once.

    ReadIndex -> on_read_index -> advance -> the core, one round of the quorum -> answer -> ReadStates -> listener

One round is under way at a time; what comes meanwhile goes into the next. A question or its answer may get lost, so
after RETRY_S, and of each new leader, it is asked again, by a context that was never used: an answer to an earlier
question, of another leader or to a raft that is gone, must not be taken for one to this. It is an answer all the same,
for the reads that had come before that question was asked: otherwise none would ever be answered while answers take
longer than RETRY_S. Where etcd fails the reads that waited for a leader that is gone (`leader changed`), these wait for
the next one. A listener ends those that wait too long.
"""

import time
from collections.abc import Sequence
from typing import Protocol

from actors.runtime.link import Links
from etcdz.ipc.messages import ReadIndex, ReadStates
from etcdz.ipc.request_ids import RAFT_SLOT, RequestIds
from etcdz.raft import RawNode
from etcdz.raft.messages import LEADER, ReadState

RETRY_S = 0.5


class Host(Protocol):
    """What read indexes need of their actor."""

    links: Links
    member_id: int


class ReadIndexes:
    """waiting  that the leader has not been asked for"""

    def __init__(self, host: Host, keep_s: float) -> None:
        """keep_s: nobody waits for a read any more that came so long ago."""
        self._host = host
        self._keep_s = keep_s
        self._ids: RequestIds | None = None
        self.waiting: list[tuple[float, int, list[int]]] = []
        """(when it came, slot, request ids)"""
        self._asked: list[tuple[float, int, list[int]]] = []
        """What the newest question is for, in the order in which it came."""
        self._done = 0
        """How many that were asked for are answered or forgotten: all that came before those in _asked."""
        self._questions: dict[bytes, int] = {}
        """Context -> how many had been asked for when it was, in the order of asking.

        Invariant: all numbers are above _done: an answer is good for the first of _asked, up to that number."""
        self._leader = (0, 0)
        """(term, leader) that was asked."""
        self._retry_at = 0.0
        self.slow = 0
        """Questions that were not answered in time, or whose leader is gone."""

    @property
    def has_work(self) -> bool:
        """Whether a read waits for an index."""
        return bool(self.waiting or self._asked)

    def on_read_index(self, message: ReadIndex) -> None:
        """The leader is asked at the end of a turn in which there is one."""
        self.waiting.append((time.monotonic(), message.slot, message.ids))

    def expire(self, now: float) -> None:
        """Forget those that no listener waits for any more. now: on the monotonic clock"""
        oldest = now - self._keep_s
        self.waiting = [one for one in self.waiting if one[0] > oldest]
        self._end(len([one for one in self._asked if one[0] <= oldest]))

    def advance(self, node: RawNode, now: float) -> None:
        """Ask, if nothing is under way or what is seems lost. Requires: has_work. now: on the monotonic clock

        NB: before an entry of its own term is committed, a leader does not know what was acknowledged.
        """
        raft = node.raft
        leader = (raft.term, raft.lead)
        if not raft.lead or (raft.role == LEADER and not raft.committed_in_term):
            return
        if self._asked and leader == self._leader and now < self._retry_at:
            return
        self.slow += bool(self._asked)
        self._asked += self.waiting
        self.waiting = []
        self._leader, self._retry_at = leader, now + RETRY_S
        context = self._new_context()
        self._questions[context] = self._done + len(self._asked)
        node.read_index(context)

    def _new_context(self) -> bytes:
        """Unlike any other in the cluster, over restarts as well: a leader of etcd keeps reads by their contexts."""
        if self._ids is None:
            self._ids = RequestIds(self._host.member_id, RAFT_SLOT, time.time_ns() // 1000)
        return self._ids.next().to_bytes(8, "big")

    def answer(self, states: Sequence[ReadState]) -> None:
        """What the leader found. Answers to questions whose reads are all answered are passed over."""
        links = self._host.links
        for state in states:
            count = self._questions.get(state.context, self._done) - self._done
            for _, slot, ids in self._end(count):
                links.send(links.listener(slot), ReadStates(state.index, ids))

    def _end(self, count: int) -> list[tuple[float, int, list[int]]]:
        """return so many of those that were asked for, the first, which wait no longer."""
        ended, self._asked = self._asked[:count], self._asked[count:]
        self._done += count
        if count:
            self._questions = {context: number for context, number in self._questions.items() if number > self._done}
        return ended
