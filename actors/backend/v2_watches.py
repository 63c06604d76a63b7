"""Watches of the v2 store, for the listeners whose clients wait.

They are here and not in the listeners, as the history of events is: who asks for what was is told it with what comes
after, without a gap. What they are told leaves at the end of the turn, once it is committed.
"""

from actors.backend.raft_link import RaftLink
from actors.runtime.link import Links
from etcdz.ipc.messages import V2Events, V2Watch, V2WatchEnd
from etcdz.v2.answers import error_json, event_json
from etcdz.v2.events import Event
from etcdz.v2.store import V2Store
from etcdz.v2.watchers import Watcher

Told = tuple[tuple[int, ...], list[tuple[int, bytes]], bytes]
"""(start, events, error), as V2Events has them."""


class V2Watches:
    """news: of this turn, by slot and id of the watch"""

    def __init__(self, store: V2Store, raft: RaftLink) -> None:
        self._store = store
        self._raft = raft
        self._watchers: dict[tuple[int, int], Watcher] = {}
        self.news: dict[tuple[int, int], Told] = {}

    def on_watch(self, message: V2Watch) -> None:
        """Answered in any case, if by nothing: then the client knows that it watches."""
        key = message.slot, message.id
        start = self._store.index, self._raft.applied_index, self._raft.applied_term

        def deliver(event: Event) -> bool:
            told = self.news.setdefault(key, ((), [], b""))
            told[1].append((event.store_index, event_json(event).encode()))
            return True

        watcher = Watcher(
            message.path, message.is_recursive, message.is_stream, message.since, deliver, message.is_resumed
        )
        self.news[key] = start, [], b""
        error = self._store.watch(watcher)
        if error is not None:
            self.news[key] = start, [], error_json(error).encode()
        else:
            self._watchers[key] = watcher

    def on_end(self, message: V2WatchEnd) -> None:
        for id_ in message.ids:
            self._end((message.slot, id_))

    def forget(self, slot: int) -> None:
        """Its listener is gone."""
        for key in [key for key in self._watchers if key[0] == slot]:
            self._end(key)

    def _end(self, key: tuple[int, int]) -> None:
        self.news.pop(key, None)
        watcher = self._watchers.pop(key, None)
        if watcher is not None:
            self._store.hub.remove(watcher)

    def end_turn(self, links: Links) -> None:
        """Tells what is new. Requires: it is committed"""
        by_slot: dict[int, list[tuple[int, tuple[int, ...], list[tuple[int, bytes]], bytes]]] = {}
        for (slot, id_), told in self.news.items():
            by_slot.setdefault(slot, []).append((id_, *told))
        self.news = {}
        for slot, items in by_slot.items():
            links.send(links.listener(slot), V2Events(items))
