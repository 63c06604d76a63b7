"""Reads that take longer than a turn may, and answers that are too large for one message.

Such a read is worked off in slices between the turns, at the revision at which it begins, in turn with the others, so
that no write waits longer than a slice. What its answer has so far leaves after each slice. Which reads are asked for,
and how many at a time, is up to the listeners (actors/listener/long_reads.py): they know whose they are, what they
still have to send, and who has stopped waiting.

A compaction would take out what such a read still needs: it is held up, for HOLD_S at most.
"""

import heapq
import time
from collections import deque
from typing import Any, Final

from actors.backend.raft_link import RaftLink
from actors.backend.reads import OUT_OF_MEMORY, SHORT_BYTES_MAX, Reads
from actors.runtime.link import Links
from actors.runtime.slow_requests import warn_long_read, warn_read
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.ipc.messages import CancelReads, ReadLong, ReplyPart
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.mvcc import Reading

SLICE_S: Final = 0.001
PART_BYTES: Final = 512 << 10
"""A part is sent when it has become so large, and at the end of a slice."""
HOLD_S: Final = 30.0
UNSENT_BYTES_MAX: Final = 256 << 20
"""Of answers to changes, which are complete when they come here."""
ENTRIES_MAX: Final = 64
"""Reads that are entries of the log and wait. Each keeps what changes meanwhile as it was."""


class _LongRead:
    """One read, or the answer to a change, of which only the sending is left.

    reading   None: it has not begun, or all that is read is in the answer
    answer    None: it has not begun
    at        pieces of the answer that have been sent and are gone, and sent: their bytes
    """

    __slots__ = ("answer", "at", "auth", "began_s", "body", "method", "reading", "request_id", "sent", "slot")

    def __init__(self, slot: int, request_id: int, method: int, body: bytes, auth: AuthInfo | None) -> None:
        self.slot = slot
        self.request_id = request_id
        self.method = method
        self.body = body
        self.auth = auth
        self.reading: Reading | None = None
        self.answer: Answer | None = None
        self.at = 0
        self.sent = 0
        self.began_s = time.monotonic()

    def take(self) -> bytes:
        """The next part of the answer."""
        answer = self.answer
        assert answer is not None
        parts = answer.parts
        end, size = self.at, 0
        while end < len(parts) and size < PART_BYTES:
            size += len(parts[end])
            end += 1
        data = b"".join(parts[self.at : end])
        if end == len(parts):
            parts.clear()
            self.at = 0
        else:
            parts[self.at : end] = [b""] * (end - self.at)
            self.at = end
        self.sent += size
        return data


