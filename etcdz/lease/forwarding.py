"""What a member that does not lead does with keep-alives and questions for the time of a lease: its leader is asked.

    Question -> queue -> request to the leader -> answer                      told
                  ^                            -> none, or "not the primary"  again after RETRY_S
                  +------ another leads: what is unanswered is asked of it

Keep-alives of a lease that have not left share one request, as one renewal is as good as many. A question that nobody
answers is dropped when its client has stopped waiting; there is an end to that alone, as in etcd.

Source: etcd 3.5 LeaseRenew, LeaseTimeToLive, and leasehttp for the bodies.
"""

from collections import deque
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from etcdz import limits
from etcdz.lease.clocks import NEVER
from etcdz.lease.question import KEEP_ALIVE, Question
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import leasepb

RENEW_PATH: Final = "/leases"
TIME_TO_LIVE_PATH: Final = "/leases/internal"
RETRY_S: Final = 0.05
"""A request that has failed is made again so much later."""
_OK, _NOT_FOUND = 200, 404

_Key = tuple[int, int, bool]
"""Method, lease and whether keys are wanted: questions that are the same in this have the same answer."""
Found = int | pb.LeaseTimeToLiveResponse | None
"""What a leader says: the TTL that a keep-alive has renewed, or the answer to TIME_TO_LIVE. None: there is no lease."""


class Request(NamedTuple):
    """A POST to another member."""

    number: int
    to: int
    path: str
    body: bytes
    timeout_s: float


class Forwarding:
    """requests   to be sent; each is answered by `on_answer`, or lost with the process that was to send it"""

    def __init__(self, timeout_s: float) -> None:
        """timeout_s: clients wait no longer for an answer"""
        self.requests: list[Request] = []
        self._timeout_s = timeout_s
        self._leader = 0
        """0: none is known, and nothing leaves."""
        self._queue: dict[_Key, list[Question]] = {}
        """What has not left, in order."""
        self._asked: dict[int, list[Question]] = {}
        """By number: what has."""
        self._failed: deque[tuple[float, list[Question]]] = deque()
        """What is asked again at a time, in the order of these times."""
        self._number = 0

    def __len__(self) -> int:
        return (
            sum(map(len, self._asked.values()))
            + sum(len(each) for _, each in self._failed)
            + sum(map(len, self._queue.values()))
        )

    def go_to(self, leader: int, now: float) -> None:
        """Who is asked from now on. 0: nobody is known to lead, and all waits; what has left may still be answered."""
        if leader != self._leader:
            self._leader = leader
            if leader:
                self._put_back()
        self._ask(now)

    def take_back(self) -> list[Question]:
        """All that is unanswered: this member leads by itself now."""
        self._leader = 0
        self._put_back()
        questions = [question for group in self._queue.values() for question in group]
        self._queue.clear()
        return questions

    def ask_again(self, now: float) -> None:
        """Who sends requests is new, and knows of none."""
        self._put_back()
        self._ask(now)

    def _put_back(self) -> None:
        """In front of what has not left. Answers to numbers from before count no more."""
        groups = [*self._asked.values(), *(group for _, group in self._failed), *self._queue.values()]
        self._asked.clear()
        self._failed.clear()
        self.requests = []
        self._queue = {}
        for group in groups:
            self._enqueue(group)

    def _enqueue(self, group: list[Question]) -> None:
        first = group[0]
        self._queue.setdefault((first.method, first.lease_id, first.with_keys), []).extend(group)

    def add(self, question: Question) -> None:
        """A KEEP_ALIVE or TIME_TO_LIVE."""
        self._enqueue([question])
        self._ask(question.came_s)

    def _ask(self, now: float) -> None:
        """As many as may be under way."""
        if not self._leader:
            return
        queue = self._queue
        while queue and len(self._asked) < limits.LEASE_FORWARDS_IN_FLIGHT:
            key = next(iter(queue))
            group = self._waited_for(queue.pop(key), now)
            if group:
                self._number += 1
                self._asked[self._number] = group
                left_s = group[-1].came_s + self._timeout_s - now
                self.requests.append(Request(self._number, self._leader, *_encode(group[0]), left_s))

    def _waited_for(self, group: list[Question], now: float) -> list[Question]:
        oldest = now - self._timeout_s
        return [question for question in group if question.came_s > oldest]

    def on_answer(self, number: int, status: int, body: bytes, now: float) -> tuple[list[Question], Found]:
        """The answer to a request. status: of HTTP, 0: there was none. return the questions that have an answer by it
        (none of them: it is asked again), and what it is"""
        group = self._asked.pop(number, None)
        if group is None:
            return [], None  # it was asked of another leader since
        found: Found = None
        try:
            if status == _OK:
                found = _decode(group[0], body)
        except (DecodeError, ValueError):
            status = 0
        if status not in (_OK, _NOT_FOUND):
            self._failed.append((now + RETRY_S, group))
            group = []
        self._ask(now)
        return group, found

    def next_due_s(self) -> float:
        """When to call `retry`; NEVER if there is nothing to be asked again."""
        return self._failed[0][0] if self._failed else NEVER

    def retry(self, now: float) -> None:
        """Asks again what is due."""
        while self._failed and self._failed[0][0] <= now:
            _, group = self._failed.popleft()
            self._enqueue(group)
        self._ask(now)


def _encode(question: Question) -> tuple[str, bytes]:
    """Path and body."""
    if question.method == KEEP_ALIVE:
        return RENEW_PATH, pb.LeaseKeepAliveRequest(ID=question.lease_id).SerializeToString()
    asked = pb.LeaseTimeToLiveRequest(ID=question.lease_id, keys=question.with_keys)
    return TIME_TO_LIVE_PATH, leasepb.LeaseInternalRequest(LeaseTimeToLiveRequest=asked).SerializeToString()


def _decode(question: Question, body: bytes) -> Found:
    """raises DecodeError; ValueError: an answer for another lease"""
    found: pb.LeaseKeepAliveResponse | pb.LeaseTimeToLiveResponse
    if question.method == KEEP_ALIVE:
        found = pb.LeaseKeepAliveResponse.FromString(body)
    else:
        found = leasepb.LeaseInternalResponse.FromString(body).LeaseTimeToLiveResponse
    if question.lease_id != found.ID:
        raise ValueError(f"an answer for lease {found.ID:x} instead of {question.lease_id:x}")
    return found if isinstance(found, pb.LeaseTimeToLiveResponse) else found.TTL
