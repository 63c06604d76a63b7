"""Elections: campaigning and voting. Votes are counted in candidate.py.

Source: Raft thesis 3.4 (election), 3.6.1 (who may win), 3.10 (campaign of a transfer), 4.2.3 and 6.4.1 (votes are
refused while a leader is heard from), 9.6 (pre-vote).
"""

from typing import TYPE_CHECKING

from etcdz.raft.messages import (
    LEADER,
    MESSAGE_NAMES,
    MSG_PRE_VOTE,
    MSG_VOTE,
    NO_NODE,
    VOTE_ANSWER,
    Message,
)

if TYPE_CHECKING:
    from etcdz.raft.raft import Raft

PRE_ELECTION, ELECTION, TRANSFER = range(3)
# In a vote request: the leader itself asked for this campaign, so its lease must not hinder it.
TRANSFER_CONTEXT = b"CampaignTransfer"


def hup(r: "Raft", kind: int) -> None:
    """Campaign if that is allowed."""
    if r.role == LEADER:
        r.logger.debug(f"{r.id:x} ignoring MsgHup because already leader")
    elif not r.promotable:
        r.logger.warning(f"{r.id:x} is unpromotable and can not campaign")
    elif r.log.has_unapplied_conf_change():
        # Winning under a configuration that is no longer the committed one could make two leaders.
        r.logger.warning(
            f"{r.id:x} cannot campaign at term {r.term} since there are still pending configuration changes to apply"
        )
    else:
        r.logger.info(f"{r.id:x} is starting a new election at term {r.term}")
        campaign(r, kind)


def campaign(r: "Raft", kind: int) -> None:
    if kind == PRE_ELECTION:
        r.become_pre_candidate()
        request, term = MSG_PRE_VOTE, r.term + 1
    else:
        r.become_candidate()
        request, term = MSG_VOTE, r.term
    context = TRANSFER_CONTEXT if kind == TRANSFER else b""
    last_term, last_index = r.log.last_term(), r.log.last_index()
    for voter in sorted(r.tracker.config.all_voters):
        if voter == r.id:
            # Our own vote counts when it is on our disk, like everybody's.
            r.send(Message(VOTE_ANSWER[request], to=voter, term=term))
            continue
        r.logger.info(
            f"{r.id:x} [logterm: {last_term}, index: {last_index}] sent {MESSAGE_NAMES[request]} request "
            f"to {voter:x} at term {r.term}"
        )
        r.send(Message(request, to=voter, term=term, index=last_index, log_term=last_term, context=context))


# Voting


def _describe_request(r: "Raft", m: Message, verb: str, preposition: str) -> str:
    return (
        f"{r.id:x} [logterm: {r.log.last_term()}, index: {r.log.last_index()}, vote: {r.vote:x}] {verb} "
        f"{MESSAGE_NAMES[m.type]} {preposition} {m.from_:x} [logterm: {m.log_term}, index: {m.index}] "
        f"at term {r.term}"
    )


def ignored_in_lease(r: "Raft", m: Message) -> bool:
    """Whether we heard from a leader so recently that no other can be needed."""
    in_lease = r.check_quorum and r.lead != NO_NODE and r.election_elapsed < r.election_ticks
    if not in_lease or m.context == TRANSFER_CONTEXT:
        return False
    remaining = r.election_ticks - r.election_elapsed
    text = _describe_request(r, m, "ignored", "from")
    r.logger.info(f"{text}: lease is not expired (remaining ticks: {remaining})")
    return True


def on_vote_request(r: "Raft", m: Message) -> None:
    """Learners vote too: one that was promoted may not know it yet, and its vote may be needed to tell it."""
    if _may_vote(r, m) and r.log.is_up_to_date(m.log_term, m.index):
        r.logger.info(_describe_request(r, m, "cast", "for"))
        # With the term of the request: of a pre-vote it is not ours, and the asker drops what is not its own.
        r.send(Message(VOTE_ANSWER[m.type], to=m.from_, term=m.term))
        if m.type == MSG_VOTE:
            r.election_elapsed = 0
            r.vote = m.from_
    else:
        reject_vote(r, m)


def _may_vote(r: "Raft", m: Message) -> bool:
    repeated = r.vote == m.from_
    free = r.vote == NO_NODE and r.lead == NO_NODE
    return repeated or free or (m.type == MSG_PRE_VOTE and m.term > r.term)


def reject_vote(r: "Raft", m: Message) -> None:
    r.logger.info(_describe_request(r, m, "rejected", "from"))
    r.send(Message(VOTE_ANSWER[m.type], to=m.from_, term=r.term, reject=True))
