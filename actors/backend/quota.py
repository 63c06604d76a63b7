"""The backend's side of quota and alarms: tells listeners how much headroom is left, and has alarms raised.

Listeners check the headroom before they propose (actors/listener/maintenance.py). What they know is a moment old: a
request that slips through is applied, and the applier answers "no space", as in etcd. Such answers wait until the alarm
is raised through the log. Nothing here runs for a put while the store is far from full.
"""

import time
from typing import Any, Final

from actors.runtime.link import Links
from etcdz import limits
from etcdz.api import errors
from etcdz.ipc.messages import Propose, QuotaHeadroom
from etcdz.ipc.request_ids import BACKEND_SLOT, RequestIds
from etcdz.mvcc import alarms
from etcdz.mvcc.applier import Applier
from etcdz.proto import etcdserverpb as pb

AGAIN_S: Final = 1.0
"""An alarm that is not raised by then is proposed again."""
GIVE_UP_S: Final = 5.0
"""Answers wait no longer for their alarm."""

Replies = dict[int, list[tuple[int, int, bytes]]]


class QuotaWatch:
    """next_at: when `on_deadline` wants to be called, on the monotonic clock; None: not at all."""

    def __init__(self, applier: Applier, links: Links, log: Any, member_id: int) -> None:
        self._applier = applier
        self._links = links
        self._log = log
        self._member_id = member_id
        self._ids = RequestIds(member_id, BACKEND_SLOT, time.time_ns() // 1000)
        self._told: QuotaHeadroom | None = None
        self._wanted: set[tuple[int, int]] = set()
        """Alarms that are to be raised, and members for which."""
        self._held: list[tuple[int, tuple[int, int, bytes]]] = []
        """Answers that wait for an alarm: (slot, reply)."""
        self._held_since = 0.0
        self.next_at: float | None = None

    def raise_alarm(self, alarm: int, member_id: int | None = None) -> None:
        """Proposes it, and again until it is raised; nothing if it is. member_id: whose it is; None: this member's"""
        wanted = alarm, self._member_id if member_id is None else member_id
        if wanted not in self._applier.alarms.raised:
            self._wanted.add(wanted)
            self._propose()

    def _propose(self) -> None:
        self.next_at = time.monotonic() + AGAIN_S
        for alarm, member_id in sorted(self._wanted):
            request_id = self._ids.next()
            request = pb.InternalRaftRequest(
                header=pb.RequestHeader(ID=request_id),
                alarm=pb.AlarmRequest(action=1, memberID=member_id, alarm=alarm),
            )
            self._links.send("raft", Propose(BACKEND_SLOT, [(request_id, request.SerializeToString())]))

    def on_deadline(self, now: float) -> Replies:
        """Propose again. return answers that have waited long enough"""
        if self._held and now - self._held_since >= GIVE_UP_S:
            return self._release()
        self._propose()
        return {}

    def note(self, replies: Replies) -> None:
        """Takes the applier's news of alarms, before a turn's replies leave: replies that have to wait for an alarm are
        taken out of replies, and those that have waited for one that is raised now are put in."""
        applier = self._applier
        news, applier.alarm_news = applier.alarm_news, []
        for raised, alarm, member_id, matters in news:
            if matters:
                fields = {"alarm": alarms.name_of(alarm), "from": f"{member_id:x}"}
                self._log.warn(f"alarm {'raised' if raised else 'disarmed'}", **fields)
        if applier.exceeded:
            applier.exceeded = False
            self._hold(replies)
        self._wanted.difference_update(applier.alarms.raised)
        if not self._wanted:
            self.next_at = None
            for slot, items in self._release().items():
                replies.setdefault(slot, []).extend(items)
        if news:
            self.announce()

    def _hold(self, replies: Replies) -> None:
        if self._applier.alarms.has(alarms.NOSPACE):
            return
        text = errors.NO_SPACE.text.encode()
        for slot, items in replies.items():
            self._held += [(slot, reply) for reply in items if reply[2] == text]
            items[:] = [reply for reply in items if reply[2] != text]
        if (alarms.NOSPACE, self._member_id) not in self._wanted:
            self._held_since = time.monotonic()
            quota = self._applier.quota_bytes
            self._log.warn(
                "message exceeded backend quota; raising alarm",
                **{"quota-size-bytes": quota, "error": errors.NO_SPACE.text},
            )
            self.raise_alarm(alarms.NOSPACE)

    def _release(self) -> Replies:
        held, self._held = self._held, []
        replies: Replies = {}
        for slot, reply in held:
            replies.setdefault(slot, []).append(reply)
        return replies

    def announce(self) -> None:
        """Tells the listeners what has changed for them. A look at the store's size takes 10 us."""
        headroom = self._applier.headroom()
        is_near = headroom is not None and headroom < limits.QUOTA_NEAR_BYTES
        told = QuotaHeadroom(self._member_id, headroom if is_near else None, self._applier.alarms.has(alarms.NOSPACE))
        if told != self._told:
            self._told = told
            for peer in self._links.of_kind("listener"):
                self._links.send(peer.name, told)

    def greet(self, listener: str) -> None:
        """Tells a new listener."""
        if self._told is None:
            self.announce()
        if self._told is not None:
            self._links.send(listener, self._told)
