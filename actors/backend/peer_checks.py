"""Checks that this member's data is what the others have: at its start, from time to time, and after compactions.

    at its start     own hash -> hashes of the others at that revision -> compared; raft is not answered before, so
                     that nothing is applied and no client served, as in etcd
    periodic         own hash -> the others' -> linearizable read -> own hash again -> compared   } if this member leads
    of a compaction  own hash at its revision -> the others' -> compared                          } others

One check goes on at a time. What is compared, and who is blamed, is in etcdz/mvcc/peer_hashes.py; the hash of what this
member had before is checked by each member for itself (upkeep.py).
"""

import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Protocol

from actors.backend.raft_link import RaftLink
from actors.runtime.link import Links
from etcdz.cluster.membership import Membership
from etcdz.config import MemberConfig
from etcdz.ipc.messages import Leadership, PeerAnswer, PeerCall, ReadIndex, ReadStates
from etcdz.ipc.request_ids import BACKEND_SLOT
from etcdz.mvcc import peer_hashes
from etcdz.mvcc.hashes import KvHash
from etcdz.mvcc.mvcc import Mvcc
from etcdz.mvcc.peer_hashes import Finding, PeerHash

_LOOK_S: Final = 0.02
"""How often it is looked whether what a linearizable read needs is applied."""
_GRACE_S: Final = 1.0
"""Beyond the time that the others have for their answers: then these have been lost on their way."""
_NEVER: Final = float("inf")

HashAt = Callable[[int, Callable[[KvHash | None], None]], None]
"""(revision, done): done is called with this member's hash up to that revision (0: the latest), None: there is none"""


class Host(Protocol):
    """What checks need of the backend."""

    mvcc: Mvcc
    membership: Membership
    raft: RaftLink
    links: Links
    log: Any

    def raise_corrupt_of(self, member_id: int) -> None: ...
    def end_initial_check(self, is_sound: bool) -> None: ...


