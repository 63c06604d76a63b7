"""The lessor actor: clocks of leases. Answers keep-alives, proposes the revokes of leases that have run out.

Which leases there are is applied state, and the backend's: this process starts without any, asks for the table, and
hears of every change. So after its own restart the clocks start anew, as on a new leader: no lease ends early.
What it does is in `etcdz.lease`; keep-alives go listener -> lessor -> listener and meet no apply on their way.
"""

import time
from typing import Any

from actors.runtime.link import Peer
from actors.runtime.loop import Actor, run_actor
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
    Propose,
    Refused,
    Replies,
)
from etcdz.ipc.request_ids import LESSOR_SLOT, RequestIds
from etcdz.lease.clocks import NEVER, Clocks
from etcdz.lease.lessor import Leader, Lessor


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
        }
        self._ids_of = self.config.advertised_member_id
        self._ids = RequestIds(self._ids_of, LESSOR_SLOT, time.time_ns() // 1000)
        self.lessor = Lessor(
            Clocks(self.config.lease_checkpoint),
            lambda: self._ids.next(),
            extend_s=self.config.election_ms / 1000,
            hold_s=self.config.request_timeout_s,
        )

    # ---- resync ----

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "backend":
            self.lessor.on_backend_lost()
        elif peer.kind == "raft":
            self.lessor.offer_again()

    def on_peer_down(self, peer: Peer) -> None:
        if peer.kind == "raft":
            self.lessor.on_leader_lost(elsewhere=False, now=time.monotonic())

    # ---- messages ----

    def on_leadership(self, message: Leadership) -> None:
        now = time.monotonic()
        if message.lead_index:
            alone = message.read_index is not None
            self.lessor.on_leader(Leader(message.term, message.lead_index, alone), now)
        else:
            elsewhere = message.leader not in (0, self.lessor.member_id)
            self.lessor.on_leader_lost(elsewhere, now)

    def on_members(self, message: Members) -> None:
        """Request ids are made of the id that this member has, whatever its flags say now."""
        if message.member_id != self._ids_of:
            self._ids_of = message.member_id
            self._ids = RequestIds(message.member_id, LESSOR_SLOT, time.time_ns() // 1000)

    def on_lease_calls(self, message: LeaseCalls) -> None:
        self.lessor.on_calls(message.slot, message.revision, message.items, time.monotonic())

    def on_lease_table(self, message: LeaseTable) -> None:
        rows = message.leases
        leases = dict(zip(rows[::3], zip(rows[1::3], rows[2::3], strict=True), strict=True))
        identity = (message.cluster_id, message.member_id)
        self.lessor.on_table(message.at_index, identity, message.revision, leases, time.monotonic())

    def on_lease_events(self, message: LeaseEvents) -> None:
        self.lessor.on_events(message.revision, message.items, time.monotonic())

    def on_lease_news_end(self, message: LeaseNewsEnd) -> None:
        self.lessor.on_news(message.number, time.monotonic())

    def on_replies(self, message: Replies) -> None:
        self.lessor.on_replies([item[0] for item in message.items])

    def on_refused(self, message: Refused) -> None:
        self.lessor.on_refused([item[0] for item in message.items])

    # ---- the turn ----

    def on_turn_end(self) -> None:
        lessor, send = self.lessor, self.links.send
        if lessor.answers:
            for slot, items in lessor.answers.items():
                if items:
                    send(self.links.listener(slot), LeaseAnswers(items))
            lessor.answers = {}
        if lessor.proposals:
            send("raft", Propose(LESSOR_SLOT, lessor.proposals))
            lessor.proposals = []
        if lessor.ask_table is not None:
            send("backend", LeaseHello(lessor.ask_table))
            lessor.ask_table = None
        if lessor.ask_news is not None:
            send("backend", LeaseNews(lessor.ask_news))
            lessor.ask_news = None

    def next_deadline(self) -> float | None:
        deadline = self.lessor.next_sweep_s()
        return None if deadline == NEVER else deadline

    def on_deadline(self, now: float) -> None:
        self.lessor.sweep(now)

    def summary(self) -> dict[str, Any]:
        return self.lessor.summary()


def run(boot: Boot) -> int:
    return run_actor(LessorActor, boot)
