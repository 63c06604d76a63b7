"""A mirror: what is in a range, kept up to date by a watch, the same for both shells.

It is loaded page by page at one revision, and watched from the next one on. If what it would have to be told is
compacted meanwhile it is loaded anew, and replaced as a whole. Each revision is applied as a whole before `revision`
says so.

A watch does not tell that it has come as far as a revision in which nothing of the range was changed. So `wait` asks:
if no key of the range was changed after the mirror's revision, and there are as many as in it, it is as new as that.
The alternative, a request for progress, etcd before 3.5.8 answers too early: before events that are on their way.
"""

from typing import Any, Final

from etcdz.client.errors import ClientClosed, Compacted, DeadlineExceeded, EtcdError
from etcdz.client.pages import Pages
from etcdz.client.pending import Ask, Now, Pending, Sleep, done_with
from etcdz.client.requests import page
from etcdz.client.results import KeyValue, RangeResult, key_value
from etcdz.client.waiting import AddWatch, RemoveWatch
from etcdz.client.watches import Watcher, WatchOptions

RELOAD_S: Final = 0.5
LOOK_FIRST_S: Final = 0.01
LOOK_MAX_S: Final = 0.5


class MirrorContents:
    """items: what is there; revision: as of which, 0: not loaded; error: why it is not kept up to date any more.

    Invariant: all of these are changed by who has the core, in `Ask`.
    """

    def __init__(self, key: bytes, range_end: bytes) -> None:
        self.items: dict[bytes, KeyValue] = {}
        self.revision = 0
        self.error: EtcdError | None = None
        self._key = key
        self._range_end = range_end
        self._watcher: Watcher | None = None
        self._waiters: list[tuple[int, Pending[None]]] = []

    # ---- kept up to date ----

    async def follow(self) -> None:
        """Until it is stopped, or fails for good. Raises nothing that `error` says."""
        try:
            while self.error is None:
                try:
                    await self._load()
                    await self._watch()
                except Compacted:
                    continue
                except EtcdError as error:
                    if not (error.retriable or isinstance(error, DeadlineExceeded)) or isinstance(error, ClientClosed):
                        raise
                    await Sleep(RELOAD_S)
        except EtcdError as error:
            self._fail(error)

    async def _load(self) -> None:
        pages = Pages(self._key, self._range_end, 0, 0, False, False)
        items: dict[bytes, KeyValue] = {}
        while not pages.done and self.error is None:
            for kv in await pages.next(None):
                items[kv.key] = kv
        if not pages.done:
            await Ask(pages.cancel)

        def replace(core: Any) -> Pending[None]:
            self.items = items
            self._advance(pages.revision)
            return done_with(None)

        await Ask(replace)

    async def _watch(self) -> None:
        options = WatchOptions(self._key, self._range_end, self.revision + 1, whole=True)
        watcher = self._watcher = await AddWatch(options)
        try:
            while self.error is None:
                response = await Ask(lambda core: watcher.take())
                if response is None:
                    return
                await Ask(lambda core: self._apply(response))  # noqa: B023
        finally:
            self._watcher = None
            await RemoveWatch(watcher)

    def _apply(self, response: Any) -> Pending[None]:
        for event in response.events:
            kv = key_value(event.kv)
            if event.type:
                self.items.pop(kv.key, None)
            else:
                self.items[kv.key] = kv
        if response.events:
            self._advance(response.events[-1].kv.mod_revision)
        return done_with(None)

    def _advance(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        waiters, self._waiters = self._waiters, []
        for wanted, waiter in waiters:
            if wanted <= self.revision:
                waiter.finish(None)
            elif not waiter.done:
                self._waiters.append((wanted, waiter))

    def stop(self, core: Any) -> None:
        """Nobody has it any more."""
        self._fail(ClientClosed("the mirror is closed"))
        if self._watcher is not None:
            core.watches.remove(self._watcher)

    def _fail(self, error: EtcdError) -> None:
        self.error = self.error or error
        waiters, self._waiters = self._waiters, []
        for _, waiter in waiters:
            waiter.fail(self.error)

    # ---- waited for ----

    def reached(self, revision: int) -> Pending[None]:
        """It is as new as that; 1: it is loaded."""
        pending: Pending[None] = Pending()
        if self.error is not None:
            pending.fail(self.error)
        elif self.revision >= revision:
            pending.finish(None)
        else:
            self._waiters.append((revision, pending))
        return pending

    async def wait(self, revision: int, timeout: float | None) -> None:
        """Returns when it is as new as that. raises TimeoutError; EtcdError: it is not kept up to date any more"""
        until = None if timeout is None else await Now() + timeout
        pause = LOOK_FIRST_S
        while self.revision < revision:
            left = pause if until is None else min(pause, max(0.0, until - await Now()))
            try:
                await Ask(lambda core: self.reached(revision), left)
            except DeadlineExceeded:
                raise
            except TimeoutError:
                if until is not None and await Now() >= until:
                    raise
                await self._look()
                pause = min(LOOK_MAX_S, pause * 2)

    async def _look(self) -> None:
        """Whether it is newer than it knows."""
        if not self.revision:
            return
        known, size = self.revision, len(self.items)
        found = await page(self._key, self._range_end or None, limit=1, keys_only=True, min_mod_revision=known + 1)
        if not found.kvs and found.total == size:
            await Ask(lambda core: self._unchanged(known, found))

    def _unchanged(self, known: int, found: RangeResult) -> Pending[None]:
        if self.revision == known:
            self._advance(found.revision)
        return done_with(None)
