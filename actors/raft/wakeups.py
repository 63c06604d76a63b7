"""What raft need not be woken for: it takes it up with whatever else comes, or with the next tick.

While others answer as well, that this member's own disk has an entry changes nothing until enough of them have it; and
once everything is committed, the acknowledgements of those who were slower change nothing at all. So a write of one
client alone takes two turns of the leader's raft, and one of a follower's.
"""

from actors.raft.appends import Appends
from etcdz.raft.messages import FOLLOWER, LEADER
from etcdz.raft.progress import REPLICATE
from etcdz.raft.raft import Raft


def awaits_disk(raft: Raft, appends: Appends) -> bool:
    """Whether anything may follow from this member's own disk having what was given to the wal."""
    log = raft.log
    if log.committed >= log.unstable.offset or raft.tracker.single_voter or appends.is_awaited:
        return True
    if raft.role == FOLLOWER:
        return False
    others = [one.match for member, one in raft.tracker.progress.items() if member != raft.id]
    return raft.role != LEADER or not others or max(others) > log.committed


def awaits_acknowledgements(raft: Raft) -> bool:
    """Whether anything may follow from another member having appended what it was sent."""
    if raft.role != LEADER:
        return False
    last = raft.log.last_index()
    return (
        raft.log.committed < last
        or bool(raft.transferee)
        or any(
            [
                one.state != REPLICATE or one.next <= last or (one.is_learner and one.match < last)
                for member, one in raft.tracker.progress.items()
                if member != raft.id
            ]
        )
    )
