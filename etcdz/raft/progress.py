"""What a leader knows of one peer's log, and how fast it may send.

    state      next append                               left when
    PROBE      one at a time, from next                  an append is accepted -> REPLICATE
    REPLICATE  as many as fit into inflights             a rejection or a failed send -> PROBE
    SNAPSHOT   none                                      the peer reconnects to the log -> REPLICATE, or the
                                                         transport reports the snapshot's fate -> PROBE
Source: Raft thesis 3.5 (log repair), 5.1 (sending snapshots), 10.2.1 (pipelining).
"""

from etcdz.raft.inflights import Inflights

PROBE, REPLICATE, SNAPSHOT = range(3)
PROGRESS_NAMES = ("StateProbe", "StateReplicate", "StateSnapshot")


class Progress:
    __slots__ = (
        "flow_paused",
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(self, *, match: int = 0, next: int, inflights: Inflights, is_learner: bool = False) -> None:
        self.match = match  # highest index known to be equal in both logs
        self.next = next  # index of the next entry to send. Invariant: match < next
        self.sent_commit = 0  # highest commit index on its way to the peer
        self.state = PROBE
        self.pending_snapshot = 0  # index of the snapshot under way. Invariant: 0 outside SNAPSHOT
        self.recent_active = False  # heard from since the last check of the quorum
        self.flow_paused = False  # nothing more until an answer or a heartbeat's answer comes
        self.inflights = inflights
        self.is_learner = is_learner

    def copy(self) -> "Progress":
        """A copy that shares nothing."""
        twin = self.with_learner(self.is_learner)
        twin.inflights = self.inflights.copy()
        return twin

    def with_learner(self, is_learner: bool) -> "Progress":
        """The same progress in another part; the window is shared, so the original must be given up."""
        twin = Progress(match=self.match, next=self.next, inflights=self.inflights, is_learner=is_learner)
        for name in ("sent_commit", "state", "pending_snapshot", "recent_active", "flow_paused"):
            setattr(twin, name, getattr(self, name))
        return twin

    @property
    def paused(self) -> bool:
        return self.flow_paused or self.state == SNAPSHOT

    def _enter(self, state: int) -> None:
        self.state = state
        self.flow_paused = False
        self.pending_snapshot = 0
        self.inflights.clear()

    def become_probe(self) -> None:
        # A snapshot that was sent is taken as received: if that is wrong the probe is rejected and says so.
        behind = max(self.match, self.pending_snapshot) if self.state == SNAPSHOT else self.match
        self._enter(PROBE)
        self.next = behind + 1
        self.sent_commit = min(self.sent_commit, behind)

    def become_replicate(self) -> None:
        self._enter(REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        self._enter(SNAPSHOT)
        self.pending_snapshot = self.sent_commit = index
        self.next = index + 1

    def on_sent(self, count: int, size: int) -> None:
        """An append with count entries of size payload bytes from next on was sent. Requires: not SNAPSHOT."""
        if self.state == REPLICATE:
            if count:
                self.next += count
                self.inflights.add(self.next - 1, size)
            # A full window lets one empty append through, as a probe, and then pauses.
            self.flow_paused = self.inflights.full
        elif count:
            self.flow_paused = True

    def can_raise_commit(self, commit: int) -> bool:
        """Whether telling the peer this commit index could raise its own: it has nothing at next and beyond."""
        return commit > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: int) -> bool:
        """The peer acknowledged index; False if that was known."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.flow_paused = False
        return True

    def maybe_decrease(self, rejected: int, hint: int) -> bool:
        """The peer rejected an append behind index rejected and may match at hint; False if the news is stale."""
        if self.state == REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
        else:
            # Only one append is under way, so a genuine rejection speaks of exactly that one.
            if rejected != self.next - 1:
                return False
            self.next = max(min(rejected, hint + 1), self.match + 1)
            self.flow_paused = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True