class LongReads:
    """Those that are asked for, by whichever listener. len(): how many

    made    answers to entries that are not committed yet
    """

    def __init__(
        self, links: Links, raft: RaftLink, reads: Reads, *, incarnation: int, log: Any, warning_s: float
    ) -> None:
        """warning_s: reads that take longer are logged. Else as Reads"""
        self._links = links
        self._raft = raft
        self._reads = reads
        self._incarnation = incarnation
        self._log = log
        self._warning_s = warning_s
        self._queue: deque[_LongRead] = deque()
        self.made: list[_LongRead] = []
        self._entries: deque[_LongRead] = deque()
        """Reads that are entries of the log and wait for the one before, as nobody bounds how many come."""
        self._entry: _LongRead | None = None
        """The one that is in the queue."""
        self._parked: list[tuple[int, int, _LongRead]] = []
        """A heap of (index that must be applied first, request id, read)."""
        self._known: set[int] = set()
        """Request ids of all of them."""
        self._made_bytes = 0
        """Of answers to changes that are not sent yet."""
        self._held_since: float | None = None

    def __len__(self) -> int:
        return len(self._known)

    @property
    def has_work(self) -> bool:
        """Whether `work` would do anything."""
        if self._queue or self._entries:
            return True
        return bool(self._parked) and self._parked[0][0] <= self._raft.applied_index

    # ---- what comes ----

    def on_read_long(self, message: ReadLong) -> None:
        """Begins these reads, or parks them until the index that they need is applied."""
        askers = {asked: AuthInfo(name, revision) for asked, name, revision in message.askers}
        for request_id, method, body, index in message.items:
            if request_id in self._known:
                continue
            self._known.add(request_id)
            read = _LongRead(message.slot, request_id, method, body, askers.get(request_id))
            if index > self._raft.applied_index:
                heapq.heappush(self._parked, (index, request_id, read))
            else:
                self._queue.append(read)

    def take_made(self, slot: int, request_id: int, answer: Answer) -> bool:
        """A change has this answer, which leaves after `release_made`. return False: too much waits already"""
        if self._made_bytes + answer.size > UNSENT_BYTES_MAX and self._made_bytes:
            return False
        read = _LongRead(slot, request_id, 0, b"", None)
        read.answer = answer
        self._made_bytes += answer.size
        self._known.add(request_id)
        self.made.append(read)
        return True

    def take_reading(self, slot: int, request_id: int, method: int, reading: Reading) -> bool:
        """The same for an entry that is a read, of which this is left to be read. return False: too many are"""
        if len(self._entries) >= ENTRIES_MAX:
            return False
        read = _LongRead(slot, request_id, method, b"", None)
        read.reading, read.answer = reading, reading.answer
        self._known.add(request_id)
        self._entries.append(read)
        return True

    def release_made(self) -> None:
        """The entries are committed."""
        self._queue.extend(self.made)
        self.made.clear()

    def on_cancel(self, message: CancelReads) -> None:
        """Nobody waits for these any more."""
        gone = set(message.ids)
        if gone & self._known:
            self._drop([read for read in self._all() if read.request_id in gone])

    def forget(self, slot: int) -> None:
        """Its listener is gone."""
        self._drop([read for read in self._all() if read.slot == slot])

    def _all(self) -> list[_LongRead]:
        return [*self._queue, *self._entries, *[read for _, _, read in self._parked]]

    def _drop(self, gone: list[_LongRead]) -> None:
        if not gone:
            return
        for read in gone:
            self._forget(read)
        self._queue = deque([read for read in self._queue if read.request_id in self._known])
        self._entries = deque([read for read in self._entries if read.request_id in self._known])
        self._parked = [item for item in self._parked if item[1] in self._known]
        heapq.heapify(self._parked)

    def _forget(self, read: _LongRead) -> None:
        self._known.discard(read.request_id)
        if read is self._entry:
            self._entry = None
        if read.method == 0 and read.answer is not None:
            self._made_bytes -= read.answer.size

    # ---- compactions ----

    def holds_up(self, target: int, now: float) -> bool:
        """Whether a compaction at this revision would take out what is still read. Who holds it up for too long gets
        etcd's error for what is compacted."""
        readers = [read for read in self._queue if read.reading is not None and read.reading.pin < target]
        if not readers:
            self._held_since = None
            return False
        if self._held_since is None:
            self._held_since = now
        if now < self._held_since + HOLD_S:
            return True
        for read in readers:
            self._end(read, errors.COMPACTED)
        self._drop(readers)
        self._held_since = None
        return False

    # ---- slices ----

    def work(self) -> None:
        """A slice of the one whose turn it is. Requires: nothing is pending"""
        while self._parked and self._parked[0][0] <= self._raft.applied_index:
            self._queue.append(heapq.heappop(self._parked)[2])
        if self._entry is None and self._entries:
            self._entry = self._entries.popleft()
            self._queue.append(self._entry)
        read = self._queue.popleft()
        try:
            is_over = self._advance(read)
        except MemoryError:
            is_over = True
            self._end(read, OUT_OF_MEMORY)
        if is_over:
            self._forget(read)
        else:
            self._queue.append(read)

    def _advance(self, read: _LongRead) -> bool:
        """return whether the answer has left, or an error in its place"""
        if read.answer is None:
            reading = self._reads.begin[read.method](read.body, read.auth)
            if isinstance(reading, EtcdError):
                self._end(read, reading)
                return True
            read.reading, read.answer = reading, reading.answer
        streams = True
        if read.reading is not None:
            streams = read.reading.streams
            error = self._step(read, read.reading, read.answer)
            if error is not None:
                self._end(read, error)
                return True
        if streams or read.reading is None:
            return self._send(read, read.answer)
        return False

    def _step(self, read: _LongRead, reading: Reading, answer: Answer) -> EtcdError | None:
        """Reads until the slice is over, or as much as a part holds."""
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until and not (reading.streams and answer.size - read.sent >= PART_BYTES):
            try:
                next(reading.steps)
            except StopIteration as end:
                read.reading = None
                self._reads.count_range(read.method)
                return end.value or answer.error
        return None

    def _send(self, read: _LongRead, answer: Answer) -> bool:
        """The next part. return whether it was the last"""
        offset = read.sent
        data = read.take()
        is_last = read.reading is None and not answer.parts
        if is_last and not offset and read.method and len(data) <= SHORT_BYTES_MAX:
            self._answer_at_once(read, data)
            return True
        if data or is_last:
            part = ReplyPart(self._incarnation, read.request_id, offset, data, is_last)
            self._links.send(self._links.listener(read.slot), part)
        if is_last:
            self._report_slow(read, None)
        return is_last

    def _answer_at_once(self, read: _LongRead, data: bytes) -> None:
        """It looked at much and found little, or had to wait for a CPU: it is answered as a short one."""
        self._reads.answer(read.slot, read.request_id, Code.OK, data)
        self._reads.send()
        took = time.monotonic() - read.began_s
        if took > self._warning_s:
            item, reply = (read.request_id, read.method, read.body, 0), (read.request_id, 0, data)
            warn_read(self._log, took, self._warning_s, [item], [reply])

    def _end(self, read: _LongRead, error: EtcdError) -> None:
        self._reads.answer(read.slot, read.request_id, error.code, error.text.encode())
        self._reads.send()
        self._report_slow(read, error)

    def _report_slow(self, read: _LongRead, error: EtcdError | None) -> None:
        took = time.monotonic() - read.began_s
        if took > self._warning_s and read.method:
            warn_long_read(self._log, took, self._warning_s, read.method, read.body, read.sent, error)
