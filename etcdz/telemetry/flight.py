"""The flight recorder's memory: what an actor did last, readable while it hangs and after it was killed.

The supervisor makes one file in memory for each incarnation and keeps it open; the actor maps it and writes on.
So nothing is lost by kill -9 of the actor, and nothing ever waits for a disk.

    file     = page "ETCDZFR1" log_end:u64 . headers . log . text
    headers  = 512 records of 64 bytes, in turn
    record   = seq:u64 handled_ns:u64 link[25] size:u32 messages:u16 tags[16] check:u8
    link     = what the mailbox puts before a frame: mark:u8 sender:u64 number:u64 sent_ns:u64, the last three big
               endian; all zero for a frame of the supervisor
    log      = 64 KiB of lines, in turn; log_end counts the bytes that were ever written
    text     = to the end of the file: the traceback of the error that ended the actor

Integers are little endian, times on the monotonic clock. seq counts from 1, check is its last byte: a record whose two
ends disagree is being written. A record names a frame *before* its messages are handled, so that the last one is what
the actor died of. It holds types, sizes and times of messages: nothing of what clients store.
"""

import mmap
import os
import re
import struct
import traceback
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from etcdz.ipc.messages import MESSAGES, TAGS, Unknown

PAGE: Final = 4096
RECORDS: Final = 512
RECORD_BYTES: Final = 64
LOG_BYTES: Final = 1 << 16
HEADERS_AT: Final = PAGE
LOG_AT: Final = HEADERS_AT + RECORDS * RECORD_BYTES
TEXT_AT: Final = LOG_AT + LOG_BYTES
TEXT_BYTES_MAX: Final = 1 << 16
"""More text than this is not read."""
TAGS_MAX: Final = 16
"""Of a frame with more messages only the first types are named."""
MAGIC: Final = b"ETCDZFR1"

_RECORD: Final = struct.Struct(f"<QQ25sIH{TAGS_MAX}sB")
_LINK: Final = struct.Struct(">BQQQ")
_LOG_END: Final = struct.Struct("<Q")
_LOG_END_AT: Final = len(MAGIC)
_ONE: Final = {**{kind: bytes([tag]) for kind, tag in TAGS.items()}, Unknown: b"\0"}
_TAGS_AT: Final = RECORD_BYTES - TAGS_MAX - 1

assert _RECORD.size == RECORD_BYTES and _LINK.size == 25 and TEXT_AT % PAGE == 0


class Header(NamedTuple):
    """One frame as it was received. sender: its incarnation, 0 for the supervisor; sent_ns is 0 then.

    types: of its messages, at most the first TAGS_MAX
    """

    seq: int
    handled_ns: int
    sender: int
    number: int
    sent_ns: int
    size: int
    messages: int
    types: tuple[str, ...]


class Recorder:
    """The writing end, in the actor. Without a file it writes to memory that no other process sees."""

    __slots__ = ("_log_end", "_map", "fd", "last_tag", "note")

    def __init__(self, path: str = "") -> None:
        """path: of the supervisor's file, "" for none. An actor runs without, rather than not at all."""
        self._log_end = 0
        self.fd = -1
        """Every write goes to the end of the file. -1 without a file."""
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC) if path else -1
            self._map = mmap.mmap(self.fd, TEXT_AT) if self.fd >= 0 else mmap.mmap(-1, TEXT_AT)
        except (OSError, ValueError):
            self._map = mmap.mmap(-1, TEXT_AT)
        self.note, self.last_tag = _make_note(self._map)

    def log(self, line: bytes) -> None:
        """A line of the log, which the actor writes elsewhere as well."""
        line = line[-LOG_BYTES:]
        at = self._log_end % LOG_BYTES
        head = line[: LOG_BYTES - at]
        self._map[LOG_AT + at : LOG_AT + at + len(head)] = head
        if len(head) < len(line):
            self._map[LOG_AT : LOG_AT + len(line) - len(head)] = line[len(head) :]
        self._log_end += len(line)
        _LOG_END.pack_into(self._map, _LOG_END_AT, self._log_end)

    def text(self, text: str) -> None:
        """Last words, such as a traceback."""
        if self.fd >= 0:
            os.write(self.fd, text.encode("utf-8", "backslashreplace")[:TEXT_BYTES_MAX])


Note = Callable[[bytes | memoryview, list[Any], int], None]


