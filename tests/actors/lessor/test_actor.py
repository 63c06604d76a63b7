"""The lessor's messages: whom it asks when, and what it sends at the end of a turn. Its rules: tests/lease."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.lessor.actor import LessorActor
from actors.runtime.link import Peer
from etcdz.api.methods import LEASE_TIME_TO_LIVE
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    Leadership,
    LeaseAnswers,
    LeaseCalls,
    LeaseEvents,
    LeaseHello,
    LeaseNews,
    LeaseNewsEnd,
    LeaseTable,
    PeerAnswer,
    PeerAsk,
    PeerCall,
    PeerReply,
    Propose,
    Read,
    ReadIndex,
    ReadStates,
    Refused,
    Replies,
)
from etcdz.ipc.request_ids import LESSOR_SLOT, slot_of
from etcdz.lease.lessor import GONE
from etcdz.lease.question import CLOCK, KEEP_ALIVE, TIME_TO_LIVE
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import leasepb
from tests.actors.recorded_links import RecordedLinks

ME, CLUSTER = 11, 12
LEADS = Leadership(incarnation=5, term=3, leader=ME, commit=9, read_index=9, ready_index=9, lead_index=9)
BACKEND, RAFT = Peer("backend", "backend", 0, 9, ""), Peer("raft", "raft", 0, 9, "")


class Bench:
    """A lessor that knows one lease, 4, of 60 s, and the time."""

    now = 1000.0

    def __init__(self, folder: Path) -> None:
        config = MemberConfig()
        endpoints = f"ipc://{folder}/lessor", f"ipc://{folder}/supervisor"
        self.actor = LessorActor(Boot("lessor", "lessor", 0, 7, str(folder), *endpoints, [], config.to_dict(), {}))
        self.actor.links.close(0)
        links: Any = RecordedLinks()
        self.links = self.actor.links = links

    def turn(self, *messages: Any) -> list[tuple[str, Any]]:
        for message in messages:
            self.actor.handlers[type(message)](message)
        self.actor.on_turn_end()
        return self.links.take()

    def serve(self) -> None:
        self.actor.on_peer_up(BACKEND)
        [(_, hello)] = self.turn(LEADS)
        self.turn(LeaseTable(hello.at_index, CLUSTER, ME, 20, [4, 60, 0]))

    def expire(self) -> tuple[int, bytes]:
        """Lets the lease run out. return the proposal of its revoke"""
        self.now += 100.0
        self.actor.on_deadline(self.now)
        [(name, message)] = self.turn()
        assert (name, message.slot) == ("raft", LESSOR_SLOT)
        [proposal] = message.items
        return proposal


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:
        one = Bench(Path(folder))
        monkeypatch.setattr("time.monotonic", lambda: one.now)
        try:
            yield one
        finally:
            one.actor.mailbox.close()
            one.actor.context.term()


def ttl(body: bytes) -> int:
    return int(pb.LeaseKeepAliveResponse.FromString(body).TTL)


def test_calls_wait_for_the_table_and_are_answered_with_it(bench: Bench) -> None:
    bench.actor.on_peer_up(BACKEND)
    sent = bench.turn(LEADS, LeaseCalls(2, 20, [(70, KEEP_ALIVE, 4)]))
    assert sent == [("backend", LeaseHello(LEADS.lead_index))]
    [(name, answers)] = bench.turn(LeaseTable(LEADS.lead_index, CLUSTER, ME, 20, [4, 60, 0]))
    assert (name, [(request_id, ttl(body)) for request_id, body in answers.items]) == ("listener-2", [(70, 60)])


def test_a_keep_alive_is_answered_in_its_own_turn_and_asks_no_other_process(bench: Bench) -> None:
    bench.serve()
    [(name, answers)] = bench.turn(LeaseCalls(2, 20, [(70, KEEP_ALIVE, 4)]))
    assert (name, type(answers)) == ("listener-2", LeaseAnswers)


def test_a_lease_that_is_not_known_is_asked_for_before_it_is_called_gone(bench: Bench) -> None:
    bench.serve()
    [(name, news)] = bench.turn(LeaseCalls(2, 20, [(70, KEEP_ALIVE, 5)]))
    assert (name, type(news)) == ("backend", LeaseNews)
    [(_, answers)] = bench.turn(LeaseNewsEnd(news.number))
    assert [(request_id, ttl(body)) for request_id, body in answers.items] == [(70, 0)]


def test_a_lease_that_has_run_out_is_revoked_through_raft_and_gone_when_the_backend_says_so(bench: Bench) -> None:
    bench.serve()
    request_id, entry = bench.expire()
    assert slot_of(request_id) == LESSOR_SLOT
    assert pb.InternalRaftRequest.FromString(entry).lease_revoke.ID == 4
    assert bench.turn(LeaseCalls(2, 20, [(70, KEEP_ALIVE, 4)])) == [], "nothing renews it any more"
    [(_, answers)] = bench.turn(Replies(9, 30, [(request_id, 0, b"")], 21), LeaseEvents(21, [(GONE, 4, 0)]))
    assert [ttl(body) for _, body in answers.items] == [0]
    assert bench.actor.summary()["leases"] == 0


def test_a_proposal_without_a_reply_is_offered_to_a_new_raft_and_one_that_is_refused_a_little_later(
    bench: Bench,
) -> None:
    bench.serve()
    proposal = bench.expire()
    bench.actor.on_peer_up(RAFT)
    assert bench.turn() == [("raft", Propose(LESSOR_SLOT, [proposal]))]
    assert bench.turn(Refused([(proposal[0], "NO_SPACE")])) == []
    at = bench.actor.next_deadline()
    assert at is not None
    bench.now = at
    bench.actor.on_deadline(at)
    assert bench.turn() == [("raft", Propose(LESSOR_SLOT, [proposal]))]


def test_a_raft_that_dies_stops_answers_and_the_next_leadership_brings_them_back(bench: Bench) -> None:
    bench.serve()
    bench.actor.on_peer_down(RAFT)
    assert bench.turn(LeaseCalls(2, 20, [(70, KEEP_ALIVE, 4)])) == []
    [(_, answers)] = bench.turn(LEADS._replace(term=4, lead_index=12))
    assert [ttl(body) for _, body in answers.items] == [60], "the clocks have gone on: no other member can have led"


def test_a_new_backend_is_asked_for_the_table_at_once(bench: Bench) -> None:
    bench.serve()
    bench.actor.on_peer_up(BACKEND)
    assert bench.turn() == [("backend", LeaseHello(0))]
    assert bench.turn(LeaseTable(0, CLUSTER, ME, 20, [])) == []
    assert bench.actor.summary()["leases"] == 0


# ---- in a cluster ----

OTHER = 13
LEADS_OTHERS = LEADS._replace(read_index=None)
FOLLOWS = LEADS_OTHERS._replace(leader=OTHER, lead_index=0, term=8)
PEER = Peer("peer", "peer", 0, 9, "")
RENEWAL = pb.LeaseKeepAliveRequest(ID=4).SerializeToString()


def follow(bench: Bench) -> None:
    bench.actor.on_peer_up(BACKEND)
    [(_, hello)] = bench.turn()
    assert bench.turn(LeaseTable(hello.at_index, CLUSTER, ME, 20, [4, 60, 0]), FOLLOWS) == []


def lead_others(bench: Bench) -> None:
    bench.actor.on_peer_up(BACKEND)
    [(_, hello)] = bench.turn(LEADS_OTHERS)
    assert bench.turn(LeaseTable(hello.at_index, CLUSTER, ME, 20, [4, 60, 0])) == []


def index_asked(sent: list[tuple[str, Any]]) -> int:
    """Request id of the read index that raft is asked for."""
    [(name, message)] = sent
    assert (name, type(message), message.slot) == ("raft", ReadIndex, LESSOR_SLOT)
    [request_id] = message.ids
    return int(request_id)


def test_a_follower_asks_the_leader_by_the_peer_actor_and_tries_again(bench: Bench) -> None:
    follow(bench)
    [(name, call)] = bench.turn(LeaseCalls(2, 20, [(70, KEEP_ALIVE, 4)]))
    assert (name, call) == ("peer", PeerCall("lessor", call.id, OTHER, "POST", "/leases", RENEWAL, 7.0))
    assert bench.turn(PeerAnswer(call.id, 0, b"refused")) == []
    at = bench.actor.next_deadline()
    assert at == pytest.approx(bench.now + 0.05)
    bench.now = at or 0.0
    bench.actor.on_deadline(bench.now)
    [(_, again)] = bench.turn()
    renewed = pb.LeaseKeepAliveResponse(ID=4, TTL=60).SerializeToString()
    [(name, answers)] = bench.turn(PeerAnswer(again.id, 200, renewed))
    assert (name, [(request_id, ttl(body)) for request_id, body in answers.items]) == ("listener-2", [(70, 60)])


def test_a_new_peer_actor_is_given_what_is_unanswered(bench: Bench) -> None:
    follow(bench)
    [(_, call)] = bench.turn(LeaseCalls(2, 20, [(70, KEEP_ALIVE, 4)]))
    bench.actor.on_peer_up(PEER)
    [(name, again)] = bench.turn()
    assert (name, again._replace(id=call.id)) == ("peer", call)


def test_a_follower_passes_the_leaders_time_to_live_on(bench: Bench) -> None:
    follow(bench)
    [(_, call)] = bench.turn(LeaseCalls(2, 20, [(70, TIME_TO_LIVE, 4)], [70]))
    told = pb.LeaseTimeToLiveResponse(ID=4, TTL=50, grantedTTL=60, keys=[b"k"])
    body = leasepb.LeaseInternalResponse(LeaseTimeToLiveResponse=told).SerializeToString()
    [(name, answers)] = bench.turn(PeerAnswer(call.id, 200, body))
    assert (name, answers.items) == ("listener-2", [])
    [(request_id, final)] = answers.final
    found = pb.LeaseTimeToLiveResponse.FromString(final)
    assert (request_id, found.TTL, list(found.keys), found.header.member_id) == (70, 50, [b"k"], ME)


def test_a_leader_of_others_asks_raft_and_then_the_backend_before_it_answers(bench: Bench) -> None:
    lead_others(bench)
    request_id = index_asked(bench.turn(LeaseCalls(2, 20, [(70, KEEP_ALIVE, 4)])))
    [(name, news)] = bench.turn(ReadStates(30, [request_id]))
    assert (name, news) == ("backend", LeaseNews(0, 30))
    [(name, answers)] = bench.turn(LeaseNewsEnd(0, 31))
    assert (name, [ttl(body) for _, body in answers.items]) == ("listener-2", [60])


def test_a_revoke_is_proposed_for_the_leaders_term_alone(bench: Bench) -> None:
    lead_others(bench)
    bench.now += 100.0
    bench.actor.on_deadline(bench.now)
    request_id = index_asked(bench.turn())
    [(name, message)] = bench.turn(ReadStates(LEADS.lead_index, [request_id]))
    assert (name, type(message), message.only_term) == ("raft", Propose, LEADS.term)
    assert pb.InternalRaftRequest.FromString(message.items[0][1]).lease_revoke.ID == 4


def test_a_member_alone_proposes_for_any_term(bench: Bench) -> None:
    bench.serve()
    bench.now += 100.0
    bench.actor.on_deadline(bench.now)
    [(_, message)] = bench.turn()
    assert message.only_term == 0


def test_another_member_is_answered_over_the_peer_actor(bench: Bench) -> None:
    lead_others(bench)
    request_id = index_asked(bench.turn(PeerAsk(5, "POST", "/leases", RENEWAL)))
    sent = bench.turn(ReadStates(LEADS.lead_index, [request_id]))
    body = pb.LeaseKeepAliveResponse(ID=4, TTL=60).SerializeToString()
    assert sent == [("peer", PeerReply(5, 200, "application/protobuf", body))]


def test_the_backend_has_the_rest_of_another_members_time_to_live(bench: Bench) -> None:
    lead_others(bench)
    asked = leasepb.LeaseInternalRequest(LeaseTimeToLiveRequest=pb.LeaseTimeToLiveRequest(ID=4))
    request_id = index_asked(bench.turn(PeerAsk(5, "POST", "/leases/internal", asked.SerializeToString())))
    [(name, read)] = bench.turn(ReadStates(LEADS.lead_index, [request_id]))
    assert (name, type(read), read.slot) == ("backend", Read, LESSOR_SLOT)
    [(read_id, method, body, index)] = read.items
    assert (method, body, index) == (LEASE_TIME_TO_LIVE, CLOCK.pack(4, 61) + b"\0", 0)
    told = pb.LeaseTimeToLiveResponse(ID=4, TTL=61, grantedTTL=60).SerializeToString()
    [(name, reply)] = bench.turn(Replies(9, 0, [(read_id, 0, told)], 21))
    assert (name, reply.id, reply.status) == ("peer", 5, 200)


def test_another_member_is_refused_at_once_by_a_follower(bench: Bench) -> None:
    follow(bench)
    sent = bench.turn(PeerAsk(5, "POST", "/leases", RENEWAL))
    assert sent == [("peer", PeerReply(5, 400, "text/plain; charset=utf-8", b"not a primary lessor\n"))]


def test_another_member_does_not_wait_for_long(bench: Bench) -> None:
    lead_others(bench)
    bench.turn(PeerAsk(5, "POST", "/leases", RENEWAL))
    assert bench.actor.next_deadline() == bench.now + 1.0
    bench.now += 1.0
    bench.actor.on_deadline(bench.now)
    [(_, reply)] = bench.turn()
    assert reply.status == 408
