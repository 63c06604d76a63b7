"""The values that go in and out of the core: messages, states, snapshots, configuration changes.

All are immutable tuples. Names of message types are etcd's in upper case; the tables below say of each what it is.
Source: raftpb; Raft thesis 3.3 (RPCs), 3.10 (TimeoutNow), 4.3 (joint configurations), 6.4 (ReadIndex), 9.6 (PreVote).
"""

from collections.abc import Sequence
from typing import NamedTuple

from etcdz.raft.entry import Entry

NO_NODE = 0
APPEND_THREAD = (1 << 64) - 1  # whoever writes log, hard state and snapshots; never a member's id
APPLY_THREAD = (1 << 64) - 2  # whoever applies committed entries

MESSAGE_NAMES = (
    "MsgHup",  # election timeout: campaign (from this member itself)
    "MsgBeat",  # heartbeat timeout: leader sends heartbeats (itself)
    "MsgProp",  # entries to append; a follower passes it on to its leader
    "MsgApp",  # leader -> peer: entries behind (log_term, index), and commit
    "MsgAppResp",  # peer -> leader: index is the last matching one, or reject with a hint
    "MsgVote",  # candidate -> voter
    "MsgVoteResp",
    "MsgSnap",  # leader -> peer whose entries are compacted
    "MsgHeartbeat",  # leader -> peer: commit up to what the peer has, context of reads
    "MsgHeartbeatResp",
    "MsgUnreachable",  # transport -> leader: a send to from_ failed
    "MsgSnapStatus",  # transport -> leader: a snapshot to from_ was sent, or reject
    "MsgCheckQuorum",  # election timeout of a leader: step down without a live quorum (itself)
    "MsgTransferLeader",  # make from_ leader
    "MsgTimeoutNow",  # leader -> transfer target: campaign at once
    "MsgReadIndex",  # a linearizable read; its context is the data of its one entry
    "MsgReadIndexResp",
    "MsgPreVote",  # would you vote for me at this (next) term?
    "MsgPreVoteResp",
    "MsgStorageAppend",  # core -> append thread: write entries, hard state, snapshot, then deliver responses
    "MsgStorageAppendResp",  # append thread -> core: durable up to (log_term, index)
    "MsgStorageApply",  # core -> apply thread: committed entries
    "MsgStorageApplyResp",
    "MsgForgetLeader",  # a follower forgets its leader, and so grants votes at once
)
(
    MSG_HUP,
    MSG_BEAT,
    MSG_PROP,
    MSG_APP,
    MSG_APP_RESP,
    MSG_VOTE,
    MSG_VOTE_RESP,
    MSG_SNAP,
    MSG_HEARTBEAT,
    MSG_HEARTBEAT_RESP,
    MSG_UNREACHABLE,
    MSG_SNAP_STATUS,
    MSG_CHECK_QUORUM,
    MSG_TRANSFER_LEADER,
    MSG_TIMEOUT_NOW,
    MSG_READ_INDEX,
    MSG_READ_INDEX_RESP,
    MSG_PRE_VOTE,
    MSG_PRE_VOTE_RESP,
    MSG_STORAGE_APPEND,
    MSG_STORAGE_APPEND_RESP,
    MSG_STORAGE_APPLY,
    MSG_STORAGE_APPLY_RESP,
    MSG_FORGET_LEADER,
) = range(24)

# Never accepted from another member.
LOCAL_MESSAGES = frozenset(
    {
        MSG_HUP,
        MSG_BEAT,
        MSG_UNREACHABLE,
        MSG_SNAP_STATUS,
        MSG_CHECK_QUORUM,
        MSG_STORAGE_APPEND,
        MSG_STORAGE_APPEND_RESP,
        MSG_STORAGE_APPLY,
        MSG_STORAGE_APPLY_RESP,
    }
)
# Only accepted from members of the configuration.
RESPONSE_MESSAGES = frozenset(
    {
        MSG_APP_RESP,
        MSG_VOTE_RESP,
        MSG_HEARTBEAT_RESP,
        MSG_UNREACHABLE,
        MSG_READ_INDEX_RESP,
        MSG_PRE_VOTE_RESP,
        MSG_STORAGE_APPEND_RESP,
        MSG_STORAGE_APPLY_RESP,
    }
)
# Carry the term that they speak of instead of the sender's current one.
CAMPAIGN_MESSAGES = frozenset({MSG_VOTE, MSG_VOTE_RESP, MSG_PRE_VOTE, MSG_PRE_VOTE_RESP})
# Carry no term: whoever receives them treats them as its own.
TERMLESS_MESSAGES = frozenset({MSG_PROP, MSG_READ_INDEX})
# Promise something about this member's disk, so they wait for everything unstable to be durable (thesis 3.8).
AFTER_APPEND_MESSAGES = frozenset({MSG_APP_RESP, MSG_VOTE_RESP, MSG_PRE_VOTE_RESP})
# Sent by none but the leader of their term.
LEADER_MESSAGES = frozenset({MSG_APP, MSG_HEARTBEAT, MSG_SNAP})
VOTE_ANSWER = {MSG_VOTE: MSG_VOTE_RESP, MSG_PRE_VOTE: MSG_PRE_VOTE_RESP}

