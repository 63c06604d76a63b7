"""The synced watchers of one range, and those among them that can be sent their messages together.

A bundle is watchers of one client stream that are always sent the same: their messages differ in nothing but the
watch_id, so that one join makes all of them, and they leave in one frame. With a hundred watchers on a stream an event
costs each of them 0.1 us instead of 4.
"""

from collections.abc import Iterator
from typing import NamedTuple

from etcdz.watch.watcher import Watcher, WatchStream


class Bundle(NamedTuple):
    """id_fields   encoded watch_ids of equal length, in the order of watchers"""

    stream: WatchStream
    watchers: list[Watcher]
    id_fields: list[bytes]


class Group:
    """An ordered set of watchers. Bundles are made when asked for, and kept until a watcher joins or leaves."""

    __slots__ = ("_parts", "_watchers")

    def __init__(self) -> None:
        self._watchers: dict[Watcher, None] = {}
        self._parts: tuple[list[Bundle], list[Watcher]] | None = None

    def __len__(self) -> int:
        return len(self._watchers)

    def __iter__(self) -> Iterator[Watcher]:
        return iter(self._watchers)

    def add(self, watcher: Watcher) -> None:
        self._watchers[watcher] = None
        self._parts = None

    def discard(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher, None)
        self._parts = None

    def parts(self, revision: int) -> tuple[list[Bundle], list[Watcher]]:
        """(bundles, all others). revision: all watchers of the group have had everything up to it

        Others start in the future, want fragments or progress, or have no match on their stream.
        """
        if self._parts is None:
            self._parts = self._divide(revision)
        return self._parts

    def _divide(self, revision: int) -> tuple[list[Bundle], list[Watcher]]:
        alike: dict[tuple[WatchStream, int, int], list[Watcher]] = {}
        others = []
        for watcher in self._watchers:
            if watcher.fragment or watcher.quiet is not None or watcher.next_revision > revision + 1:
                others.append(watcher)
            else:
                alike.setdefault((watcher.stream, watcher.variant, len(watcher.id_field)), []).append(watcher)
        bundles = []
        for (stream, _, _), watchers in alike.items():
            if len(watchers) > 1:
                bundles.append(Bundle(stream, watchers, [watcher.id_field for watcher in watchers]))
            else:
                others += watchers
        return bundles, others
