"""What a follower (and a learner) does with the messages of its leader and of its clients.

Source: Raft thesis 3.5 (AppendEntries, log repair), 5.1 (InstallSnapshot), 3.10 (TimeoutNow), 6.4 (reads).
"""

from typing import TYPE_CHECKING

from etcdz.raft import election
from etcdz.raft.errors import ProposalDropped
from etcdz.raft.messages import (
    FOLLOWER,
    MSG_APP,
    MSG_APP_RESP,
    MSG_FORGET_LEADER,
    MSG_HEARTBEAT,
    MSG_HEARTBEAT_RESP,
    MSG_PROP,
    MSG_READ_INDEX,
    MSG_READ_INDEX_RESP,
    MSG_SNAP,
    MSG_TIMEOUT_NOW,
    MSG_TRANSFER_LEADER,
    NO_NODE,
    ConfState,
    Message,
    ReadState,
    Snapshot,
)
from etcdz.raft.read_only import READ_LEASE_BASED

if TYPE_CHECKING:
    from collections.abc import Callable

    from etcdz.raft.raft import Raft


# Log. These three are also a candidate's, once it has become a follower.


def handle_append(r: "Raft", m: Message) -> None:
    log = r.log
    if m.index < log.committed:
        # Committed entries never conflict, so all of it is known; say how far we are.
        r.send(Message(MSG_APP_RESP, to=m.from_, index=log.committed))
        return
    reached = log.maybe_append(m.log_term, m.index, m.entries, m.commit)
    if reached is not None:
        r.send(Message(MSG_APP_RESP, to=m.from_, index=reached))
        return
    r.logger.debug(
        f"{r.id:x} [logterm: {log.term_or_zero(m.index)}, index: {m.index}] rejected MsgApp "
        f"[logterm: {m.log_term}, index: {m.index}] from {m.from_:x}"
    )
    # All entries of the leader before m.index have terms up to m.log_term, so a tail of ours with higher terms
    # cannot match: skip it in one answer instead of one entry per round trip.
    hint, hint_term = log.find_conflict_by_term(min(m.index, log.last_index()), m.log_term)
    r.send(Message(MSG_APP_RESP, to=m.from_, index=m.index, reject=True, reject_hint=hint, log_term=hint_term))


def handle_heartbeat(r: "Raft", m: Message) -> None:
    # The leader never sends more than what it knows that we have.
    r.log.commit_to(m.commit)
    r.send(Message(MSG_HEARTBEAT_RESP, to=m.from_, context=m.context))


def handle_snapshot(r: "Raft", m: Message) -> None:
    snapshot = m.snapshot or Snapshot()
    restored = restore(r, snapshot)
    r.logger.info(
        f"{r.id:x} [commit: {r.log.committed}] {'restored' if restored else 'ignored'} snapshot "
        f"[index: {snapshot.index}, term: {snapshot.term}]"
    )
    r.send(Message(MSG_APP_RESP, to=m.from_, index=r.log.last_index() if restored else r.log.committed))


def restore(r: "Raft", snapshot: Snapshot) -> bool:
    """Put snapshot in place of log and configuration; False if it has nothing that we lack, or cannot be for us."""
    log = r.log
    if snapshot.index <= log.committed:
        return False
    if r.role != FOLLOWER:
        r.logger.warning(f"{r.id:x} attempted to restore snapshot as leader; should never happen")
        r.become_follower(r.term + 1, NO_NODE)
        return False
    state = snapshot.conf_state
    # learners_next is part of voters_outgoing.
    if r.id not in (*state.voters, *state.learners, *state.voters_outgoing):
        r.logger.warning(
            f"{r.id:x} attempted to restore snapshot but it is not in the ConfState {_proto_text(state)}; "
            "should never happen"
        )
        return False
    marks = f"[index: {snapshot.index}, term: {snapshot.term}]"
    if log.matches(snapshot.term, snapshot.index):
        r.logger.info(f"{_log_end(r)} fast-forwarded commit to snapshot {marks}")
        log.commit_to(snapshot.index)
        return False
    log.restore(snapshot)
    r.restore_config(state, log.last_index())
    r.logger.info(f"{_log_end(r)} restored snapshot {marks}")
    return True


