"""An append on its way to another member: MsgApp, whose entries are encoded already and are not copied before the
connection is written to.

Source: raftpb; etcdz/raft/codec.py has the grammar of a message.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from etcdz.proto.fields import encode_varint, message_field
from etcdz.proto.tags import (
    MESSAGE_COMMIT,
    MESSAGE_ENTRIES,
    MESSAGE_FROM,
    MESSAGE_INDEX,
    MESSAGE_LOG_TERM,
    MESSAGE_REJECT,
    MESSAGE_REJECT_HINT,
    MESSAGE_SNAPSHOT,
    MESSAGE_TERM,
    MESSAGE_TO,
    MESSAGE_TYPE,
)
from etcdz.raft.codec import encode_snapshot
from etcdz.raft.messages import MSG_APP, Snapshot

_BACK: Final = (
    message_field(MESSAGE_SNAPSHOT, encode_snapshot(Snapshot()))
    + MESSAGE_REJECT + b"\x00"
    + MESSAGE_REJECT_HINT + b"\x00"
)  # fmt: skip


class Append(NamedTuple):
    """As message Send carries it.

    log_term    term of the entry at index
    index       position in the log behind which the entries go
    entries     encoded raftpb.Entry each, at index + 1 and so on
    """

    term: int
    log_term: int
    index: int  # type: ignore[assignment]
    commit: int
    entries: Sequence[bytes]


def encode_append(local_id: int, remote_id: int, append: Append) -> list[bytes]:
    """Parts of the raftpb.Message from local_id to remote_id."""
    number = encode_varint
    term, log_term, index, commit, entries = append
    front = (
        MESSAGE_TYPE + number(MSG_APP) + MESSAGE_TO + number(remote_id) + MESSAGE_FROM + number(local_id)
        + MESSAGE_TERM + number(term) + MESSAGE_LOG_TERM + number(log_term) + MESSAGE_INDEX + number(index)
    )  # fmt: skip
    parts = [front]
    for entry in entries:
        parts += (MESSAGE_ENTRIES, number(len(entry)), entry)
    parts.append(MESSAGE_COMMIT + number(commit) + _BACK)
    return parts
