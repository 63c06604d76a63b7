"""raftpb on the wire <-> the core's values.

Fields that are not nullable in raftpb are always written, also when they are zero, as etcd 3.5 does. Messages, which
carry entries, are written and read by hand so that an entry's bytes go through as they are; the rest is protobuf's.

    message = 0x08 type  0x10 to  0x18 from  0x20 term  0x28 logTerm  0x30 index  { 0x3a length entry }
              0x40 commit  0x4a length snapshot  0x50 reject  0x58 rejectHint  [0x62 length context]

vote and responses, which only a core and its own storage use, do not travel.

raises  google.protobuf.message.DecodeError on bytes that are not of the type, in every decode_*
Source: raftpb; etcd 3.5's generated code for which fields are written.
"""

from typing import Any

from google.protobuf.message import DecodeError

from etcdz.proto import raftpb
from etcdz.proto.fields import WITH_LENGTH, decode_varint, encode_varint, message_field
from etcdz.proto.tags import (
    HARD_STATE_COMMIT,
    HARD_STATE_TERM,
    HARD_STATE_VOTE,
    MESSAGE_COMMIT,
    MESSAGE_CONTEXT,
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
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2, decode_entries
from etcdz.raft.messages import (
    MESSAGE_NAMES,
    MSG_APP_RESP,
    AnyConfChange,
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    HardState,
    Message,
    Snapshot,
)

# State


def encode_hard_state(state: HardState) -> bytes:
    """By hand: a commit index goes with every write."""
    term, vote, commit = map(encode_varint, state)
    return HARD_STATE_TERM + term + HARD_STATE_VOTE + vote + HARD_STATE_COMMIT + commit


def decode_hard_state(buf: bytes) -> HardState:
    parsed = raftpb.HardState.FromString(buf)
    return HardState(parsed.term, parsed.vote, parsed.commit)


def conf_state_to_proto(state: ConfState) -> raftpb.ConfState:
    return raftpb.ConfState(
        voters=state.voters,
        learners=state.learners,
        voters_outgoing=state.voters_outgoing,
        learners_next=state.learners_next,
        auto_leave=state.auto_leave,
    )


def conf_state_from_proto(parsed: raftpb.ConfState) -> ConfState:
    return ConfState(
        tuple(parsed.voters),
        tuple(parsed.learners),
        tuple(parsed.voters_outgoing),
        tuple(parsed.learners_next),
        parsed.auto_leave,
    )


def encode_conf_state(state: ConfState) -> bytes:
    return conf_state_to_proto(state).SerializeToString()


def decode_conf_state(buf: bytes) -> ConfState:
    return conf_state_from_proto(raftpb.ConfState.FromString(buf))


def encode_snapshot(snapshot: Snapshot) -> bytes:
    metadata = raftpb.SnapshotMetadata(
        conf_state=conf_state_to_proto(snapshot.conf_state), index=snapshot.index, term=snapshot.term
    )
    message = raftpb.Snapshot(metadata=metadata)
    if snapshot.data:
        message.data = snapshot.data
    return message.SerializeToString()


def decode_snapshot(buf: bytes) -> Snapshot:
    parsed = raftpb.Snapshot.FromString(buf)
    meta = parsed.metadata
    return Snapshot(meta.index, meta.term, conf_state_from_proto(meta.conf_state), parsed.data)


# Configuration changes


def encode_conf_change(change: AnyConfChange) -> tuple[int, bytes]:
    """(entry type, data of the entry)."""
    context = {"context": change.context} if change.context else {}
    if isinstance(change, ConfChange):
        v1 = raftpb.ConfChange(id=change.id, type=change.type, node_id=change.node_id, **context)
        return ENTRY_CONF_CHANGE, v1.SerializeToString()
    changes = [raftpb.ConfChangeSingle(type=one.type, node_id=one.node_id) for one in change.changes]
    v2 = raftpb.ConfChangeV2(transition=change.transition, changes=changes, **context)
    return ENTRY_CONF_CHANGE_V2, v2.SerializeToString()


def decode_conf_change(entry_type: int, data: bytes) -> AnyConfChange:
    """Requires: entry_type is one of the two conf change types."""
    if entry_type == ENTRY_CONF_CHANGE:
        v1 = raftpb.ConfChange.FromString(data)
        return ConfChange(v1.type, v1.node_id, v1.context, v1.id)
    v2 = raftpb.ConfChangeV2.FromString(data)
    changes = tuple(ConfChangeSingle(one.type, one.node_id) for one in v2.changes)
    return ConfChangeV2(v2.transition, changes, v2.context)


# Messages

_NO_SNAPSHOT = encode_snapshot(Snapshot())
_REJECTED = MESSAGE_REJECT + b"\x01" + MESSAGE_REJECT_HINT
_NOT_REJECTED = MESSAGE_REJECT + b"\x00" + MESSAGE_REJECT_HINT
_ENTRIES = MESSAGE_ENTRIES[0]


def encode_message(m: Message) -> bytes:
    number = encode_varint
    parts = [
        MESSAGE_TYPE + number(m.type) + MESSAGE_TO + number(m.to) + MESSAGE_FROM + number(m.from_),
        MESSAGE_TERM + number(m.term) + MESSAGE_LOG_TERM + number(m.log_term) + MESSAGE_INDEX + number(m.index),
    ]
    for entry in m.entries:
        parts += (MESSAGE_ENTRIES, number(len(entry.encoded)), entry.encoded)
    parts.append(MESSAGE_COMMIT + number(m.commit))
    snapshot = _NO_SNAPSHOT if m.snapshot is None else encode_snapshot(m.snapshot)
    parts.append(message_field(MESSAGE_SNAPSHOT, snapshot))
    parts.append((_REJECTED if m.reject else _NOT_REJECTED) + number(m.reject_hint))
    if m.context:
        parts.append(message_field(MESSAGE_CONTEXT, m.context))
    return b"".join(parts)


def _skip(buf: bytes, tag: int, at: int) -> int:
    """Offset behind a field that we do not know."""
    wire = tag & 7
    if wire == 0:
        return decode_varint(buf, at)[1]
    if wire in (1, 5):
        return at + (8 if wire == 1 else 4)
    raise DecodeError(f"field {tag >> 3} of wire type {wire}")


# Field tag -> attribute; numbers, and those with a length.
_NUMBERS = {
    MESSAGE_TYPE[0]: "type",
    MESSAGE_TO[0]: "to",
    MESSAGE_FROM[0]: "from_",
    MESSAGE_TERM[0]: "term",
    MESSAGE_LOG_TERM[0]: "log_term",
    MESSAGE_INDEX[0]: "index",
    MESSAGE_COMMIT[0]: "commit",
    MESSAGE_REJECT[0]: "reject",
    MESSAGE_REJECT_HINT[0]: "reject_hint",
}


def _split_entries(buf: bytes, at: int, into: list[bytes]) -> int:
    """Cut out the run of entries whose first tag is at `at`; offset behind the run."""
    end = len(buf)
    while at < end and buf[at] == _ENTRIES:
        length = buf[at + 1]
        at += 2
        if length >= 0x80:
            length, at = decode_varint(buf, at - 1)
        into.append(buf[at : at + length])
        at += length
    if at > end:
        raise DecodeError("entry reaches beyond the message")
    return at


_TYPE_OF_ACKNOWLEDGEMENT = MESSAGE_TYPE + encode_varint(MSG_APP_RESP)
_TAKEN = _NOT_REJECTED + encode_varint(0)


def is_acknowledgement(buf: bytes) -> bool:
    """Whether an encoded message says that an append was taken, and nothing else. NB: False for other forms of it than
    encode_message writes."""
    return buf.startswith(_TYPE_OF_ACKNOWLEDGEMENT) and buf.endswith(_TAKEN)


_NUMBERS_BEFORE = tuple(
    tag[0] for tag in (MESSAGE_TYPE, MESSAGE_TO, MESSAGE_FROM, MESSAGE_TERM, MESSAGE_LOG_TERM, MESSAGE_INDEX)
)
_COMMIT, _CONTEXT, _REJECT = MESSAGE_COMMIT[0], MESSAGE_CONTEXT[0], MESSAGE_REJECT[0]
_NO_SNAPSHOT_FIELD = message_field(MESSAGE_SNAPSHOT, _NO_SNAPSHOT)


def _decode_canonical(buf: bytes) -> Message | None:
    """The message if buf is exactly in the form that encode_message writes, and has no snapshot, else None.

    Every message is decoded twice on its way in, and most have no entries: reading field by field took 15 us more.
    """
    numbers: list[int] = []
    entries: list[bytes] = []
    at, context = 0, b""
    try:
        for tag in _NUMBERS_BEFORE:
            value = buf[at + 1]
            if buf[at] != tag:
                return None
            at += 2
            if value > 127:
                value, at = decode_varint(buf, at - 1)
            numbers.append(value)
        if buf[at] == _ENTRIES:
            at = _split_entries(buf, at, entries)
        if buf[at] != _COMMIT:
            return None
        commit, at = decode_varint(buf, at + 1)
        if not buf.startswith(_NO_SNAPSHOT_FIELD, at):
            return None
        at += len(_NO_SNAPSHOT_FIELD)
        reject = buf[at + 1]
        if buf[at] != _REJECT or reject > 1 or buf[at + 2] != MESSAGE_REJECT_HINT[0]:
            return None
        hint, at = decode_varint(buf, at + 3)
        if at < len(buf):
            if buf[at] != _CONTEXT:
                return None
            length, at = decode_varint(buf, at + 1)
            context, at = buf[at : at + length], at + length
    except (IndexError, ValueError):
        return None
    if at != len(buf) or numbers[0] >= len(MESSAGE_NAMES):
        return None
    decoded = decode_entries(entries) if entries else []
    type_, to, from_, term, log_term, index = numbers
    return Message(type_, to, from_, term, log_term, index, decoded, commit, 0, None, reject == 1, hint, context)


def decode_message(buf: bytes) -> Message:
    """A snapshot of index 0 is what older members write for none."""
    canonical = _decode_canonical(buf)
    if canonical is not None:
        return canonical
    fields: dict[str, Any] = {"type": 0}
    entries: list[bytes] = []
    at, end = 0, len(buf)
    try:
        while at < end:
            if buf[at] == _ENTRIES:
                at = _split_entries(buf, at, entries)
                continue
            tag, at = decode_varint(buf, at)
            if tag & 7 == WITH_LENGTH:
                length, at = decode_varint(buf, at)
                if at + length > end:
                    raise DecodeError("field reaches beyond the message")
                _take_delimited(tag, buf[at : at + length], fields)
                at += length
            elif tag in _NUMBERS:
                fields[_NUMBERS[tag]], at = decode_varint(buf, at)
            else:
                at = _skip(buf, tag, at)
    except IndexError:
        raise DecodeError("message ends within a field") from None
    except ValueError as error:
        raise DecodeError(str(error)) from None
    if at != end or fields["type"] >= len(MESSAGE_NAMES):
        raise DecodeError("not a raft message")
    fields["reject"] = bool(fields.get("reject"))
    return Message(**fields, entries=decode_entries(entries))


def _take_delimited(tag: int, data: bytes, fields: dict[str, Any]) -> None:
    if tag == MESSAGE_SNAPSHOT[0]:
        # The empty one is in every message of etcd 3.5.
        snapshot = None if data == _NO_SNAPSHOT else decode_snapshot(data)
        fields["snapshot"] = snapshot if snapshot is not None and snapshot.index else None
    elif tag == MESSAGE_CONTEXT[0]:
        fields["context"] = data
