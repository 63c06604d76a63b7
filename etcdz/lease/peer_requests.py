"""What other members ask of the lessor of their leader over HTTP, and how it is answered.

    POST /leases             LeaseKeepAliveRequest    200 LeaseKeepAliveResponse
    POST /leases/internal    LeaseInternalRequest     200 LeaseInternalResponse; granted TTL and keys are the backend's

    400 error unmarshalling request
    404 lease not found
    400 not a primary lessor     of /leases; 500 of /leases/internal: this member does not lead
    408 waiting for node to catch up its applied index has timed out
    405 Method not allowed

Whoever asked tries again after all of these but 404. Texts end in a newline. Source: etcd 3.5 leasehttp
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from etcdz.lease.clocks import NEVER
from etcdz.lease.forwarding import RENEW_PATH, TIME_TO_LIVE_PATH
from etcdz.lease.lessor import Verdict
from etcdz.lease.question import CLOCK, KEEP_ALIVE, PEERS, TIME_TO_LIVE, Question
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import leasepb

TIMEOUT_S: Final = 1.0
"""So long it may take until it is certain that this member leads, and has applied what is committed."""
_PLAIN, _PROTOBUF = "text/plain; charset=utf-8", "application/protobuf"
_NOT_FOUND = (404, "lease not found")
_NOT_PRIMARY = "not a primary lessor"


class Reply(NamedTuple):
    """The answer to a request."""

    ask_id: int
    status: int
    content_type: str
    body: bytes


class _Open(NamedTuple):
    """A request without an answer so far."""

    ask_id: int
    question: Question
    until_s: float


class PeerRequests:
    """replies   to requests
    reads     (request id, body) of LEASE_TIME_TO_LIVE for the backend
    """

    def __init__(self, next_id: Callable[[], int], awaits_revoke: Callable[[int], bool]) -> None:
        """awaits_revoke: whether keep-alives of a lease wait for its end: these are answered then, whenever that is"""
        self._next_id = next_id
        self._awaits_revoke = awaits_revoke
        self.replies: list[Reply] = []
        self.reads: list[tuple[int, bytes]] = []
        self._open: dict[int, _Open] = {}
        """By request id. Invariant: in the order of until_s."""

    def __bool__(self) -> bool:
        """Whether there is anything to answer, or to send."""
        return bool(self._open or self.replies or self.reads)

    def on_request(self, ask_id: int, method: str, path: str, body: bytes, now: float) -> Question | None:
        """ask_id: the reply carries it. return what the lessor is to be asked; None: it is answered"""
        if method != "POST":
            self._refuse(ask_id, 405, "Method not allowed")
            return None
        request_id = self._next_id()
        try:
            question = _decode(request_id, path, body, now)
        except DecodeError:
            self._refuse(ask_id, 400, "error unmarshalling request")
            return None
        if question is None:
            self._refuse(ask_id, 400, f'unknown request path "{path}"')
            return None
        self._open[request_id] = _Open(ask_id, question, now + TIMEOUT_S)
        return question

    def on_verdict(self, verdict: Verdict) -> None:
        """What the lessor has found."""
        asked, seconds = verdict
        waiting = self._open.pop(asked.request_id, None)
        if waiting is None:
            return  # it was too late
        if seconds is None:
            self._refuse(waiting.ask_id, 400 if asked.method == KEEP_ALIVE else 500, _NOT_PRIMARY)
        elif asked.method == TIME_TO_LIVE:
            self._open[asked.request_id] = waiting
            body = CLOCK.pack(asked.lease_id, seconds) + (b"\1" if asked.with_keys else b"\0")
            self.reads.append((asked.request_id, body))
        elif not seconds:
            self._refuse(waiting.ask_id, *_NOT_FOUND)
        else:
            renewed = pb.LeaseKeepAliveResponse(ID=asked.lease_id, TTL=seconds)
            self._reply(waiting.ask_id, renewed.SerializeToString())

    def on_backend_answer(self, request_id: int, body: bytes) -> None:
        """The answer to one of `reads`: a LeaseTimeToLiveResponse."""
        waiting = self._open.pop(request_id, None)
        if waiting is None:
            return
        found = pb.LeaseTimeToLiveResponse.FromString(body)
        if found.TTL < 0 and not found.grantedTTL:
            self._refuse(waiting.ask_id, *_NOT_FOUND)
            return
        # As in etcd, whose members take a revision that stands there for the answer's, and none for their own.
        found.header.Clear()
        found.header.SetInParent()
        answer = leasepb.LeaseInternalResponse(LeaseTimeToLiveResponse=found)
        self._reply(waiting.ask_id, answer.SerializeToString())

    def next_due_s(self) -> float:
        """When to call `expire`; NEVER if nothing waits."""
        for waiting in self._open.values():
            return waiting.until_s
        return NEVER

    def expire(self, now: float) -> None:
        """Refuses what has waited for too long."""
        late = [request_id for request_id, waiting in self._open.items() if waiting.until_s <= now]
        for request_id in late:
            waiting = self._open.pop(request_id)
            if self._awaits_revoke(waiting.question.lease_id):
                self._open[request_id] = waiting._replace(until_s=now + TIMEOUT_S)
            else:
                self._refuse(waiting.ask_id, 408, "waiting for node to catch up its applied index has timed out")

    def forget(self) -> None:
        """Who has asked is gone."""
        self._open.clear()
        self.replies, self.reads = [], []

    def _refuse(self, ask_id: int, status: int, text: str) -> None:
        self.replies.append(Reply(ask_id, status, _PLAIN, text.encode() + b"\n"))

    def _reply(self, ask_id: int, body: bytes) -> None:
        self.replies.append(Reply(ask_id, 200, _PROTOBUF, body))


def _decode(request_id: int, path: str, body: bytes, now: float) -> Question | None:
    """None: there is no such path. raises DecodeError"""
    if path == RENEW_PATH:
        renewed = pb.LeaseKeepAliveRequest.FromString(body)
        return Question(PEERS, request_id, KEEP_ALIVE, renewed.ID, now)
    if path == TIME_TO_LIVE_PATH:
        asked = leasepb.LeaseInternalRequest.FromString(body).LeaseTimeToLiveRequest
        return Question(PEERS, request_id, TIME_TO_LIVE, asked.ID, now, asked.keys)
    return None
