"""How a leader brings its peers' logs up to its own: appends, snapshots, and the answers to them and to heartbeats.

Source: Raft thesis 3.5 (log repair), 3.6.2 (commit), 5.1 (snapshots), 10.2.1 (pipelining).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etcdz.raft import reads
from etcdz.raft.describe import describe_progress
from etcdz.raft.entry import Entry, payloads_bytes
from etcdz.raft.errors import Compacted, SnapshotTemporarilyUnavailable, Unavailable
from etcdz.raft.messages import (
    MSG_APP,
    MSG_SNAP,
    MSG_TIMEOUT_NOW,
    Message,
)
from etcdz.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress

if TYPE_CHECKING:
    from etcdz.raft.raft import Raft


# Sending


def broadcast_append(r: "Raft") -> None:
    for peer in r.tracker.peers:
        if peer != r.id:
            maybe_send_append(r, peer)


def maybe_send_append(r: "Raft", to: int, even_if_empty: bool = True) -> bool:
    """Send peer `to` what it lacks, as far as its progress allows; whether anything was sent.

    even_if_empty  an append without entries still tells the commit index
    """
    progress = r.tracker.progress[to]
    if progress.paused:
        return False
    log, next_index = r.log, progress.next
    if not even_if_empty and next_index > log.last_index():
        return False
    try:
        prev_term = log.term(next_index - 1)
        # With a full window an empty append still goes out now and then: if all in the window were lost, its answer
        # is what gets replication going again.
        full = progress.state == REPLICATE and progress.inflights.full
        entries: Sequence[Entry] = () if full else log.entries(next_index, r.message_bytes_max)
    except (Compacted, Unavailable):
        return _maybe_send_snapshot(r, to, progress)
    if not entries and not even_if_empty:
        return False
    r.send(Message(MSG_APP, to=to, index=next_index - 1, log_term=prev_term, entries=entries, commit=log.committed))
    progress.on_sent(len(entries), payloads_bytes(entries))
    progress.sent_commit = log.committed
    return True


def _maybe_send_snapshot(r: "Raft", to: int, progress: Progress) -> bool:
    if not progress.recent_active:
        r.logger.debug(f"ignore sending snapshot to {to:x} since it is not recently active")
        return False
    try:
        snapshot = r.log.snapshot(to)
    except SnapshotTemporarilyUnavailable:
        r.logger.debug(f"{r.id:x} failed to send snapshot to {to:x} because snapshot is temporarily unavailable")
        return False
    if not snapshot.index:
        r.broken("need non-empty snapshot")
    r.logger.debug(
        f"{r.id:x} [firstindex: {r.log.first_index()}, commit: {r.log.committed}] sent "
        f"snapshot[index: {snapshot.index}, term: {snapshot.term}] to {to:x} [{describe_progress(progress)}]"
    )
    progress.become_snapshot(snapshot.index)
    r.logger.debug(f"{r.id:x} paused sending replication messages to {to:x} [{describe_progress(progress)}]")
    r.send(Message(MSG_SNAP, to=to, snapshot=snapshot))
    return True


def send_timeout_now(r: "Raft", to: int) -> None:
    r.send(Message(MSG_TIMEOUT_NOW, to=to))


# Answers. All of them come with the progress of the peer that sent them.


def on_append_answer(r: "Raft", m: Message, progress: Progress) -> None:
    progress.recent_active = True
    if m.reject:
        _on_rejected(r, m, progress)
    # An answer that brings nothing new still ends probing: after a failed send the peer may have been complete.
    elif progress.maybe_update(m.index) or (progress.match == m.index and progress.state == PROBE):
        _on_accepted(r, m, progress)


def _on_rejected(r: "Raft", m: Message, progress: Progress) -> None:
    r.logger.debug(
        f"{r.id:x} received MsgAppResp(rejected, hint: (index {m.reject_hint}, term {m.log_term})) "
        f"from {m.from_:x} for index {m.index}"
    )
    hint = m.reject_hint
    if m.log_term:
        # The peer has that term at the hint, and no higher one before. Where our term is above it we cannot match,
        # so at most one probe per term of our log is needed.
        hint = r.log.find_conflict_by_term(hint, m.log_term)[0]
    if progress.maybe_decrease(m.index, hint):
        r.logger.debug(f"{r.id:x} decreased progress of {m.from_:x} to [{describe_progress(progress)}]")
        if progress.state == REPLICATE:
            progress.become_probe()
        maybe_send_append(r, m.from_)


def _on_accepted(r: "Raft", m: Message, progress: Progress) -> None:
    peer = m.from_
    _advance_state(r, m, progress)
    if r.maybe_commit():
        reads.release_pending(r)
        broadcast_append(r)
    elif peer != r.id and progress.can_raise_commit(r.log.committed):
        # The next heartbeat would tell too, but later.
        maybe_send_append(r, peer)
    if peer == r.id:
        return
    # The answer may have made room for several messages.
    while maybe_send_append(r, peer, even_if_empty=False):
        pass
    if peer == r.transferee and progress.match == r.log.last_index():
        r.logger.info(f"{r.id:x} sent MsgTimeoutNow to {peer:x} after received MsgAppResp")
        send_timeout_now(r, peer)


def _advance_state(r: "Raft", m: Message, progress: Progress) -> None:
    if progress.state == PROBE:
        progress.become_replicate()
    elif progress.state == REPLICATE:
        progress.inflights.free_to(m.index)
    elif progress.match + 1 >= r.log.first_index():
        # Whichever snapshot it took, from whomever: it is in reach of our log again.
        r.logger.debug(
            f"{r.id:x} recovered from needing snapshot, resumed sending replication messages to {m.from_:x} "
            f"[{describe_progress(progress)}]"
        )
        progress.become_probe()
        progress.become_replicate()


def on_heartbeat_answer(r: "Raft", m: Message, progress: Progress) -> None:
    progress.recent_active = True
    progress.flow_paused = False
    # A full window, or a probe whose answer was lost, gets going again by this append.
    if progress.match < r.log.last_index() or progress.state == PROBE:
        maybe_send_append(r, m.from_)
    reads.on_heartbeat_answer(r, m)


def on_snapshot_status(r: "Raft", m: Message, progress: Progress) -> None:
    if progress.state != SNAPSHOT:
        return
    if m.reject:
        # Or probing would start behind a snapshot that never arrived.
        progress.pending_snapshot = 0
    progress.become_probe()
    outcome = "failed" if m.reject else "succeeded"
    r.logger.debug(
        f"{r.id:x} snapshot {outcome}, resumed sending replication messages to {m.from_:x} "
        f"[{describe_progress(progress)}]"
    )
    # After success the peer's own answer comes soon; after failure the next try waits for a heartbeat.
    progress.flow_paused = True


def on_unreachable(r: "Raft", m: Message, progress: Progress) -> None:
    # Some of what was sent ahead is probably lost.
    if progress.state == REPLICATE:
        progress.become_probe()
    r.logger.debug(
        f"{r.id:x} failed to send message to {m.from_:x} because it is unreachable [{describe_progress(progress)}]"
    )
