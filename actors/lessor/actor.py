"""The lessor actor: clocks of leases. Answers keep-alives, proposes the revokes of leases that have run out.

Which leases there are is applied state, and the backend's: this process starts without any, asks for the table, and
hears of every change. So after its own restart the clocks start anew, as on a new leader: no lease ends early.
What it does is in `etcdz.lease`; keep-alives go listener -> lessor -> listener and meet no apply on their way.

    alone        LeaseCalls -> LeaseAnswers
    leader       LeaseCalls, PeerAsk -> ReadIndex, ReadStates -> LeaseNews, LeaseNewsEnd -> LeaseAnswers, PeerReply
    follower     LeaseCalls -> PeerCall -> the leader's peer actor and lessor -> PeerAnswer -> LeaseAnswers
"""

import time
from typing import Any

from actors.runtime.link import Peer
from actors.runtime.loop import Actor, run_actor
from etcdz.api.auth_info import THE_MEMBER
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
    Members,
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
from etcdz.ipc.request_ids import LESSOR_SLOT, RequestIds
from etcdz.lease.clocks import NEVER, Clocks
from etcdz.lease.lessor import Leader, Lessor
from etcdz.lease.peer_requests import PeerRequests


class LessorActor(Actor):
    """One per member."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.handlers |= {
            Leadership: self.on_leadership,
            LeaseCalls: self.on_lease_calls,
            LeaseTable: self.on_lease_table,
            LeaseEvents: self.on_lease_events,
            LeaseNewsEnd: self.on_lease_news_end,
            Members: self.on_members,
            Replies: self.on_replies,
            Refused: self.on_refused,
            ReadStates: self.on_read_states,
            PeerAnswer: self.on_peer_answer,
            PeerAsk: self.on_peer_ask,
        }
        self._ids_of = self.config.advertised_member_id
        self._ids = RequestIds(self._ids_of, LESSOR_SLOT, time.time_ns() // 1000)
        self.lessor = Lessor(
            Clocks(self.config.lease_checkpoint),
            lambda: self._ids.next(),
            extend_s=self.config.election_ms / 1000,
            hold_s=self.config.request_timeout_s,
        )
        self.peer_requests = PeerRequests(lambda: self._ids.next(), self.lessor.awaits_revoke)

    # ---- resync ----

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "backend":
            self.lessor.on_backend_lost()
        elif peer.kind == "raft":
            self.lessor.offer_again()
        elif peer.kind == "peer":
            self.peer_requests.forget()
            self.lessor.forwarding.ask_again(time.monotonic())

    def on_peer_down(self, peer: Peer) -> None:
        if peer.kind == "raft":
            self.lessor.on_no_leader(time.monotonic())

    # ---- messages ----

    def on_leadership(self, message: Leadership) -> None:
        now = time.monotonic()
        if message.lead_index:
            alone = message.read_index is not None
            self.lessor.on_leader(Leader(message.term, message.lead_index, alone), now)
        elif message.leader in (0, self.lessor.member_id):
            self.lessor.on_no_leader(now)
        else:
            self.lessor.on_other_leader(message.term, message.leader, now)

    def on_members(self, message: Members) -> None:
        """Request ids are made of the id that this member has, whatever its flags say now."""
        if message.member_id != self._ids_of:
            self._ids_of = message.member_id
            self._ids = RequestIds(message.member_id, LESSOR_SLOT, time.time_ns() // 1000)

    def on_lease_calls(self, message: LeaseCalls) -> None:
        self.lessor.on_calls(message.slot, message.revision, message.items, time.monotonic(), message.with_keys)

    def on_lease_table(self, message: LeaseTable) -> None:
        rows = message.leases
        leases = dict(zip(rows[::3], zip(rows[1::3], rows[2::3], strict=True), strict=True))
        identity = (message.cluster_id, message.member_id)
        self.lessor.on_table(message.at_index, identity, message.revision, leases, time.monotonic())

    def on_lease_events(self, message: LeaseEvents) -> None:
        self.lessor.on_events(message.revision, message.items, time.monotonic())

    def on_lease_news_end(self, message: LeaseNewsEnd) -> None:
        self.lessor.on_news(message.number, message.applied_index, time.monotonic())

    def on_replies(self, message: Replies) -> None:
        """Of the backend: to what was proposed, or to what another member has asked for."""
        if message.batch:
            self.lessor.on_replies([item[0] for item in message.items])
        else:
            for request_id, _, body in message.items:
                self.peer_requests.on_backend_answer(request_id, body)

    def on_refused(self, message: Refused) -> None:
        request_ids = [item[0] for item in message.items]
        self.lessor.on_refused(request_ids)
        self.lessor.confirmation.on_refused(request_ids, time.monotonic())

    def on_read_states(self, message: ReadStates) -> None:
        self.lessor.on_index(message.ids, message.read_index, time.monotonic())

    # ---- other members ----

    def on_peer_answer(self, message: PeerAnswer) -> None:
        self.lessor.on_leader_answer(message.id, message.status, message.body, time.monotonic())

    def on_peer_ask(self, message: PeerAsk) -> None:
        now = time.monotonic()
        question = self.peer_requests.on_request(message.id, message.method, message.path, message.body, now)
        if question is not None:
            self.lessor.on_peer_question(question, now)

    # ---- the turn ----

    def on_turn_end(self) -> None:
        lessor, send = self.lessor, self.links.send
        if lessor.confirmation.waiting or lessor.confirmation.wants_sweep:
            lessor.confirmation.begin(time.monotonic())
        if lessor.answers:
            for slot, items in lessor.answers.items():
                if items:
                    send(self.links.listener(slot), LeaseAnswers(items))
            lessor.answers = {}
        if lessor.proposals:
            send("raft", Propose(LESSOR_SLOT, lessor.proposals, only_term=lessor.proposal_term))
            lessor.proposals = []
        if lessor.ask_table is not None:
            send("backend", LeaseHello(lessor.ask_table))
            lessor.ask_table = None
        if lessor.ask_news is not None:
            send("backend", LeaseNews(lessor.ask_news))
            lessor.ask_news = None
        if not lessor.is_alone:
            self._ask_others()
        if lessor.verdicts or self.peer_requests:
            self._answer_members()

    def _ask_others(self) -> None:
        """Raft and the backend, to be certain of the lead; or the member that leads."""
        lessor, send = self.lessor, self.links.send
        confirmation, forwarding = lessor.confirmation, lessor.forwarding
        if confirmation.ask_index is not None:
            send("raft", ReadIndex(LESSOR_SLOT, [confirmation.ask_index]))
            confirmation.ask_index = None
        if confirmation.ask_applied is not None:
            send("backend", LeaseNews(0, confirmation.ask_applied))
            confirmation.ask_applied = None
        for request in forwarding.requests:
            to = request.number, request.to, "POST", request.path, request.body, request.timeout_s
            send("peer", PeerCall(self.boot.name, *to))
        forwarding.requests = []
        for slot, items in lessor.final.items():
            send(self.links.listener(slot), LeaseAnswers([], items))
        lessor.final = {}

    def _answer_members(self) -> None:
        lessor, requests, send = self.lessor, self.peer_requests, self.links.send
        for verdict in lessor.verdicts:
            requests.on_verdict(verdict)
        lessor.verdicts = []
        if requests.reads:
            items = [(request_id, LEASE_TIME_TO_LIVE, body, 0) for request_id, body in requests.reads]
            # Whether its client may see a lease's keys, the member that asks has seen to.
            askers = [(request_id, *THE_MEMBER) for request_id, _ in requests.reads]
            send("backend", Read(LESSOR_SLOT, items, askers))
            requests.reads = []
        self.links.send_all("peer", [PeerReply(*reply) for reply in requests.replies])
        requests.replies = []

    def next_deadline(self) -> float | None:
        lessor = self.lessor
        deadline = lessor.next_sweep_s()
        if not lessor.is_alone:
            deadline = min(deadline, lessor.forwarding.next_due_s(), lessor.confirmation.next_due_s())
        if self.peer_requests:
            deadline = min(deadline, self.peer_requests.next_due_s())
        return None if deadline == NEVER else deadline

    def on_deadline(self, now: float) -> None:
        lessor = self.lessor
        lessor.sweep(now)
        if not lessor.is_alone:
            lessor.forwarding.retry(now)
        if self.peer_requests:
            self.peer_requests.expire(now)

    def summary(self) -> dict[str, Any]:
        return self.lessor.summary()

    def metrics(self) -> dict[str, Any]:
        return {"leases_renewed": self.lessor.renewed, "leases_expired": self.lessor.expired}


def run(boot: Boot) -> int:
    return run_actor(LessorActor, boot)
