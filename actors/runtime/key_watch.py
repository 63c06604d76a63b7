"""Notes of messages that touch keys with a prefix: which keys, never their values.

An operator has named the prefix (`etcdz actors trace`) and reads the notes while they are made. They are not written
to any file.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from etcdz.api.request_keys import Touched, matches, touched_by_call, touched_by_entry
from etcdz.ipc.messages import Append, Apply, DelegatedAppends, Durable, Propose, Read, Write, decode_frame
from etcdz.raft.entry import decode_entry

NOTES_MAX: Final = 1_000
KEYS_MAX: Final = 20
"""Of one message; the others are only counted."""
KEY_BYTES_MAX: Final = 200


class Note(NamedTuple):
    """One message. at_ns: on the monotonic clock; keys: [verb, key, range end] as text."""

    seq: int
    at_ns: int
    type: str
    keys: list[list[str]]
    more: int


class KeyWatch:
    """In one actor, while it is switched on. At most rate notes a second; what is beyond is counted."""

    def __init__(self, prefix: bytes, rate: int) -> None:
        self._prefix = prefix
        self._rate = max(1, rate)
        self._second = 0
        self._in_second = 0
        self._seq = 0
        self._notes: deque[Note] = deque(maxlen=NOTES_MAX)
        self.dropped = 0

    def look(self, frame: bytes | memoryview) -> None:
        """At a frame before it is handled. One that cannot be decoded is passed over: handling it says so."""
        try:
            messages = decode_frame(frame)
        except (ValueError, KeyError, TypeError):
            return
        for message in messages:
            touched = _TOUCHED.get(type(message))
            if touched is not None and self._admit_more():
                try:
                    self._look(message, touched)
                except Exception:  # who looks must not harm who is looked at
                    self.dropped += 1

    def _look(self, message: Any, touched: Callable[[Any], list[Touched]]) -> None:
        found = [one for one in touched(message) if matches(one, self._prefix)]
        if not found:
            return
        self._in_second += 1
        self._seq += 1
        keys = [[verb, _text(key), _text(end)] for verb, key, end in found[:KEYS_MAX]]
        more = max(0, len(found) - KEYS_MAX)
        self._notes.append(Note(self._seq, time.monotonic_ns(), type(message).__name__, keys, more))

    def _admit_more(self) -> bool:
        """Whether the rate allows another note in this second. NB: beyond it nothing is even decoded."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        if self._in_second < self._rate:
            return True
        self.dropped += 1
        return False

    def noted(self, after: int) -> dict[str, Any]:
        """{"notes": those behind number after, "dropped": messages beyond the rate, which were not looked at}."""
        notes = [note._asdict() for note in self._notes if note.seq > after]
        return {"notes": notes, "dropped": self.dropped}


def _text(key: bytes) -> str:
    return key[:KEY_BYTES_MAX].decode("utf-8", "backslashreplace")


def _of_entries(entries: list[bytes]) -> list[Touched]:
    return [one for data in entries for one in touched_by_entry(data)]


def _of_encoded(entries: list[bytes]) -> list[Touched]:
    return _of_entries([decode_entry(data).data for data in entries])


_TOUCHED: Final[dict[type[Any], Callable[[Any], list[Touched]]]] = {
    Propose: lambda message: _of_entries([item[1] for item in message.items]),
    Write: lambda message: _of_entries([item[1] for item in message.items]),
    Read: lambda message: [one for item in message.items for one in touched_by_call(item[1], item[2])],
    Apply: lambda message: _of_entries(message.entries),
    Append: lambda message: _of_encoded(message.entries),
    Durable: lambda message: _of_entries(message.entries),
    DelegatedAppends: lambda message: _of_entries(message.entries),
}