def _log_end(r: "Raft") -> str:
    log = r.log
    return f"{r.id:x} [commit: {log.committed}, lastindex: {log.last_index()}, lastterm: {log.last_term()}]"


def _proto_text(state: ConfState) -> str:
    words = [f"voters:{node}" for node in state.voters]
    words += [f"learners:{node}" for node in state.learners]
    words += [f"voters_outgoing:{node}" for node in state.voters_outgoing]
    words += [f"learners_next:{node}" for node in state.learners_next]
    return " ".join([*words, f"auto_leave:{'true' if state.auto_leave else 'false'}"])


def _from_leader(handler: "Callable[[Raft, Message], None]") -> "Callable[[Raft, Message], None]":
    def following(r: "Raft", m: Message) -> None:
        r.election_elapsed = 0
        r.lead = m.from_
        handler(r, m)

    return following


# Clients


def _on_proposal(r: "Raft", m: Message) -> None:
    if r.lead == NO_NODE:
        r.logger.info(f"{r.id:x} no leader at term {r.term}; dropping proposal")
        raise ProposalDropped
    if not r.proposal_forwarding:
        r.logger.info(f"{r.id:x} not forwarding to leader {r.lead:x} at term {r.term}; dropping proposal")
        raise ProposalDropped
    r.send(m._replace(to=r.lead))


def _forward(what: str) -> "Callable[[Raft, Message], None]":
    def forwarding(r: "Raft", m: Message) -> None:
        if r.lead == NO_NODE:
            r.logger.info(f"{r.id:x} no leader at term {r.term}; dropping {what} msg")
        else:
            r.send(m._replace(to=r.lead))

    return forwarding


def _on_read_answer(r: "Raft", m: Message) -> None:
    if len(m.entries) != 1:
        r.logger.error(f"{r.id:x} invalid format of MsgReadIndexResp from {m.from_:x}, entries count: {len(m.entries)}")
        return
    r.read_states.append(ReadState(m.index, m.entries[0].data))


# Leadership


def _on_forget_leader(r: "Raft", m: Message) -> None:
    if r.read_only.option == READ_LEASE_BASED:
        # The leader serves reads because nobody votes while it is heard from: this vote must not come early.
        r.logger.error("ignoring MsgForgetLeader due to ReadOnlyLeaseBased")
    elif r.lead != NO_NODE:
        r.logger.info(f"{r.id:x} forgetting leader {r.lead:x} at term {r.term}")
        r.lead = NO_NODE


def _on_timeout_now(r: "Raft", m: Message) -> None:
    r.logger.info(
        f"{r.id:x} [term {r.term}] received MsgTimeoutNow from {m.from_:x} and starts an election to get leadership."
    )
    # Never a pre-vote: the leader wants it, and voters that hear from the leader would refuse.
    election.hup(r, election.TRANSFER)


# What is not here is ignored: answers to a leader or candidate that we no longer are.
STEP: "dict[int, Callable[[Raft, Message], None]]" = {
    MSG_PROP: _on_proposal,
    MSG_APP: _from_leader(handle_append),
    MSG_HEARTBEAT: _from_leader(handle_heartbeat),
    MSG_SNAP: _from_leader(handle_snapshot),
    MSG_TRANSFER_LEADER: _forward("leader transfer"),
    MSG_READ_INDEX: _forward("index reading"),
    MSG_READ_INDEX_RESP: _on_read_answer,
    MSG_FORGET_LEADER: _on_forget_leader,
    MSG_TIMEOUT_NOW: _on_timeout_now,
}
