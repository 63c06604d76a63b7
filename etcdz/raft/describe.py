"""The core's values as text, in etcd-io/raft's words: for log lines, conversations and whoever looks inside."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from etcdz.raft.codec import decode_conf_change
from etcdz.raft.entry import ENTRY_NORMAL, ENTRY_TYPE_NAMES, Entry
from etcdz.raft.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_NAMES,
    CONF_CHANGE_REMOVE_NODE,
    CONF_CHANGE_UPDATE_NODE,
    MESSAGE_NAMES,
    NO_NODE,
    ROLE_NAMES,
    TRANSITION_NAMES,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    HardState,
    Message,
    ReadState,
    Snapshot,
    SoftState,
)
from etcdz.raft.progress import PROGRESS_NAMES, Progress
from etcdz.raft.tracker import TrackedConfig

if TYPE_CHECKING:
    from etcdz.raft.node import Ready

Payload = Callable[[bytes], str]

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPES["\v"] = "\\v"
_CHANGE_LETTERS = {
    CONF_CHANGE_ADD_NODE: "v",
    CONF_CHANGE_ADD_LEARNER_NODE: "l",
    CONF_CHANGE_REMOVE_NODE: "r",
    CONF_CHANGE_UPDATE_NODE: "u",
}
_TARGETS = {NO_NODE: "None", APPEND_THREAD: "AppendThread", APPLY_THREAD: "ApplyThread"}


def _quoted_character(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, see quote
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(data: bytes) -> str:
    """Bytes as a Go string literal, what %q prints."""
    return '"' + "".join(map(_quoted_character, data.decode("utf-8", "surrogateescape"))) + '"'


def go_bool(value: bool) -> str:
    return "true" if value else "false"


def ids(members: Iterable[int]) -> str:
    return "(" + " ".join(f"{member:x}" for member in sorted(members)) + ")"


def describe_config(config: TrackedConfig) -> str:
    parts = ["voters=" + ids(config.voters) + ("&&" + ids(config.outgoing) if config.outgoing else "")]
    if config.learners:
        parts.append("learners=" + ids(config.learners))
    if config.learners_next:
        parts.append("learners_next=" + ids(config.learners_next))
    if config.auto_leave:
        parts.append("autoleave")
    return " ".join(parts)


def describe_progress(progress: Progress) -> str:
    inflight = len(progress.inflights)
    flags = (
        (progress.is_learner, " learner"),
        (progress.paused, " paused"),
        (progress.pending_snapshot > 0, f" pendingSnap={progress.pending_snapshot}"),
        (not progress.recent_active, " inactive"),
        (inflight > 0, f" inflight={inflight}" + ("[full]" if progress.inflights.full else "")),
    )
    state = f"{PROGRESS_NAMES[progress.state]} match={progress.match} next={progress.next}"
    return state + "".join(text for present, text in flags if present)


def describe_progress_map(progress: dict[int, Progress]) -> str:
    """One line per member by rising id, each with its newline."""
    return "".join(f"{peer}: {describe_progress(progress[peer])}\n" for peer in sorted(progress))


def describe_hard_state(state: HardState) -> str:
    return f"Term:{state.term}" + (f" Vote:{state.vote}" if state.vote else "") + f" Commit:{state.commit}"


def describe_soft_state(state: SoftState) -> str:
    return f"Lead:{state.lead} State:{ROLE_NAMES[state.role]}"


def describe_conf_state(state: ConfState) -> str:
    def listed(members: Sequence[int]) -> str:
        return "[" + " ".join(map(str, members)) + "]"

    return (
        f"Voters:{listed(state.voters)} VotersOutgoing:{listed(state.voters_outgoing)} "
        f"Learners:{listed(state.learners)} LearnersNext:{listed(state.learners_next)} "
        f"AutoLeave:{go_bool(state.auto_leave)}"
    )


def describe_snapshot(snapshot: Snapshot) -> str:
    return f"Index:{snapshot.index} Term:{snapshot.term} ConfState:{describe_conf_state(snapshot.conf_state)}"


def describe_read_state(state: ReadState) -> str:
    return f"{{{state.index} [{' '.join(map(str, state.context))}]}}"


def describe_changes(changes: Iterable[ConfChangeSingle]) -> str:
    """The short form, "v1 l2 r3 u4"."""
    return " ".join(_CHANGE_LETTERS.get(change.type, "unknown") + str(change.node_id) for change in changes)


def parse_changes(text: str) -> tuple[ConfChangeSingle, ...]:
    """The opposite of describe_changes; tokens are separated by one blank. raises ValueError"""
    letters = {letter: change for change, letter in _CHANGE_LETTERS.items()}
    changes = []
    for token in text.strip().split(" ") if text.strip() else ():
        if len(token) < 2:
            raise ValueError(f"unknown token {token}")
        if token[0] not in letters:
            raise ValueError(f"unknown input: {token}")
        if not (token[1:].isascii() and token[1:].isdigit()):
            raise ValueError(f"strconv.ParseUint: parsing {quote(token[1:].encode())}: invalid syntax")
        changes.append(ConfChangeSingle(letters[token[0]], int(token[1:])))
    return tuple(changes)


def describe_conf_change(change: ConfChangeV2) -> str:
    parts = [f"transition:{TRANSITION_NAMES[change.transition]}"]
    parts += [f"changes:{{type:{CONF_CHANGE_NAMES[one.type]} node_id:{one.node_id}}}" for one in change.changes]
    if change.context:
        parts.append(f"context:{quote(change.context)}")
    return " ".join(parts)


def describe_entry(entry: Entry, payload: Payload = quote) -> str:
    if entry.type == ENTRY_NORMAL:
        text = payload(entry.data)
    else:
        try:
            text = describe_changes(decode_conf_change(entry.type, entry.data).as_v2().changes)
        except DecodeError as error:
            text = str(error)
    return f"{entry.term}/{entry.index} {ENTRY_TYPE_NAMES[entry.type]}" + (f" {text}" if text else "")


def describe_entries(entries: Iterable[Entry], payload: Payload = quote) -> str:
    return "".join(describe_entry(entry, payload) + "\n" for entry in entries)


def describe_target(target: int) -> str:
    return _TARGETS.get(target, f"{target:x}")


def _bracketed(entries: Sequence[Entry], payload: Payload, indent: str) -> str:
    if len(entries) == 1:
        return f" Entries:[{describe_entry(entries[0], payload)}]"
    lines = [f"\n{indent}  {describe_entry(entry, payload)}" for entry in entries]
    return f" Entries:[{''.join(lines)}\n{indent}]"


def describe_message(m: Message, payload: Payload = quote, indent: str = "") -> str:
    text = (
        f"{indent}{describe_target(m.from_)}->{describe_target(m.to)} {MESSAGE_NAMES[m.type]} "
        f"Term:{m.term} Log:{m.log_term}/{m.index}"
    )
    if m.reject:
        text += f" Rejected (Hint: {m.reject_hint})"
    if m.commit:
        text += f" Commit:{m.commit}"
    if m.vote:
        text += f" Vote:{m.vote}"
    if m.entries:
        text += _bracketed(m.entries, payload, indent)
    if m.snapshot is not None and m.snapshot.index:
        text += f"\n{indent}  Snapshot: {describe_snapshot(m.snapshot)}"
    if m.responses:
        responses = [f"\n{describe_message(response, payload, indent + '  ')}" for response in m.responses]
        text += f" Responses:[{''.join(responses)}\n{indent}]"
    return text


def describe_ready(ready: "Ready", payload: Payload = quote) -> str:
    text = ""
    if ready.soft_state is not None:
        text += describe_soft_state(ready.soft_state) + "\n"
    if ready.hard_state is not None:
        text += f"HardState {describe_hard_state(ready.hard_state)}\n"
    if ready.read_states:
        text += f"ReadStates [{' '.join(map(describe_read_state, ready.read_states))}]\n"
    if ready.entries:
        text += "Entries:\n" + describe_entries(ready.entries, payload)
    if ready.snapshot is not None:
        text += f"Snapshot {describe_snapshot(ready.snapshot)}\n"
    if ready.committed_entries:
        text += "CommittedEntries:\n" + describe_entries(ready.committed_entries, payload)
    if ready.messages:
        text += "Messages:\n" + "".join(describe_message(m, payload) + "\n" for m in ready.messages)
    return f"Ready MustSync={go_bool(ready.must_sync)}:\n{text}" if text else "<empty Ready>"