class PeerChecks:
    """next_at      when `work` wants to be called, on the monotonic clock; None: not at all
    is_initial   the check at the start is under way
    """

    def __init__(self, host: Host, config: MemberConfig, hash_at: HashAt, name: str) -> None:
        """name: of this actor, whom answers go to"""
        self._host = host
        self._hash_at = hash_at
        self._name = name
        self._timeout_s = config.request_timeout_s
        now = time.monotonic()
        self._periods = [config.corrupt_check_s, config.compact_hash_check_s if config.compact_hash_check else 0.0]
        self._due = [now + period if period > 0 else _NEVER for period in self._periods]
        """When the periodic check, and that of compactions, begins next."""
        self.is_initial = False
        self._leads = False
        self._checked_compaction = 0
        self._numbers = count(1)
        self._answers: dict[int, PeerHash | str | None] = {}
        """By member: what it has said, None so far."""
        self._calls: dict[int, int] = {}
        """Number of a PeerCall -> member."""
        self._asked = 0
        """The revision that the others are asked for."""
        self._answered: Callable[[], None] | None = None
        """What follows when all have answered, or the time is over."""
        self._until = _NEVER
        self._read_id = 0
        self._read_index: int | None = None
        self._is_applied: Callable[[], None] | None = None
        """What follows when what a linearizable read needs is applied."""
        self._is_under_way = False
        self.next_at: float | None = None
        self._plan()

    def _plan(self) -> None:
        at = min(self._until, _NEVER if self._is_under_way else min(self._due))
        if self._read_index is not None:
            at = min(at, time.monotonic() + _LOOK_S)
        self.next_at = None if at == _NEVER else at

    def _others(self) -> list[int]:
        host = self._host
        return [member.id for member in host.membership.sorted_members() if member.id != host.membership.member_id]

    # the others' hashes

    def _ask(self, revision: int, then: Callable[[], None]) -> None:
        """Asks all for their hash up to a revision; `_answers` has what they say when `then` is called."""
        self._asked = revision
        self._answers = dict.fromkeys(self._others())
        self._answered = then
        self._send()

    def _send(self) -> None:
        self._calls = {next(self._numbers): member for member, said in self._answers.items() if said is None}
        body = peer_hashes.request_body(self._asked)
        for number, member in self._calls.items():
            call = PeerCall(self._name, number, member, "GET", peer_hashes.PATH, body, self._timeout_s)
            self._host.links.send("peer", call)
        self._until = time.monotonic() + self._timeout_s + _GRACE_S
        if not self._calls:
            self._go_on()
        self._plan()

    def on_new_peer_actor(self) -> None:
        """It knows of no questions."""
        if self._answered is not None:
            self._send()

    def on_peer_answer(self, message: PeerAnswer) -> None:
        member = self._calls.pop(message.id, None)
        if member is not None:
            self._answers[member] = peer_hashes.decode_answer(member, message.status, message.body)
            if not self._calls:
                self._go_on()
            self._plan()

    def _go_on(self) -> None:
        then, self._answered = self._answered, None
        self._calls = {}
        self._until = _NEVER
        if then is not None:
            then()

    def _hashes(self) -> list[PeerHash]:
        return [said for said in self._answers.values() if isinstance(said, PeerHash)]

    # the check at the start

    def begin_initial(self, own: KvHash) -> None:
        """own: of all that there is. Requires: nothing is applied before `Host.end_initial_check`"""
        self.is_initial = self._is_under_way = True
        self._ask(own.revision, lambda: self._end_initial(own))

    def _end_initial(self, own: KvHash) -> None:
        host = self._host
        said = [answer if answer is not None else "no answer" for answer in self._answers.values()]
        findings = peer_hashes.compare_at_start(host.membership.member_id, own, said)
        for finding in findings:
            host.log.warn(finding.text, **finding.fields)
        self.is_initial = self._is_under_way = False
        host.end_initial_check(all(finding.blames is None for finding in findings))

    # checks of a leader

    @property
    def leads(self) -> bool:
        """Whether this member is the leader."""
        return self._leads

    def on_leadership(self, message: Leadership) -> None:
        self._leads = message.lead_index > 0

    def _begin_periodic(self) -> None:
        self._is_under_way = True
        self._hash_at(0, self._on_own)

    def _on_own(self, own: KvHash | None) -> None:
        if own is None:
            self._end()
        else:
            self._ask(own.revision, lambda: self._read_linearizably(own))

    def _read_linearizably(self, own: KvHash) -> None:
        """So that this member has all that the others had when they answered."""
        self._read_id = next(self._numbers)
        self._is_applied = lambda: self._hash_at(0, lambda again: self._end_periodic(own, again))
        self._until = time.monotonic() + self._timeout_s
        self._host.links.send("raft", ReadIndex(BACKEND_SLOT, [self._read_id]))

    def on_read_states(self, message: ReadStates) -> None:
        if self._read_id in message.ids and self._is_applied is not None:
            self._read_index = message.read_index
            self._look_whether_applied()
            self._plan()

    def _look_whether_applied(self) -> None:
        if self._read_index is not None and self._host.raft.applied_index >= self._read_index:
            then, self._is_applied, self._read_index = self._is_applied, None, None
            self._until = _NEVER
            if then is not None:
                then()

    def _end_periodic(self, own: KvHash, again: KvHash | None) -> None:
        if again is not None and self._leads:
            peers = self._hashes()
            self._report(peer_hashes.compare_as_leader(own, again, peers))
            self._host.log.info("finished peer corruption check", **{"number-of-peers-checked": len(peers)})
        self._end()

    def _begin_compaction(self) -> None:
        mvcc = self._host.mvcc
        revision = mvcc.state.compact_revision
        if revision > self._checked_compaction and not mvcc.compaction.running:
            self._is_under_way = True
            self._hash_at(revision, self._on_compaction)

    def _on_compaction(self, own: KvHash | None) -> None:
        if own is None:
            self._end()
        else:
            self._ask(own.revision, lambda: self._end_compaction(own))

    def _end_compaction(self, own: KvHash) -> None:
        host = self._host
        peers = [peer for peer in self._hashes() if peer.compact_revision == own.compact_revision]
        if self._leads:
            members = len(self._answers) + 1
            self._report(peer_hashes.compare_compaction(host.membership.member_id, own, peers, members))
            if len(peers) == len(self._answers):
                self._checked_compaction = own.revision
                host.log.info("finished compaction hash check", **{"number-of-hashes-checked": 1})
            else:
                fields = {"number-of-peers-checked": len(peers), "number-of-peers": len(self._answers)}
                text = "skipped revision in compaction hash check; was not able to check all peers"
                host.log.warn(text, **fields, revision=own.revision)
        self._end()

    def _report(self, findings: list[Finding]) -> None:
        for finding in findings:
            self._host.log.warn(finding.text, **finding.fields)
            if finding.blames is not None:
                self._host.raise_corrupt_of(finding.blames)

    def _end(self) -> None:
        self._is_under_way = False
        self._plan()

    # time

    def work(self, now: float) -> None:
        """What is due."""
        self._look_whether_applied()
        if now >= self._until:
            self._until = _NEVER
            if self._answered is not None:
                self._go_on()
            else:  # no leader has confirmed the read
                self._is_applied = self._read_index = None
                self._end()
        begin = self._begin_periodic, self._begin_compaction
        for number, due in enumerate(self._due):
            if now >= due and not self._is_under_way:
                self._due[number] = now + self._periods[number]
                if self._leads and self._others():
                    begin[number]()
        self._plan()
