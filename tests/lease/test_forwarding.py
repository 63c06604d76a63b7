"""What a member that does not lead asks its leader: what leaves when, what is asked again, what counts as an answer."""

import pytest

from etcdz import limits
from etcdz.lease.clocks import NEVER
from etcdz.lease.forwarding import RETRY_S, Forwarding, Found, Request
from etcdz.lease.question import KEEP_ALIVE, TIME_TO_LIVE, Question
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import leasepb

LEADER, NEXT = 21, 22


def question(
    number: int, lease_id: int = 7, came_s: float = 0.0, method: int = KEEP_ALIVE, keys: bool = False
) -> Question:
    return Question(1, number, method, lease_id, came_s, keys)


def renewed(lease_id: int, ttl_s: int) -> bytes:
    return pb.LeaseKeepAliveResponse(ID=lease_id, TTL=ttl_s).SerializeToString()


class Sender:
    """In place of the process that sends requests."""

    def __init__(self, leader: int = LEADER) -> None:
        self.forwarding = Forwarding(7.0)
        self.forwarding.go_to(leader, 0.0)

    def take(self) -> list[Request]:
        taken, self.forwarding.requests = self.forwarding.requests, []
        return taken

    def answer(self, request: Request, status: int, body: bytes = b"", now: float = 0.1) -> tuple[list[int], Found]:
        questions, found = self.forwarding.on_answer(request.number, status, body, now)
        return [each.request_id for each in questions], found


def test_a_keep_alive_goes_to_the_leader_and_its_answer_is_the_ttl() -> None:
    sender = Sender()
    sender.forwarding.add(question(1))
    [request] = sender.take()
    body = pb.LeaseKeepAliveRequest(ID=7).SerializeToString()
    assert request == Request(request.number, LEADER, "/leases", body, 7.0)
    assert sender.answer(request, 200, renewed(7, 60)) == ([1], 60)
    assert len(sender.forwarding) == 0


def test_time_to_live_is_asked_with_keys_only_if_they_are_wanted() -> None:
    sender = Sender()
    for number, keys in ((1, True), (2, False)):
        sender.forwarding.add(question(number, method=TIME_TO_LIVE, keys=keys))
    first, second = sender.take()
    asked = [leasepb.LeaseInternalRequest.FromString(each.body).LeaseTimeToLiveRequest for each in (first, second)]
    assert [(each.ID, each.keys) for each in asked] == [(7, True), (7, False)]
    assert first.path == "/leases/internal"
    told = pb.LeaseTimeToLiveResponse(ID=7, TTL=5, grantedTTL=60, keys=[b"k"])
    body = leasepb.LeaseInternalResponse(LeaseTimeToLiveResponse=told).SerializeToString()
    assert sender.answer(first, 200, body) == ([1], told)


@pytest.mark.parametrize("method", [KEEP_ALIVE, TIME_TO_LIVE])
def test_not_found_is_an_answer(method: int) -> None:
    sender = Sender()
    sender.forwarding.add(question(1, method=method))
    assert sender.answer(sender.take()[0], 404, b"lease not found\n") == ([1], None)


@pytest.mark.parametrize(
    ("status", "body"),
    [(0, b"refused"), (400, b"not a primary lessor\n"), (408, b""), (500, b""), (200, b"\xff"), (200, renewed(8, 60))],
)
def test_whatever_is_no_answer_is_asked_again_a_little_later(status: int, body: bytes) -> None:
    sender = Sender()
    sender.forwarding.add(question(1))
    [request] = sender.take()
    assert sender.answer(request, status, body, now=1.0) == ([], None)
    assert sender.take() == []
    assert sender.forwarding.next_due_s() == 1.0 + RETRY_S
    sender.forwarding.retry(1.0 + RETRY_S)
    [again] = sender.take()
    assert (again.to, again.body, again.timeout_s) == (LEADER, request.body, pytest.approx(6.0 - RETRY_S))
    assert sender.answer(again, 200, renewed(7, 60)) == ([1], 60)
    assert sender.forwarding.next_due_s() == NEVER


def test_nothing_leaves_while_nobody_leads_and_a_new_leader_is_asked_everything() -> None:
    sender = Sender(leader=0)
    sender.forwarding.add(question(1))
    assert sender.take() == []
    sender.forwarding.go_to(LEADER, 1.0)
    [first] = sender.take()
    sender.forwarding.go_to(0, 2.0)
    sender.forwarding.go_to(NEXT, 3.0)
    [second] = sender.take()
    assert (first.to, second.to) == (LEADER, NEXT)
    assert sender.answer(first, 200, renewed(7, 60)) == ([], None), "the old leader's word counts no more"
    assert sender.answer(second, 200, renewed(7, 60)) == ([1], 60)


def test_an_answer_of_the_last_leader_counts_while_there_is_no_other() -> None:
    sender = Sender()
    sender.forwarding.add(question(1))
    [request] = sender.take()
    sender.forwarding.go_to(0, 1.0)
    assert sender.answer(request, 200, renewed(7, 60)) == ([1], 60)


def test_keep_alives_of_a_lease_that_have_not_left_share_a_request() -> None:
    sender = Sender(leader=0)
    for number in (1, 2, 3):
        sender.forwarding.add(question(number))
    sender.forwarding.go_to(LEADER, 1.0)
    [request] = sender.take()
    sender.forwarding.add(question(4, came_s=1.0))
    assert len(sender.take()) == 1, "what came after it had left is not answered by it"
    assert sender.answer(request, 200, renewed(7, 60)) == ([1, 2, 3], 60)


def test_so_many_are_under_way_at_a_time_and_the_others_follow_in_order() -> None:
    sender = Sender()
    most = limits.LEASE_FORWARDS_IN_FLIGHT
    for lease_id in range(1, most + 3):
        sender.forwarding.add(question(lease_id, lease_id))
    requests = sender.take()
    assert len(requests) == most
    sender.answer(requests[5], 200, renewed(6, 60))
    [next_one] = sender.take()
    assert most + 1 == pb.LeaseKeepAliveRequest.FromString(next_one.body).ID


def test_who_has_stopped_waiting_is_not_asked_for_any_more() -> None:
    sender = Sender(leader=0)
    sender.forwarding.add(question(1, lease_id=1, came_s=0.0))
    sender.forwarding.add(question(2, lease_id=2, came_s=1.5))
    sender.forwarding.go_to(LEADER, 7.5)
    [request] = sender.take()
    assert pb.LeaseKeepAliveRequest.FromString(request.body).ID == 2
    assert request.timeout_s == pytest.approx(1.0)


def test_a_new_sender_is_given_everything_again() -> None:
    sender = Sender()
    sender.forwarding.add(question(1))
    [lost] = sender.take()
    sender.forwarding.ask_again(1.0)
    [again] = sender.take()
    assert again.number != lost.number
    assert sender.answer(again, 200, renewed(7, 60)) == ([1], 60)


def test_all_is_taken_back_when_this_member_leads() -> None:
    sender = Sender()
    for number in (1, 2, 3):
        sender.forwarding.add(question(number, lease_id=number))
    requests = sender.take()
    sender.answer(requests[0], 500)
    assert sorted(each.request_id for each in sender.forwarding.take_back()) == [1, 2, 3]
    assert (len(sender.forwarding), sender.forwarding.next_due_s()) == (0, NEVER)