def _make_note(target: mmap.mmap) -> tuple[Note, Callable[[], int]]:
    """
    note(frame, messages, now_ns)  write down a frame as the mailbox hands it out, before its messages are handled
    last_tag()                     of the first message of the last frame; 0 before the first, and for a tag that this
                                   version does not know

    now_ns: when it was taken out. Closures, because note runs for every frame and attributes cost half of its time.
    """
    pack, one = _RECORD.pack_into, _ONE
    seq = 0

    def note(frame: bytes | memoryview, messages: list[Any], now_ns: int) -> None:
        nonlocal seq
        seq += 1
        count = len(messages)
        pack(
            target,
            HEADERS_AT + seq % RECORDS * RECORD_BYTES,
            seq,
            now_ns,
            frame.obj if type(frame) is memoryview else b"",  # cut by the format to what the mailbox put before it
            len(frame),
            count if count < 65536 else 65535,
            one[type(messages[0])] if count == 1 else b"".join([one[type(message)] for message in messages[:TAGS_MAX]]),
            seq & 255,
        )

    def last_tag() -> int:
        return target[HEADERS_AT + seq % RECORDS * RECORD_BYTES + _TAGS_AT] if seq else 0

    return note, last_tag


class Box:
    """The supervisor's end: makes the file and reads it, also after the actor's death. To be closed."""

    def __init__(self, name: str) -> None:
        """raises OSError: no memory for it"""
        self._fd = os.memfd_create(f"etcdz:{name}", os.MFD_CLOEXEC)
        try:
            # All of it now: a page that cannot be had later would kill the actor that writes to it.
            os.posix_fallocate(self._fd, 0, TEXT_AT)
            os.pwrite(self._fd, MAGIC, 0)
        except OSError:
            os.close(self._fd)
            raise

    @property
    def path(self) -> str:
        """What the actor opens; only for processes of the same user."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def headers(self, after: int = 0) -> list[Header]:
        """Frames with a seq above after that are still there, oldest first."""
        return decode_headers(os.pread(self._fd, RECORDS * RECORD_BYTES, HEADERS_AT), after)

    def log(self, after: int = 0) -> tuple[int, bytes]:
        """(log_end, what was written behind position after and is still there, from the start of a line on)."""
        end, ring = 0, b""
        while True:  # until no line was written meanwhile
            before = self._log_end()
            ring = os.pread(self._fd, LOG_BYTES, LOG_AT)
            end = self._log_end()
            if end == before:
                return end, unroll(ring, end, after)

    def _log_end(self) -> int:
        return int(_LOG_END.unpack(os.pread(self._fd, _LOG_END.size, _LOG_END_AT))[0])

    def text(self) -> str:
        """Last words; "" if the actor had no time for any."""
        return os.pread(self._fd, TEXT_BYTES_MAX, TEXT_AT).decode("utf-8", "replace")

    def close(self) -> None:
        """The memory is free once the actor has closed it, too."""
        os.close(self._fd)


def decode_headers(ring: bytes, after: int = 0) -> list[Header]:
    """Whole records of a ring with a seq above after, oldest first."""
    found = []
    for seq, handled_ns, link, size, messages, tags, check in _RECORD.iter_unpack(ring):
        if seq > after and seq & 255 == check:
            _, sender, number, sent_ns = _LINK.unpack(link)
            types = tuple(MESSAGES.get(tag, Unknown).__name__ for tag in tags[:messages])
            found.append(Header(seq, handled_ns, sender, number, sent_ns, size, messages, types))
    return sorted(found)


def unroll(ring: bytes, end: int, after: int) -> bytes:
    """The part of a ring of lines that was written from position after to position end.

    return  from the start of a line on, where the ring has overwritten what was before
    """
    first = max(after, end - len(ring), 0)
    at = first % len(ring)
    data = (ring[at:] + ring[:at])[: end - first]
    if first > after:
        data = data[data.find(b"\n") + 1 :]
    return data


# ---- last words ----

_ABOUT_CODE: Final = (AttributeError, TypeError, NameError, ImportError, OSError, MemoryError, RecursionError)
"""Errors whose text is about the program or the system, never about what it worked on."""
_LITERAL: Final = re.compile(r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*\"""")
_TEXT_MAX: Final = 500


def describe(error: BaseException) -> str:
    """Type and text of an error, without what may be a value of a user's: literals in it are left out."""
    text = str(error)
    if not isinstance(error, _ABOUT_CODE):
        text = _LITERAL.sub("'...'", text)
    return f"{type(error).__name__}: {text[:_TEXT_MAX]}"


def last_words(error: BaseException) -> str:
    """The traceback with lines of code, but without values."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    return "Traceback (most recent call last):\n" + "".join(lines) + describe(error) + "\n"
