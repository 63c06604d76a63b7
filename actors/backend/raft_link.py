"""What raft hears of the backend: where it stands, and from time to time how far it has applied.

Raft needs it to hand over what comes next, to compact its log, and for read indexes; it is told in batches, since
no client waits for it.
"""

from actors.runtime.link import Links
from etcdz import limits
from etcdz.cluster.membership import Membership
from etcdz.ipc.messages import Applied, BackendState, Flushed
from etcdz.mvcc.mvcc import Mvcc


class RaftLink:
    """applied_index      raft index of the last entry applied, committed or not; the turn advances it
    applied_term       raft term of the batch that this entry came in
    incarnation        of the raft that has greeted this backend last; 0 before the first
    is_report_due      raft is to be told how far this is at the end of the turn
    unreported_bytes   of entries that were applied since raft was told
    reported_index     what raft was told last
    """

    __slots__ = (
        "_links", "_membership", "_mvcc", "_next_report_at", "applied_index", "applied_term", "incarnation",
        "is_report_due", "reported_index", "unreported_bytes",
    )  # fmt: skip

    def __init__(self, links: Links, mvcc: Mvcc, membership: Membership) -> None:
        self._links = links
        self._mvcc = mvcc
        self._membership = membership
        self.applied_index = self.reported_index = mvcc.state.consistent_index
        self.applied_term = mvcc.state.term
        self.incarnation = 0
        self.is_report_due = False
        self.unreported_bytes = 0
        self._next_report_at = 0.0

    def greet(self, incarnation: int) -> None:
        """A raft has begun: it is told where to go on."""
        self.incarnation = incarnation
        self.send_state()

    def send_state(self) -> None:
        """Where this backend stands: raft hands over what comes after that."""
        mvcc, membership = self._mvcc, self._membership
        state = BackendState(
            raft_incarnation=self.incarnation,
            member_id=mvcc.member_id,
            cluster_id=mvcc.cluster_id,
            applied_index=self.applied_index,
            applied_term=self.applied_term,
            flushed_index=mvcc.state.flushed_index,
            conf_state=membership.conf_state(),
            cluster_version=membership.version or "",
        )
        self._links.send("raft", state)

    def flushed(self) -> Flushed:
        """What raft is to be told: all that is applied by now is committed and survives power loss. The v2 store is not
        in it yet."""
        return Flushed(self.applied_index, self.applied_term, self._membership.conf_state(), b"")

    def report(self) -> None:
        """How far this is. Requires: what was applied is committed"""
        self.reported_index = self.applied_index
        self.is_report_due = False
        self.unreported_bytes = 0
        flushed_index = self._mvcc.state.flushed_index
        self._links.send("raft", Applied(self.applied_index, flushed_index, self._membership.conf_state()))

    def next_report_at(self) -> float | None:
        """When a report is due at the latest, on the monotonic clock; None: raft knows all."""
        return self._next_report_at if self.reported_index != self.applied_index else None

    def report_if_due(self, now: float) -> bool:
        """By the clock. return whether it has reported"""
        at = self.next_report_at()
        if at is None or now < at:
            return False
        self._next_report_at = now + limits.APPLIED_EVERY_S
        self.report()
        return True
