"""What a message of another member claims, held against what this one knows.

A member is trusted to be what it is, not to be without defects. The core does what messages say: some would end it,
some it would believe though they cannot be true, and what it appends for a follower is in every member's log for good.
Those are found here, before they reach it.

One claim is let through though the core fails on it: a leader's heartbeat that commits more than this log has. A log
that has lost what it once acknowledged looks like that from inside, and such a member must end, as in etcd.
"""

from typing import Final

from etcdz.cluster.membership import is_conf_change
from etcdz.mvcc.applier import is_known
from etcdz.raft import Message
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL, Entry
from etcdz.raft.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    LEADER,
    MESSAGE_NAMES,
    MSG_APP,
    MSG_APP_RESP,
    MSG_FORGET_LEADER,
    MSG_PROP,
    MSG_READ_INDEX,
    MSG_READ_INDEX_RESP,
    MSG_TRANSFER_LEADER,
    NO_NODE,
    TERMLESS_MESSAGES,
)
from etcdz.raft.raft import Raft

TERMS_AHEAD_MAX: Final = 1 << 32
"""By which another's term may be ahead: ten elections a second for 13 years. A member that believed any would be told
the last one there is, and with it the cluster: no later term could follow."""
TERM_MAX: Final = 1 << 63
"""The same for a member that has no term yet."""


def problem(message: Message, raft: Raft) -> str:
    """Why the core must not be given this; "": it may be."""
    found = _of_sender(message, raft) or _of_term(message.term, raft.term) or _of_content(message, raft)
    return f"{MESSAGE_NAMES[message.type]} {found}" if found else ""


def may_be_appended(entry: Entry) -> bool:
    """Whether members can apply what another one proposes. In the log it would end every one of them, at each start."""
    if entry.type == ENTRY_NORMAL:
        return not entry.data or is_known(entry.data)
    return entry.type == ENTRY_CONF_CHANGE and is_conf_change(entry.data)


def _of_sender(message: Message, raft: Raft) -> str:
    """NB: what is passed on by others may come back to who has asked."""
    if message.to != raft.id:
        return f"is for {message.to:x}"
    if message.type in TERMLESS_MESSAGES:
        return ""
    if message.from_ in (NO_NODE, raft.id, APPEND_THREAD, APPLY_THREAD):
        return "is of no other member"
    if message.type == MSG_FORGET_LEADER or (message.type == MSG_TRANSFER_LEADER and raft.role != LEADER):
        return "is not for a member that does not lead"
    return ""


def _of_term(term: int, own: int) -> str:
    if term > TERM_MAX or (own and term > own + TERMS_AHEAD_MAX):
        return f"is of term {term}, far beyond {own}"
    return ""


def _of_content(message: Message, raft: Raft) -> str:
    entries, type_ = message.entries, message.type
    if type_ == MSG_PROP and not entries:
        return "has no entries"
    if type_ in (MSG_READ_INDEX, MSG_READ_INDEX_RESP) and len(entries) != 1:
        return f"has {len(entries)} contexts"
    if type_ == MSG_APP and entries:
        first, last = entries[0].index, entries[-1].index
        if first != message.index + 1 or last != message.index + len(entries):
            return f"behind {message.index} has {len(entries)} entries from {first} to {last}"
    if type_ == MSG_APP_RESP and not message.reject and raft.role == LEADER and message.term == raft.term:
        last = raft.log.last_index()
        return f"acknowledges {message.index}, and the log ends at {last}" if message.index > last else ""
    return ""
