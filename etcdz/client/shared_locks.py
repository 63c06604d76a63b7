"""Locks that several may hold at once, the same for both shells: of readers and a writer, and semaphores.

    read        name/read/<lease id>        waits for all places of writers before it
    write       name/write/<lease id>       waits for all places before it
    semaphore   name/<lease id>             waits until fewer than `count` places are before it

Places of readers and writers are those of Go's RWMutex, so they exclude each other; a semaphore of one is etcd's lock.
Source: etcd 3.5 client/v3/experimental/recipes
"""

from etcdz.client.keys import Key, prefix_end
from etcdz.client.operations import HeldLock
from etcdz.client.pending import Request
from etcdz.client.requests import page
from etcdz.client.results import KeyValue, RangeResult
from etcdz.client.transactions import get, key, put, txn
from etcdz.client.waiting import until_deleted, until_one_is_deleted


class _SharedPlace(HeldLock):
    """waits_for: how the keys begin that must go first"""

    waits_for: bytes

    async def enqueue(self) -> KeyValue | None:
        await self._make_place()
        before = await self._before(self.waits_for)
        return before.kvs[0] if before.kvs else None

    async def _make_place(self) -> None:
        result = await (
            txn(key(self.key).version == 0)
            .then(put(self.key, self.value, lease=self.lease_id))
            .otherwise(get(self.key))
            .request()
        )
        found = result.results[0]
        self.revision = found.kvs[0].create_revision if isinstance(found, RangeResult) else result.revision

    async def _wait(self, until: float | None) -> None:
        while (before := await self._before(self.waits_for)).kvs:
            await until_deleted(before.kvs[0].key, before.revision + 1, until)


class ReadPlace(_SharedPlace):
    """Of a reader: others may read meanwhile."""

    def __init__(self, name: Key, lease_id: int) -> None:
        super().__init__(name, lease_id)
        self.key = self.prefix + b"read/%x" % lease_id
        self.waits_for = self.prefix + b"write"


class WritePlace(_SharedPlace):
    """Of a writer: alone."""

    def __init__(self, name: Key, lease_id: int) -> None:
        super().__init__(name, lease_id)
        self.key = self.prefix + b"write/%x" % lease_id
        self.waits_for = self.prefix


class SemaphorePlace(_SharedPlace):
    """One of `count` that may hold it at once. NB: all that use a semaphore must agree on count."""

    def __init__(self, count: int, name: Key, lease_id: int) -> None:
        """raises ValueError: count is below 1"""
        if count < 1:
            raise ValueError("a semaphore is for one holder at least")
        super().__init__(name, lease_id)
        self._count = count

    async def enqueue(self) -> KeyValue | None:
        await self._make_place()
        before = await self._holders()
        return before.kvs[-1] if len(before.kvs) >= self._count else None

    async def _wait(self, until: float | None) -> None:
        while len((before := await self._holders()).kvs) >= self._count:
            await until_one_is_deleted(self.prefix, prefix_end(self.prefix), before.revision + 1, until)

    def _holders(self) -> Request[RangeResult]:
        last = self.revision - 1
        return page(
            prefix=self.prefix,
            max_create_revision=last,
            sort="create",
            order="ascend",
            limit=self._count,
            keys_only=True,
        )
