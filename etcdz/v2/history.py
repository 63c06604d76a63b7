"""The last 1,000 events, for watchers that ask for what was.

Every index of the store has one event, so that an event is found by counting.
Source: etcd 3.5 v2store event_history.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from etcdz.v2.events import DELETE, EXPIRE, Event

EVENTS_MAX: Final = 1000


class EventHistory:
    """first, last: indexes of the oldest and newest event. Invariant: last - first + 1 == len(events), or none."""

    def __init__(self, last: int = 0, events: Iterable[Event] = ()) -> None:
        """last: of a store that has forgotten its events"""
        self.events: deque[Event] = deque(events, EVENTS_MAX)
        self._begin = last + 1 if last else 0
        self.last = self.events[-1].store_index if self.events else last

    @property
    def first(self) -> int:
        return self.events[0].store_index if self.events else self._begin

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.last = event.store_index

    def is_cleared(self, index: int) -> bool:
        """Whether what was at this index is forgotten."""
        return index < self.first

    def scan(self, path: str, is_recursive: bool, index: int) -> Iterator[Event]:
        """What a watcher of path is told of, from index on. Requires: not is_cleared(index)"""
        begin = max(index - self.first, 0)
        below = path if path.endswith("/") else f"{path}/"
        for event in islice(self.events, begin, None):
            if not event.is_refresh and _concerns(event, path, below if is_recursive else None):
                yield event


def _concerns(event: Event, path: str, below: str | None) -> bool:
    key = event.node.key
    if key == path or (below is not None and key.startswith(below)):
        return True
    # NB: as a text, in etcd: the end of /a is told to who watches /ab.
    has_gone = event.action in (DELETE, EXPIRE) and event.before is not None and event.before.is_dir
    return has_gone and path.startswith(key)
