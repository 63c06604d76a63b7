"""Answers to ranges, kept for those that may be answered by what was true before (serializable).

An answer stays until a write through this proxy touches one of its keys, or there are too many. What others write is
not seen: such a read asks for no more. A range that was under way while a write touched its keys is not kept, for its
answer may be from before or after it.

Source: etcd 3.5 grpcproxy/cache, which keeps as many; it does not look at writes that are under way, nor at tokens.
"""

from collections import OrderedDict, deque
from typing import Final, NamedTuple

from etcdz.watch.ranges import Range, RangeMap

ENTRIES_MAX: Final = 2048
BYTES_MAX: Final = 64 << 20
ENTRY_BYTES_MAX: Final = 1 << 20
_WRITES_KEPT: Final = 1024
"""A range that was under way for more writes than these is not kept."""
_END: Final = b"\0"


class Span(NamedTuple):
    """Keys, as etcd says it. end: empty: key alone; a zero byte: all from key on"""

    key: bytes
    end: bytes

    @property
    def bounds(self) -> Range:
        return self.key, None if self.end == _END else self.end

    def meets(self, other: "Span") -> bool:
        return self._begins_before(other) and other._begins_before(self)

    def _begins_before(self, other: "Span") -> bool:
        if not other.end:
            return self.key <= other.key
        return other.end == _END or self.key < other.end


class _Entry(NamedTuple):
    span: Span
    revision: int
    answer: bytes


class RangeCache:
    """hits, misses: since the start; stamp: counts writes."""

    def __init__(self) -> None:
        self.hits = self.misses = 0
        self.stamp = 0
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._of_spans: RangeMap[set[bytes]] = RangeMap()
        """Requests by their keys, of those that a write may touch."""
        self._bytes = 0
        self._writes: deque[Span] = deque(maxlen=_WRITES_KEPT)
        self._compacted = -1

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, request: bytes) -> bytes | None:
        """request: a RangeRequest that is serializable, encoded always alike"""
        entry = self._entries.get(request)
        if entry is None or 0 < entry.revision < self._compacted:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(request)
        return entry.answer

    def add(self, request: bytes, span: Span, revision: int, answer: bytes, stamp: int) -> None:
        """revision: that is asked for; 0: the present. stamp: when the range began"""
        if len(answer) > ENTRY_BYTES_MAX or (not revision and self._was_touched(span, stamp)):
            return
        self._drop(request)
        self._entries[request] = _Entry(span, revision, answer)
        self._bytes += len(answer)
        if not revision:
            self._note(request, span)
        while len(self._entries) > ENTRIES_MAX or self._bytes > BYTES_MAX:
            self._drop(next(iter(self._entries)))

    def _was_touched(self, span: Span, stamp: int) -> bool:
        writes = self.stamp - stamp
        if writes > len(self._writes):
            return True
        return any(self._writes[-at].meets(span) for at in range(1, writes + 1))

    def touch(self, span: Span) -> None:
        """A write to these keys begins, or has ended."""
        self.stamp += 1
        self._writes.append(span)
        for request in self._touched_by(span):
            self._drop(request)

    def _touched_by(self, span: Span) -> list[bytes]:
        """NB: writes of a single key are most, and are looked up; the others look at all."""
        if not span.end:
            return [request for requests in self._of_spans.at(span.key) for request in requests]
        return [r for r, entry in self._entries.items() if not entry.revision and entry.span.meets(span)]

    def compact(self, revision: int) -> None:
        self._compacted = max(self._compacted, revision)

    def clear(self) -> None:
        """What is true may be all different."""
        self.touch(Span(_END, _END))
        self._entries.clear()
        self._of_spans = RangeMap()
        self._bytes = 0

    def _note(self, request: bytes, span: Span) -> None:
        requests = self._of_spans.get(span.bounds)
        if requests is None:
            self._of_spans.set(span.bounds, {request})
        else:
            requests.add(request)

    def _drop(self, request: bytes) -> None:
        entry = self._entries.pop(request, None)
        if entry is None:
            return
        self._bytes -= len(entry.answer)
        requests = self._of_spans.get(entry.span.bounds)
        if requests is not None and not entry.revision:
            requests.discard(request)
            if not requests:
                self._of_spans.remove(entry.span.bounds)
