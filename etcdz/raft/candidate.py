"""What a candidate or pre-candidate does: it counts votes, and yields to whoever leads already.

Source: Raft thesis 3.4, 9.6.
"""

from typing import TYPE_CHECKING

from etcdz.raft import election, follower, replication
from etcdz.raft.errors import ProposalDropped
from etcdz.raft.messages import (
    MESSAGE_NAMES,
    MSG_APP,
    MSG_HEARTBEAT,
    MSG_PRE_VOTE_RESP,
    MSG_PROP,
    MSG_SNAP,
    MSG_TIMEOUT_NOW,
    MSG_VOTE_RESP,
    NO_NODE,
    PRE_CANDIDATE,
    ROLE_NAMES,
    Message,
)
from etcdz.raft.quorum import VOTE_LOST, VOTE_WON

if TYPE_CHECKING:
    from collections.abc import Callable

    from etcdz.raft.raft import Raft


def _on_vote_answer(r: "Raft", m: Message) -> None:
    # A candidate may still get answers from when it was pre-candidate.
    if m.type != (MSG_PRE_VOTE_RESP if r.role == PRE_CANDIDATE else MSG_VOTE_RESP):
        return
    name = MESSAGE_NAMES[m.type]
    r.logger.info(f"{r.id:x} received {name}{' rejection' if m.reject else ''} from {m.from_:x} at term {r.term}")
    r.tracker.record_vote(m.from_, not m.reject)
    granted, rejected, result = r.tracker.tally()
    r.logger.info(f"{r.id:x} has received {granted} {name} votes and {rejected} vote rejections")
    if result == VOTE_LOST:
        # Of a pre-vote m.term may be the future one; stay in ours.
        r.become_follower(r.term, NO_NODE)
    elif result == VOTE_WON:
        if r.role == PRE_CANDIDATE:
            election.campaign(r, election.ELECTION)
        else:
            r.become_leader()
            replication.broadcast_append(r)


def _on_proposal(r: "Raft", m: Message) -> None:
    r.logger.info(f"{r.id:x} no leader at term {r.term}; dropping proposal")
    raise ProposalDropped


def _on_timeout_now(r: "Raft", m: Message) -> None:
    r.logger.debug(f"{r.id:x} [term {r.term} state {ROLE_NAMES[r.role]}] ignored MsgTimeoutNow from {m.from_:x}")


def _yield_to_leader(handler: "Callable[[Raft, Message], None]") -> "Callable[[Raft, Message], None]":
    """Somebody else won this term: follow, then do as a follower does."""

    def yielding(r: "Raft", m: Message) -> None:
        r.become_follower(m.term, m.from_)
        handler(r, m)

    return yielding


# What is not here is ignored: answers to a leader, reads and transfers have no one to go to.
STEP: "dict[int, Callable[[Raft, Message], None]]" = {
    MSG_PROP: _on_proposal,
    MSG_APP: _yield_to_leader(follower.handle_append),
    MSG_HEARTBEAT: _yield_to_leader(follower.handle_heartbeat),
    MSG_SNAP: _yield_to_leader(follower.handle_snapshot),
    MSG_VOTE_RESP: _on_vote_answer,
    MSG_PRE_VOTE_RESP: _on_vote_answer,
    MSG_TIMEOUT_NOW: _on_timeout_now,
}
