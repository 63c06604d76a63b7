"""The cluster version, which the leader raises when all members understand a newer one, and the end of a downgrade.

Every few seconds, and first thing in its term, the leader asks the others for their versions (`GET /version`, by way of
the peer actor). When all have answered, or their time is up, it decides; what it sets is an entry for its term alone.
"""

import json
import time
from typing import Any, Final, Protocol

from actors.raft.leadership import LeadershipNotes
from actors.raft.proposals import Proposals
from actors.runtime.link import Links
from etcdz import ETCD_VERSION
from etcdz.cluster import versions
from etcdz.cluster.membership import downgrade_request, version_request
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Members, PeerAnswer, PeerCall, Propose
from etcdz.ipc.request_ids import RAFT_SLOT, RequestIds

LOOK_S: Final = 4.0
"""Between two looks. Source: etcd's monitorVersionInterval"""
ANSWER_S: Final = 3.0
"""For the answer of another member."""
assert ANSWER_S < LOOK_S


class Host(Protocol):
    """What this needs of its actor."""

    boot: Boot
    links: Links
    log: Any
    leadership: LeadershipNotes
    proposals: Proposals
    members: Members | None
    member_id: int


class VersionMonitor:
    """Requires: look() is called with each tick."""

    def __init__(self, host: Host, downgrade_check_s: float) -> None:
        """downgrade_check_s: between two looks whether a downgrade is done; 0: never"""
        self._host = host
        self._downgrade_check_s = downgrade_check_s
        self._term = 0
        """In which it has looked."""
        self._look_at = 0.0
        self._downgrade_look_at = 0.0
        self._ids: RequestIds | None = None
        self._calls = 0
        self._awaited: dict[int, int] = {}
        """Number of a call -> who was asked."""
        self._said: dict[int, tuple[str, str]] = {}
        """Member -> its version, and the cluster version that it says."""

    def look(self, now: float) -> None:
        """now: on the monotonic clock"""
        known, members = self._host.leadership.known, self._host.members
        if not known.lead_index or members is None:
            return
        if known.term == self._term and now < self._look_at:
            return
        is_first = known.term != self._term
        self._term, self._look_at = known.term, now + LOOK_S
        others = [member[0] for member in members.members if member[0] != self._host.member_id]
        self._awaited, self._said = {}, {}
        if others:
            self._ask(others)
        elif not is_first:  # one that is alone has published its version together with its name
            self._decide(members)

    def on_peer_answer(self, answer: PeerAnswer) -> None:
        """What a member has said, or that it has said nothing."""
        asked, members = self._awaited.pop(answer.id, 0), self._host.members
        if not asked or members is None:
            return
        said = _read(answer) if answer.status == 200 else None
        if said is None:
            self._host.log.warn("failed to get version", remote_member_id=f"{asked:x}", error=_why(answer))
        else:
            self._said[asked] = said
        if not self._awaited and self._host.leadership.known.term == self._term:
            self._decide(members)

    def _ask(self, others: list[int]) -> None:
        for member in others:
            self._calls += 1
            self._awaited[self._calls] = member
            call = PeerCall(self._host.boot.name, self._calls, member, "GET", "/version", b"", ANSWER_S)
            self._host.links.send("peer", call)

    def _decide(self, members: Members) -> None:
        others = {member[0] for member in members.members if member[0] != self._host.member_id}
        all_said = others == self._said.keys()
        common = versions.lowest([ETCD_VERSION, *(said[0] for said in self._said.values())]) if all_said else None
        version = versions.next_version(members.cluster_version, common)
        if version is not None:
            self._set_version(members.cluster_version, version)
        elif all_said and members.downgrade:
            self._look_at_downgrade(members)

    def _set_version(self, before: str, version: str) -> None:
        if before:
            self._host.log.info("updating cluster version using v2 API", **{"from": _short(before)}, to=_short(version))
        else:
            self._host.log.info("setting up initial cluster version using v2 API", cluster_version=_short(version))
        request_id = self._next_id()
        self._propose(request_id, version_request(request_id, version))

    def _look_at_downgrade(self, members: Members) -> None:
        """It is done when the whole cluster says the target."""
        now = time.monotonic()
        if not self._downgrade_check_s or now < self._downgrade_look_at:
            return
        self._downgrade_look_at = now + self._downgrade_check_s
        target = versions.major_minor(members.downgrade)
        said = [members.cluster_version, *(cluster for _, cluster in self._said.values())]
        if all(versions.major_minor(one) == target for one in said):
            self._host.log.info("the cluster has been downgraded", cluster_version=members.downgrade)
            request_id = self._next_id()
            self._propose(request_id, downgrade_request(request_id, ""))

    def _propose(self, request_id: int, data: bytes) -> None:
        self._host.proposals.on_propose(Propose(RAFT_SLOT, [(request_id, data)], only_term=self._term))

    def _next_id(self) -> int:
        if self._ids is None:
            # NB: seconds ahead of what this actor publishes with, which gives two ids in its life.
            self._ids = RequestIds(self._host.member_id, RAFT_SLOT, time.time_ns() // 1000 + 1_000_000)
        return self._ids.next()


def _read(answer: PeerAnswer) -> tuple[str, str] | None:
    """(server version, cluster version), None: it is no answer."""
    try:
        value = json.loads(answer.body)
        server, cluster = value["etcdserver"], value["etcdcluster"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return (server, cluster) if isinstance(server, str) and isinstance(cluster, str) else None


def _why(answer: PeerAnswer) -> str:
    return answer.body[:200].decode("utf-8", "replace") if not answer.status else f"status {answer.status}"


def _short(version: str) -> str:
    return version.rpartition(".")[0]
