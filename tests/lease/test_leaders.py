"""Three lessors while leaders change, members stand still and messages are late: what clients were told holds.

Raft is an oracle here: it knows who really leads. A member that has lost the lead believes in it until it hears
otherwise, and what it proposes is lost. Time, messages and elections come from one seed.
"""

import random
from collections import deque
from itertools import count

import pytest

from etcdz.lease.clocks import Clocks
from etcdz.lease.lessor import GONE, Leader, Lessor
from etcdz.lease.peer_requests import PeerRequests
from etcdz.lease.question import KEEP_ALIVE
from etcdz.proto import etcdserverpb as pb

TTL_S = 10
LEASES = range(1, 41)
SLOT = 1


class Member:
    """A lessor, its part of the log, and what it has heard of leaders."""

    def __init__(self, member_id: int) -> None:
        self.id = member_id
        ids = count(member_id << 32).__next__
        self.lessor = Lessor(Clocks(), ids, extend_s=1.0, hold_s=7.0)
        self.requests = PeerRequests(ids, self.lessor.awaits_revoke)
        self.applied = 0
        self.table_at: int | None = 0
        self.news_at: int | None = None
        self.reads: list[int] = []
        """Request ids that raft was asked for."""
        self.heard: deque[tuple[int, int, int]] = deque()
        """On the way from raft: (term, leader, index of the entry that the term begins with)."""
        self.until = 0.0
        """It stands still until then."""
        self.lessor.on_backend_lost()


