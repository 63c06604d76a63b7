"""Who waits for what: watchers by path, and which of them an event is told to.

Source: etcd 3.5 v2store watcher and watcher_hub.
"""

from collections.abc import Callable
from typing import Final

from etcdz.v2.errors import EVENT_INDEX_CLEARED, V2Error
from etcdz.v2.events import Event
from etcdz.v2.history import EventHistory

QUEUE_MAX: Final = 100
"""Events that a watcher may leave unread; with one more its stream ends."""

Deliver = Callable[[Event], bool]
"""Takes an event; False: there is no room for it, and the watcher ends."""


class Watcher:
    """since: the first index that it is told of. is_stream: it is not done with its first event"""

    __slots__ = ("path", "is_recursive", "is_stream", "since", "deliver", "is_resumed")

    def __init__(
        self,
        path: str,
        is_recursive: bool,
        is_stream: bool,
        since: int,
        deliver: Deliver,
        is_resumed: bool = False,
    ) -> None:
        """is_resumed: it has watched before, so that it sees of history what it would have been told"""
        self.path = path
        self.is_recursive = is_recursive
        self.is_stream = is_stream
        self.since = since
        self.deliver = deliver
        self.is_resumed = is_resumed


class WatcherHub:
    """The watchers that have not ended. requests: how many have wanted to watch"""

    def __init__(self, history: EventHistory) -> None:
        self.history = history
        self._by_path: dict[str, dict[Watcher, None]] = {}
        self.count = self.requests = 0

    def add(self, watcher: Watcher, index: int) -> V2Error | None:
        """Tells it what was, and has it wait for more if that is not all it wants.

        index   of the store
        return  why it is not added
        """
        history, since = self.history, watcher.since
        self.requests += 1
        if history.is_cleared(since):
            cause = f"the requested history has been cleared [{history.first}/{since}]"
            return V2Error(EVENT_INDEX_CLEARED, cause, index)
        for event in history.scan(watcher.path, watcher.is_recursive, since):
            if watcher.is_resumed and is_hidden(watcher.path, event.node.key):
                continue
            if not watcher.deliver(event) or not watcher.is_stream:
                return None
        self._by_path.setdefault(watcher.path, {})[watcher] = None
        self.count += 1
        return None

    def remove(self, watcher: Watcher) -> None:
        """It may have ended before."""
        waiting = self._by_path.get(watcher.path)
        if waiting is None or watcher not in waiting:
            return
        del waiting[watcher]
        self.count -= 1
        if not waiting:
            del self._by_path[watcher.path]

    def notify(self, event: Event) -> None:
        """Keeps the event, and tells the watchers of its path and of all directories above."""
        self.history.add(event)
        if not self._by_path:
            return
        path = ""
        self.notify_at("/", event)
        for name in event.node.key.split("/")[1:]:
            path = f"{path}/{name}"
            self.notify_at(path, event)

    def notify_at(self, path: str, event: Event, is_gone: bool = False) -> None:
        """Tells the watchers of path. is_gone: it goes with the directory that the event is about"""
        waiting = self._by_path.get(path)
        if waiting is None:
            return
        is_own = event.node.key == path
        if not is_own and is_hidden(path, event.node.key):
            return
        for watcher in list(waiting):
            if (watcher.is_recursive or is_own or is_gone) and event.store_index >= watcher.since:
                has_room = watcher.deliver(event)
                if not has_room or not watcher.is_stream:
                    self.remove(watcher)


def is_hidden(watched: str, key: str) -> bool:
    """Whether a name below the watched path, on the way to key, begins with an underscore."""
    if len(watched) > len(key):
        return False
    return "/_" in f"/{key[len(watched) :]}"
