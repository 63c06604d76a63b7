"""Recipes of the client for asyncio: the same names as etcdz.client.thread_recipes, awaited."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from etcdz.client.barriers import BarrierKey, DoubleBarrierPlace
from etcdz.client.errors import EtcdError
from etcdz.client.keys import Key, as_bytes
from etcdz.client.loop import Loop
from etcdz.client.mirrors import MirrorContents
from etcdz.client.pending import Ask
from etcdz.client.queues import PriorityQueuePlaces, QueuePlaces
from etcdz.client.results import KeyValue

_system_random: Final = random.SystemRandom()


class Queue:
    """Entries in the order in which they were put; each is got once."""

    def __init__(self, loop: Loop, name: Key) -> None:
        self._loop = loop
        self._places = QueuePlaces(name)

    async def put(self, value: Key) -> None:
        await self._loop.run(self._places.put(value, _system_random.getrandbits(64)))

    async def get(self, timeout: float | None = None) -> bytes:
        """The oldest entry; waits for one. raises TimeoutError"""
        return await self._loop.run(self._places.get(timeout))


class PriorityQueue:
    """Entries in the order of their priorities, and among equals in which they were put; each is got once."""

    def __init__(self, loop: Loop, name: Key) -> None:
        self._loop = loop
        self._places = PriorityQueuePlaces(name)

    async def put(self, value: Key, priority: int) -> None:
        """priority: 0 to 65535; lower ones are got first. raises ValueError: it is not"""
        await self._loop.run(self._places.put_first(value, priority))

    async def get(self, timeout: float | None = None) -> bytes:
        """The first entry; waits for one. raises TimeoutError"""
        return await self._loop.run(self._places.get(timeout))


class Barrier:
    """Who waits goes on when nobody holds it."""

    def __init__(self, loop: Loop, name: Key) -> None:
        self._loop = loop
        self._key = BarrierKey(name)

    async def hold(self) -> None:
        """NB: it outlives its holder. raises KeyExists: it is held already"""
        await self._loop.run(self._key.hold())

    async def release(self) -> None:
        """All that wait go on."""
        await self._loop.run(self._key.release())

    async def wait(self, timeout: float | None = None) -> None:
        """Returns at once if nobody holds it. raises TimeoutError"""
        await self._loop.run(self._key.wait(timeout))


class DoubleBarrier:
    """So many clients enter together and leave together. As an async context manager: enter, leave."""

    def __init__(self, loop: Loop, name: Key, count: int, make_lease: Callable[[], Any]) -> None:
        """make_lease: one that is kept alive: who dies holds nobody up for longer than its TTL"""
        self._loop = loop
        self._make = partial(DoubleBarrierPlace, name, count)
        self._make_lease = make_lease
        self._lease: Any = None
        self._place: DoubleBarrierPlace | None = None

    async def enter(self, timeout: float | None = None) -> None:
        """Returns when `count` clients have entered. raises TooManyClients; TimeoutError: it is out again"""
        lease = await self._make_lease()
        try:
            place = self._make(lease.id)
            await self._loop.run(place.enter(timeout))
        except BaseException:
            await lease.revoke()
            raise
        self._lease, self._place = lease, place

    async def leave(self, timeout: float | None = None) -> None:
        """Returns when all have left. raises TimeoutError: this one has left, and waits for the others no longer"""
        lease, place = self._lease, self._place
        self._lease = self._place = None
        if place is None:
            raise EtcdError("the barrier was not entered")
        try:
            await self._loop.run(place.leave(timeout))
        finally:
            await lease.revoke()

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.leave()
        elif self._lease is not None:
            with suppress(EtcdError):
                await self._lease.revoke()


class Mirror(Mapping[Key, KeyValue]):
    """What is in a range, kept up to date by a task of its own. Iteration is in the order of keys.

    raises  of all reads: EtcdError, if it is not kept up to date any more
    """

    def __init__(self, loop: Loop, key: bytes, range_end: bytes) -> None:
        self._loop = loop
        self._contents = MirrorContents(key, range_end)
        self._task: asyncio.Task[None] | None = None

    async def _stand(self, timeout_s: float | None) -> None:
        contents = self._contents
        self._task = asyncio.create_task(self._loop.run(contents.follow()), name="etcdz-mirror")
        try:
            await self._loop.do(Ask(lambda core: contents.reached(1), timeout_s))
        except BaseException:
            await self.close()
            raise

    @property
    def revision(self) -> int:
        """As of which it is."""
        return self._read().revision

    async def wait(self, revision: int, timeout: float | None = None) -> None:
        """Returns when it is as new as that revision. raises TimeoutError"""
        self._read()
        await self._loop.run(self._contents.wait(revision, timeout))

    async def close(self) -> None:
        """It is not kept up to date any more."""
        task, self._task = self._task, None
        if task is not None:
            self._loop.enter(self._contents.stop)
            await asyncio.gather(task, return_exceptions=True)

    async def _leave(self) -> None:
        await self.close()

    def _read(self) -> MirrorContents:
        if self._contents.error is not None:
            raise self._contents.error
        return self._contents

    def __getitem__(self, key: Key) -> KeyValue:
        return self._read().items[as_bytes(key)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(sorted(self._read().items))

    def __len__(self) -> int:
        return len(self._read().items)