class World:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.members = {number: Member(number) for number in (1, 2, 3)}
        self.log: list[int] = []
        """Leases that were revoked, in order; 0 for an entry that changes none."""
        self.term, self.leader = 0, 0
        self.posts: list[tuple[int, int, int, str, bytes]] = []
        """Between members: (from, number, to, path, body)."""
        self.asked: dict[int, tuple[int, float]] = {}
        """Keep-alives of clients: number -> (lease, when)."""
        self.promised: dict[int, float] = dict.fromkeys(LEASES, 0.0)
        """Until when a lease lives at least, as some client knows."""
        self.ended: dict[int, float] = {}
        """When a lease was revoked."""
        self.numbers = count(1).__next__
        self.renewed = self.elections = 0
        self.elect()

    def elect(self) -> None:
        self.term += 1
        self.elections += 1
        self.leader = self.random.choice([number for number in self.members if number != self.leader])
        self.log.append(0)
        for member in self.members.values():
            member.heard.append((self.term, self.leader, len(self.log)))

    def ask(self) -> None:
        member = self.random.choice(list(self.members.values()))
        number, lease_id = self.numbers(), self.random.choice(LEASES)
        if member.until <= self.now:
            self.asked[number] = lease_id, self.now
            member.lessor.on_calls(SLOT, 1, [(number, KEEP_ALIVE, lease_id)], self.now)

    # ---- what a member may do next

    def hear(self, member: Member) -> None:
        if member.heard:
            term, leader, index = member.heard.popleft()
            if leader == member.id:
                member.lessor.on_leader(Leader(term, index, False), self.now)
            else:
                member.lessor.on_other_leader(term, leader, self.now)

    def apply(self, member: Member) -> None:
        """What is committed, in order; then what the backend has been asked."""
        lessor = member.lessor
        while member.applied < len(self.log) and self.random.random() < 0.8:
            lease_id = self.log[member.applied]
            member.applied += 1
            if lease_id:
                lessor.on_events(1, [(GONE, lease_id, 0)], self.now)
        if member.table_at is not None and member.applied >= member.table_at:
            gone = set(self.log[: member.applied])
            leases = {lease_id: (TTL_S, 0) for lease_id in LEASES if lease_id not in gone}
            asked, member.table_at = member.table_at, None
            lessor.on_table(asked, (9, member.id), 1, leases, self.now)
        if member.news_at is not None and member.applied >= member.news_at:
            member.news_at = None
            lessor.on_news(0, member.applied, self.now)

    def confirm(self, member: Member) -> None:
        """Only who leads is confirmed. Whoever has asked before it led has forgotten that."""
        reads, member.reads = member.reads, []
        if reads and self.leader == member.id and not member.heard:
            member.lessor.on_index(reads, len(self.log), self.now)

    def end_turn(self, member: Member) -> None:
        lessor, requests = member.lessor, member.requests
        lessor.sweep(self.now)
        lessor.forwarding.retry(self.now)
        requests.expire(self.now)
        lessor.confirmation.begin(self.now)
        if lessor.confirmation.ask_index is not None:
            member.reads.append(lessor.confirmation.ask_index)
            lessor.confirmation.ask_index = None
        if lessor.confirmation.ask_applied is not None:
            member.news_at, lessor.confirmation.ask_applied = lessor.confirmation.ask_applied, None
        if lessor.ask_table is not None:
            member.table_at, lessor.ask_table = lessor.ask_table, None
        self._propose(member)
        for each in lessor.forwarding.requests:
            self.posts.append((member.id, each.number, each.to, each.path, each.body))
        lessor.forwarding.requests = []
        for verdict in lessor.verdicts:
            requests.on_verdict(verdict)
        lessor.verdicts = []
        for reply in requests.replies:
            asker, number = divmod(reply.ask_id, 1 << 32)
            self.members[asker].lessor.on_leader_answer(number, reply.status, reply.body, self.now)
        requests.replies = []
        answers, lessor.answers = lessor.answers, {}
        for number, body in answers.get(SLOT, ()):
            self._tell(number, pb.LeaseKeepAliveResponse.FromString(body).TTL)

    def _propose(self, member: Member) -> None:
        """NB: the rule of raft's side: only the leader of that term appends it."""
        proposals, member.lessor.proposals = member.lessor.proposals, []
        if (member.lessor.proposal_term, member.id) != (self.term, self.leader):
            return
        for _, data in proposals:
            lease_id = pb.InternalRaftRequest.FromString(data).lease_revoke.ID
            if lease_id not in self.log:
                assert self.now >= self.promised[lease_id], f"lease {lease_id} ends too early"
                self.log.append(lease_id)
                self.ended[lease_id] = self.now

    def _tell(self, number: int, ttl_s: int) -> None:
        lease_id, sent_s = self.asked.pop(number)
        if ttl_s:
            ended_s = self.ended.get(lease_id, self.now + ttl_s)
            assert ended_s >= sent_s + ttl_s, f"lease {lease_id} has ended {self.now - ended_s:.1f} s ago"
            self.promised[lease_id] = max(self.promised[lease_id], sent_s + ttl_s)
            self.renewed += 1

    def deliver(self) -> None:
        """Some request between members arrives, or gets lost."""
        if not self.posts:
            return
        asker, number, to, path, body = self.posts.pop(self.random.randrange(len(self.posts)))
        target = self.members[to]
        if self.random.random() < 0.1 or target.until > self.now:
            self.members[asker].lessor.on_leader_answer(number, 0, b"lost", self.now)
            return
        question = target.requests.on_request(asker << 32 | number, "POST", path, body, self.now)
        if question is not None:
            target.lessor.on_peer_question(question, self.now)

    def step(self) -> None:
        chance = self.random.random()
        self.now += 0.02
        if chance < 0.004:
            self.elect()
        elif chance < 0.008:
            self.random.choice(list(self.members.values())).until = self.now + self.random.uniform(0.5, 2.5 * TTL_S)
        elif chance < 0.08:
            self.ask()
        elif chance < 0.4:
            self.deliver()
        for member in self.members.values():
            if member.until <= self.now and self.random.random() < 0.7:
                self.random.choice((self.hear, self.apply, self.confirm, self.apply, self.confirm))(member)
                self.end_turn(member)


@pytest.mark.parametrize("seed", range(12))
def test_no_lease_ends_before_what_a_client_was_told_and_none_that_is_gone_is_renewed(seed: int) -> None:
    world = World(seed)
    for _ in range(3_000):
        world.step()
    assert world.renewed > 20
    assert world.elections > 3


def test_leases_end_when_nobody_keeps_them_alive() -> None:
    world = World(1)
    for _ in range(6_000):
        world.now += 0.02
        for member in world.members.values():
            for act in (world.hear, world.apply, world.confirm):
                act(member)
            world.end_turn(member)
    assert set(world.log) >= set(LEASES)
