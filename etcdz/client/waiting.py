"""Steps and operations that wait for what becomes of keys."""

from typing import Any

from etcdz.client.pending import Ask, Now, Pending, Step, done_with
from etcdz.client.results import DELETE
from etcdz.client.watches import NO_DELETE, NO_PUT, Watcher, WatchOptions


class AddWatch(Step[Watcher]):
    """A watcher of the client's; it stands when its `created` is done."""

    __slots__ = ("options",)

    def __init__(self, options: WatchOptions) -> None:
        self.options = options

    def begin(self, core: Any) -> Pending[Watcher]:
        return done_with(core.watches.add(self.options))

    def result(self, value: Watcher) -> Watcher:
        return value


class RemoveWatch(Step[None]):
    """It is told nothing more."""

    __slots__ = ("watcher",)

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def begin(self, core: Any) -> Pending[None]:
        core.watches.remove(self.watcher)
        return done_with(None)

    def result(self, value: None) -> None:
        return None


async def until_deleted(name: bytes, after: int, until: float | None) -> None:
    """The key was deleted in a revision from `after` on. until: on the core's clock. raises TimeoutError"""
    watcher = await AddWatch(WatchOptions(name, start=after, filters=(NO_PUT,)))
    try:
        while True:
            event = await Ask(lambda core: watcher.take(), await _left(until))
            if event is None or event.type == DELETE:
                return
    finally:
        await RemoveWatch(watcher)


async def until_put(name: bytes, range_end: bytes, after: int, until: float | None) -> None:
    """A key of the range was put in a revision from `after` on. raises TimeoutError"""
    await _until_first(WatchOptions(name, range_end, after, filters=(NO_DELETE,)), until)


async def until_one_is_deleted(name: bytes, range_end: bytes, after: int, until: float | None) -> None:
    """A key of the range was deleted in a revision from `after` on. raises TimeoutError"""
    await _until_first(WatchOptions(name, range_end, after, filters=(NO_PUT,)), until)


async def _until_first(options: WatchOptions, until: float | None) -> None:
    watcher = await AddWatch(options)
    try:
        await Ask(lambda core: watcher.take(), await _left(until))
    finally:
        await RemoveWatch(watcher)


async def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - await Now())
