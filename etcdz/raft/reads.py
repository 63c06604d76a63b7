"""Linearizable reads at the leader (ReadIndex). Source: Raft thesis 6.4, 6.4.1 (leases).

A read is safe if nobody had been elected in a later term when it came. A member passes one on only to whom it follows,
so it had not voted in a later term by then, which is after the read came. If it and the leader are a quorum, nobody can
have been elected, and the leader answers without asking. NB: that says nothing of reads that others wait for.
"""

from typing import TYPE_CHECKING

from etcdz.raft import heartbeat
from etcdz.raft.messages import MSG_READ_INDEX_RESP, NO_NODE, Message, ReadState
from etcdz.raft.quorum import joint_committed_index
from etcdz.raft.read_only import READ_SAFE

if TYPE_CHECKING:
    from etcdz.raft.raft import Raft


def on_read_index(r: "Raft", m: Message) -> None:
    if not r.committed_in_term:
        # What was committed earlier is not known yet (thesis 6.4, step 1); also not to the only voter, whose disk need
        # not have the newest commit index.
        r.pending_reads.append(m)
    else:
        _confirm(r, m)


def release_pending(r: "Raft") -> None:
    """The commit index rose."""
    if not r.pending_reads:
        return
    if not r.committed_in_term:
        r.logger.error("pending MsgReadIndex should be released only after first commit in current term")
        return
    waiting, r.pending_reads = r.pending_reads, []
    for m in waiting:
        _confirm(r, m)


def _confirm(r: "Raft", m: Message) -> None:
    # Where we are the only voter, nobody else can have been elected. NB: not so if the only one is another.
    if r.read_only.option != READ_SAFE or r.tracker.config.all_voters == {r.id} or _is_confirmed_by_asker(r, m):
        _answer(r, m, r.log.committed)
        return
    r.read_only.add(r.log.committed, m)
    r.read_only.ack(r.id, r.read_only.heartbeat_context())
    heartbeat.broadcast(r)


def _is_confirmed_by_asker(r: "Raft", m: Message) -> bool:
    if m.from_ in (NO_NODE, r.id):
        return False
    config = r.tracker.config
    return joint_committed_index(config.voters, config.outgoing, {r.id: 1, m.from_: 1}) > 0


def on_heartbeat_answer(r: "Raft", m: Message) -> None:
    if r.read_only.option == READ_SAFE and m.context:
        r.read_only.ack(m.from_, m.context)
        for read in r.read_only.take_confirmed(r.tracker.config):
            _answer(r, read.request, read.index)


def _answer(r: "Raft", request: Message, index: int) -> None:
    if request.from_ in (NO_NODE, r.id):
        r.read_states.append(ReadState(index, request.entries[0].data))
    else:
        r.send(Message(MSG_READ_INDEX_RESP, to=request.from_, index=index, entries=request.entries))