FOLLOWER, CANDIDATE, LEADER, PRE_CANDIDATE = range(4)
ROLE_NAMES = ("StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate")


class HardState(NamedTuple):
    """What must survive a restart beside the log (thesis 3.8); commit need not, but saves work."""

    term: int = 0
    vote: int = 0
    commit: int = 0


class SoftState(NamedTuple):
    """What a restart may forget."""

    lead: int
    role: int


class ReadState(NamedTuple):
    """A read with this context may be served once index is applied."""

    index: int  # type: ignore[assignment]
    context: bytes


class ConfState(NamedTuple):
    """A configuration as it is stored in snapshots. Ids are sorted when the core makes it."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


class Snapshot(NamedTuple):
    """State up to index. data belongs to the application; index 0 is no snapshot at all."""

    index: int = 0  # type: ignore[assignment]
    term: int = 0
    conf_state: ConfState = ConfState()
    data: bytes = b""


class Message(NamedTuple):
    """One message of the protocol; fields that a type does not use are zero.

    to, from_    member ids, 0 for none; or APPEND_THREAD, APPLY_THREAD
    term         sender's term; of campaign messages the term asked for; 0 for local ones
    log_term     term of the entry at index
    entries      behind index; of MsgReadIndex and its answer one whose data is the read's context
    commit, vote of MsgStorageAppend: with term a HardState to write, all zero if there is none
    responses    of MsgStorage*: deliver each to its `to` once the work is done
    """

    type: int
    to: int = 0
    from_: int = 0
    term: int = 0
    log_term: int = 0
    index: int = 0  # type: ignore[assignment]
    entries: Sequence[Entry] = ()
    commit: int = 0
    vote: int = 0
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    responses: Sequence["Message"] = ()


# Configuration changes (thesis 4.1 single-server, 4.3 joint).
CONF_CHANGE_ADD_NODE, CONF_CHANGE_REMOVE_NODE, CONF_CHANGE_UPDATE_NODE, CONF_CHANGE_ADD_LEARNER_NODE = range(4)
CONF_CHANGE_NAMES = ("ConfChangeAddNode", "ConfChangeRemoveNode", "ConfChangeUpdateNode", "ConfChangeAddLearnerNode")
TRANSITION_AUTO, TRANSITION_JOINT_IMPLICIT, TRANSITION_JOINT_EXPLICIT = range(3)
TRANSITION_NAMES = (
    "ConfChangeTransitionAuto",
    "ConfChangeTransitionJointImplicit",
    "ConfChangeTransitionJointExplicit",
)


class ConfChangeSingle(NamedTuple):
    type: int
    node_id: int


class ConfChangeV2(NamedTuple):
    """Any number of changes at once; none, with an automatic transition, leaves a joint configuration."""

    transition: int = TRANSITION_AUTO
    changes: tuple[ConfChangeSingle, ...] = ()
    context: bytes = b""

    def as_v2(self) -> "ConfChangeV2":
        return self

    @property
    def leaves_joint(self) -> bool:
        return self.transition == TRANSITION_AUTO and not self.changes

    @property
    def enters_joint(self) -> bool:
        return self.transition != TRANSITION_AUTO or len(self.changes) > 1

    @property
    def auto_leave(self) -> bool:
        """Requires: enters_joint. Whether the leader leaves the joint configuration by itself."""
        return self.transition != TRANSITION_JOINT_EXPLICIT


class ConfChange(NamedTuple):
    """One change, the older form; etcd 3.5 writes nothing else."""

    type: int
    node_id: int
    context: bytes = b""
    id: int = 0

    def as_v2(self) -> ConfChangeV2:
        return ConfChangeV2(changes=(ConfChangeSingle(self.type, self.node_id),), context=self.context)


AnyConfChange = ConfChange | ConfChangeV2
