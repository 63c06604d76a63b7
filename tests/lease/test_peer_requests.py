"""What other members are answered over HTTP: the same statuses, types and bytes as etcd 3.5's."""

from typing import Any

import pytest

from etcdz.lease.clocks import NEVER
from etcdz.lease.lessor import Verdict
from etcdz.lease.peer_requests import TIMEOUT_S, PeerRequests, Reply
from etcdz.lease.question import CLOCK, KEEP_ALIVE, NOT_KNOWN, PEERS, TIME_TO_LIVE, Question
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import leasepb

PLAIN, PROTOBUF = "text/plain; charset=utf-8", "application/protobuf"
LEASE = 0x1B3CA21BD53AA608


class Desk:
    """PeerRequests, and the leases that wait for their revoke."""

    def __init__(self) -> None:
        self.revoking: set[int] = set()
        self.requests = PeerRequests(iter(range(500, 600)).__next__, lambda lease_id: lease_id in self.revoking)

    def ask(self, path: str = "/leases", body: bytes | None = None, method: str = "POST", now: float = 0.0) -> Any:
        if body is None:
            body = pb.LeaseKeepAliveRequest(ID=LEASE).SerializeToString()
        return self.requests.on_request(9, method, path, body, now)

    def ask_time(self, keys: bool = False) -> Question:
        asked = pb.LeaseTimeToLiveRequest(ID=LEASE, keys=keys)
        body = leasepb.LeaseInternalRequest(LeaseTimeToLiveRequest=asked).SerializeToString()
        question: Question = self.ask("/leases/internal", body)
        assert question == Question(PEERS, 500, TIME_TO_LIVE, LEASE, 0.0, keys)
        return question

    def replies(self) -> list[Reply]:
        taken, self.requests.replies = self.requests.replies, []
        return taken


@pytest.mark.parametrize(
    ("path", "body", "method", "status", "text"),
    [
        ("/leases", b"", "GET", 405, "Method not allowed"),
        ("/leases", b"\xff", "POST", 400, "error unmarshalling request"),
        ("/leases/internal", b"\xff", "POST", 400, "error unmarshalling request"),
        ("/leases/other", b"", "POST", 400, 'unknown request path "/leases/other"'),
    ],
)
def test_what_is_no_request_is_refused(path: str, body: bytes, method: str, status: int, text: str) -> None:
    desk = Desk()
    assert desk.ask(path, body, method) is None
    assert desk.replies() == [Reply(9, status, PLAIN, text.encode() + b"\n")]
    assert not desk.requests


def test_a_renewal_is_answered_with_id_and_ttl_alone() -> None:
    desk = Desk()
    question = desk.ask()
    assert question == Question(PEERS, 500, KEEP_ALIVE, LEASE, 0.0)
    desk.requests.on_verdict(Verdict(question, 60))
    assert desk.replies() == [Reply(9, 200, PROTOBUF, bytes.fromhex("1088cceaa9bdc3a89e1b183c"))]


@pytest.mark.parametrize(
    ("seconds", "status", "text"), [(0, 404, b"lease not found"), (None, 400, b"not a primary lessor")]
)
def test_a_renewal_may_be_refused(seconds: int | None, status: int, text: bytes) -> None:
    desk = Desk()
    desk.requests.on_verdict(Verdict(desk.ask(), seconds))
    assert desk.replies() == [Reply(9, status, PLAIN, text + b"\n")]


def test_time_to_live_takes_granted_ttl_and_keys_from_the_backend_and_leaves_the_header_empty() -> None:
    desk = Desk()
    question = desk.ask_time(keys=True)
    desk.requests.on_verdict(Verdict(question, 59))
    assert desk.requests.reads == [(500, CLOCK.pack(LEASE, 59) + b"\1")]
    header = pb.ResponseHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)
    told = pb.LeaseTimeToLiveResponse(header=header, ID=LEASE, TTL=59, grantedTTL=60, keys=[b"k"])
    desk.requests.on_backend_answer(500, told.SerializeToString())
    assert desk.replies() == [Reply(9, 200, PROTOBUF, bytes.fromhex("0a130a001088cceaa9bdc3a89e1b183b203c2a016b"))]


def test_time_to_live_of_a_lease_that_is_not_there() -> None:
    desk = Desk()
    desk.requests.on_verdict(Verdict(desk.ask_time(), NOT_KNOWN))
    told = pb.LeaseTimeToLiveResponse(header=pb.ResponseHeader(), ID=LEASE, TTL=-1)
    desk.requests.on_backend_answer(500, told.SerializeToString())
    assert desk.replies() == [Reply(9, 404, PLAIN, b"lease not found\n")]


def test_time_to_live_of_a_member_that_does_not_lead() -> None:
    desk = Desk()
    desk.requests.on_verdict(Verdict(desk.ask_time(), None))
    assert desk.replies() == [Reply(9, 500, PLAIN, b"not a primary lessor\n")]


def test_what_cannot_be_answered_in_time_is_refused_once() -> None:
    desk = Desk()
    question = desk.ask(now=10.0)
    assert desk.requests.next_due_s() == 10.0 + TIMEOUT_S
    desk.requests.expire(10.9)
    assert desk.replies() == []
    desk.requests.expire(10.0 + TIMEOUT_S)
    text = b"waiting for node to catch up its applied index has timed out\n"
    assert desk.replies() == [Reply(9, 408, PLAIN, text)]
    desk.requests.on_verdict(Verdict(question, 60))
    assert (desk.replies(), desk.requests.next_due_s()) == ([], NEVER)


def test_a_keep_alive_of_a_lease_that_is_about_to_end_is_answered_when_it_has() -> None:
    desk = Desk()
    desk.revoking.add(LEASE)
    question = desk.ask(now=10.0)
    for now in (11.0, 12.0, 13.0):
        desk.requests.expire(now)
    assert desk.replies() == []
    desk.requests.on_verdict(Verdict(question, 0))
    assert [reply.status for reply in desk.replies()] == [404]


def test_answers_to_a_process_that_is_gone_are_dropped() -> None:
    desk = Desk()
    question = desk.ask()
    desk.requests.forget()
    desk.requests.on_verdict(Verdict(question, 60))
    assert desk.replies() == []
