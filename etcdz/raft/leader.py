"""What a leader does with messages: proposals, transfers, the quorum check; answers of peers go to replication.py.

Source: Raft thesis 3.5 (proposals), 3.10 (transfer), 4 (configuration changes), 6.2 (check-quorum).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from etcdz.raft import heartbeat, reads, replication
from etcdz.raft.codec import decode_conf_change
from etcdz.raft.describe import describe_conf_change, describe_config
from etcdz.raft.entry import ENTRY_NORMAL, Entry, make_entry
from etcdz.raft.errors import ProposalDropped
from etcdz.raft.messages import (
    MESSAGE_NAMES,
    MSG_APP_RESP,
    MSG_BEAT,
    MSG_CHECK_QUORUM,
    MSG_FORGET_LEADER,
    MSG_HEARTBEAT_RESP,
    MSG_PROP,
    MSG_READ_INDEX,
    MSG_SNAP_STATUS,
    MSG_TRANSFER_LEADER,
    MSG_UNREACHABLE,
    NO_NODE,
    ConfChangeV2,
    Message,
)
from etcdz.raft.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from etcdz.raft.raft import Raft


# Proposals


def propose(r: "Raft", payloads: Sequence[bytes]) -> None:
    """Append payloads as normal entries, all or none. raises ProposalDropped"""
    _check_may_propose(r)
    if not r.append_payloads(payloads):
        raise ProposalDropped
    replication.broadcast_append(r)


def _on_proposal(r: "Raft", m: Message) -> None:
    if not m.entries:
        r.broken(f"{r.id:x} stepped empty MsgProp")
    _check_may_propose(r)
    first = r.log.last_index() + 1
    entries = [_admitted(r, entry, first + at) for at, entry in enumerate(m.entries)]
    if not r.append_own(entries):
        raise ProposalDropped
    replication.broadcast_append(r)


def _check_may_propose(r: "Raft") -> None:
    if r.id not in r.tracker.progress:
        # Removed while leading.
        raise ProposalDropped
    if r.transferee:
        r.logger.debug(
            f"{r.id:x} [term {r.term}] transfer leadership to {r.transferee:x} is in progress; dropping proposal"
        )
        raise ProposalDropped


def _admitted(r: "Raft", proposed: Entry, index: int) -> Entry:
    """The entry to append at index; an empty one in place of a configuration change that may not be made now."""
    entry_type, data = proposed.type, proposed.data
    if entry_type != ENTRY_NORMAL:
        try:
            change = decode_conf_change(entry_type, data).as_v2()
        except DecodeError as error:
            raise ProposalDropped("raft proposal dropped: not a configuration change") from error
        reason = _refusal(r, change)
        if reason and r.conf_change_validation:
            r.logger.info(
                f"{r.id:x} ignoring conf change {describe_conf_change(change)} "
                f"at config {describe_config(r.tracker.config)}: {reason}"
            )
            entry_type, data = ENTRY_NORMAL, b""
        else:
            r.pending_conf_index = index
    return make_entry(entry_type, r.term, index, data)


def _refusal(r: "Raft", change: ConfChangeV2) -> str:
    """Why change does not fit, "" if it does. The active configuration may lag behind the log, so this is a guess."""
    joint = r.tracker.config.joint
    if r.pending_conf_index > r.log.applied:
        return f"possible unapplied conf change at index {r.pending_conf_index} (applied to {r.log.applied})"
    if joint and change.changes:
        return "must transition out of joint config first"
    if not joint and not change.changes:
        return "not in joint state; refusing empty conf change"
    return ""


# Time


def _on_beat(r: "Raft", m: Message) -> None:
    heartbeat.broadcast(r)


def _on_check_quorum(r: "Raft", m: Message) -> None:
    if not r.tracker.quorum_active():
        r.logger.warning(f"{r.id:x} stepped down to follower since quorum is not active")
        r.become_follower(r.term, NO_NODE)
    for peer, progress in r.tracker.progress.items():
        if peer != r.id:
            progress.recent_active = False


# Leadership and configuration


def _on_transfer(r: "Raft", m: Message, progress: Progress) -> None:
    target, me = m.from_, f"{r.id:x} [term {r.term}]"
    if progress.is_learner:
        r.logger.debug(f"{r.id:x} is learner. Ignored transferring leadership")
        return
    if r.transferee == target:
        r.logger.info(f"{me} transfer leadership to {target:x} is in progress, ignores request to same node {target:x}")
        return
    if r.transferee:
        r.logger.info(f"{me} abort previous transferring leadership to {r.transferee:x}")
        r.transferee = NO_NODE
    if target == r.id:
        r.logger.debug(f"{r.id:x} is already leader. Ignored transferring leadership to self")
        return
    r.logger.info(f"{me} starts to transfer leadership to {target:x}")
    # It has one election timeout from now.
    r.election_elapsed = 0
    r.transferee = target
    if progress.match == r.log.last_index():
        replication.send_timeout_now(r, target)
        r.logger.info(
            f"{r.id:x} sends MsgTimeoutNow to {target:x} immediately as {target:x} already has up-to-date log"
        )
    else:
        replication.maybe_send_append(r, target)


def on_config_switched(r: "Raft") -> None:
    """A smaller quorum may have committed more; new peers need not wait for the next heartbeat."""
    if r.maybe_commit():
        replication.broadcast_append(r)
    else:
        for peer in r.tracker.peers:
            if peer != r.id:
                replication.maybe_send_append(r, peer, even_if_empty=False)
    if r.transferee not in r.tracker.config.all_voters:
        r.transferee = NO_NODE


# Dispatch

# These need to know of the peer that they come from.
_OF_PEER: "dict[int, Callable[[Raft, Message, Progress], None]]" = {
    MSG_APP_RESP: replication.on_append_answer,
    MSG_HEARTBEAT_RESP: replication.on_heartbeat_answer,
    MSG_SNAP_STATUS: replication.on_snapshot_status,
    MSG_UNREACHABLE: replication.on_unreachable,
    MSG_TRANSFER_LEADER: _on_transfer,
}


def _on_peer_message(r: "Raft", m: Message) -> None:
    progress = r.tracker.progress.get(m.from_)
    if progress is None:
        r.logger.debug(f"{r.id:x} no progress available for {m.from_:x}")
        return
    handler = _OF_PEER.get(m.type)
    if handler is not None:
        handler(r, m, progress)


def _ignore(r: "Raft", m: Message) -> None:
    """A leader knows who leads."""


STEP: "dict[int, Callable[[Raft, Message], None]]" = {
    **dict.fromkeys(range(len(MESSAGE_NAMES)), _on_peer_message),
    MSG_BEAT: _on_beat,
    MSG_CHECK_QUORUM: _on_check_quorum,
    MSG_PROP: _on_proposal,
    MSG_READ_INDEX: reads.on_read_index,
    MSG_FORGET_LEADER: _ignore,
}
