"""Barriers of all clients, the same for both shells and for Go's recipes.

    a barrier           name                        is there: who waits, waits
    a double barrier    name/waiters/<lease id>     who has entered and not left
                        name/ready                  is there: all have entered

Source: etcd 3.5 client/v3/experimental/recipes
"""

from etcdz.client.errors import KeyExists, TooManyClients
from etcdz.client.keys import Key, as_bytes
from etcdz.client.pending import Now
from etcdz.client.requests import delete as delete_request
from etcdz.client.requests import page
from etcdz.client.requests import put as put_request
from etcdz.client.results import KeyValue, RangeResult
from etcdz.client.transactions import delete, key, put, txn
from etcdz.client.waiting import until_deleted, until_put


class BarrierKey:
    """A key that holds others up as long as it is there."""

    def __init__(self, name: Key) -> None:
        self._key = as_bytes(name)

    async def hold(self) -> None:
        """raises KeyExists: it is held already"""
        if not (await txn(key(self._key).version == 0).then(put(self._key)).request()).succeeded:
            raise KeyExists("key already exists")

    async def release(self) -> None:
        await delete_request(self._key)

    async def wait(self, timeout: float | None) -> None:
        """Returns when nobody holds it. timeout: seconds; None: as long as it takes. raises TimeoutError"""
        until = await _until(timeout)
        found = await page(self._key)
        if found.kvs:
            await until_deleted(self._key, found.revision + 1, until)


class DoubleBarrierPlace:
    """One of `count` that enter together and leave together."""

    def __init__(self, name: Key, count: int, lease_id: int) -> None:
        """raises ValueError: count is below 1"""
        if count < 1:
            raise ValueError("a double barrier is for one client at least")
        self._ready = as_bytes(name) + b"/ready"
        self._waiters = as_bytes(name) + b"/waiters"
        self._key = self._waiters + b"/%x" % lease_id
        self._count = count
        self._lease_id = lease_id

    async def enter(self, timeout: float | None) -> None:
        """Returns when `count` have entered. raises TooManyClients: they have without this one; TimeoutError"""
        until = await _until(timeout)
        if len((await self._entered()).kvs) >= self._count:
            raise TooManyClients("too many clients")
        revision = await self._make_place()
        entered = (await self._entered()).kvs
        if len(entered) >= self._count:
            last = entered[self._count - 1]
            if revision > last.create_revision:
                await delete_request(self._key)
                raise TooManyClients("too many clients")
            if revision == last.create_revision:
                await put_request(self._ready)
                return
        await until_put(self._ready, b"", revision, until)

    async def _make_place(self) -> int:
        """return the revision that it was made at"""
        place = put(self._key, lease=self._lease_id)
        made = await txn(key(self._key).version == 0).then(place).request()
        if made.succeeded:
            return made.revision
        raise KeyExists("key already exists")

    async def _entered(self) -> RangeResult:
        return await page(prefix=self._waiters, sort="create", order="ascend")

    async def leave(self, timeout: float | None) -> None:
        """Returns when all have left, or are dead. raises TimeoutError"""
        until = await _until(timeout)
        while True:
            inside = await self._entered()
            if not inside.kvs:
                return
            first = min(inside.kvs, key=_changed_at)
            last = max(inside.kvs, key=_changed_at)
            if first.key != self._key:
                await delete_request(self._key)
                await until_deleted(first.key, inside.revision + 1, until)
            elif first is not last:
                await until_deleted(last.key, inside.revision + 1, until)
            else:  # the last of all
                await txn().then(delete(self._ready), delete(self._key)).request()
                return


def _changed_at(kv: KeyValue) -> int:
    return kv.mod_revision


async def _until(timeout: float | None) -> float | None:
    return None if timeout is None else await Now() + timeout
