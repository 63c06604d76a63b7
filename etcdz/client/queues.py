"""Queues of all clients, the same for both shells. Go's recipes have the same keys, and take from the same queues.

    a queue             name/<any word>                         the oldest first
    a priority queue    name/<priority>/<number>, in digits     the lowest priority first, and in each the oldest
                        __name/<priority>, which is empty       changed with each entry, so that no number comes twice

Source: etcd 3.5 client/v3/experimental/recipes
"""

from typing import Final, Literal

from etcdz.client.errors import EtcdError
from etcdz.client.keys import Key, as_bytes, prefix_end
from etcdz.client.pending import Now
from etcdz.client.requests import page
from etcdz.client.transactions import delete, key, put, txn
from etcdz.client.waiting import until_put

PRIORITY_MAX: Final = 65_535


class QueuePlaces:
    """A queue, in the order of what was put."""

    _sort: Literal["create", "key"] = "create"

    def __init__(self, name: Key) -> None:
        self.prefix = as_bytes(name) + b"/"

    async def put(self, value: Key, random: int) -> None:
        """random: of the name of the entry"""
        entry = self.prefix + b"%016x" % random
        while not (await txn(key(entry).version == 0).then(put(entry, value)).request()).succeeded:
            entry += b"0"

    async def get(self, timeout: float | None = None) -> bytes:
        """The first entry, which nobody else gets. raises TimeoutError: there was none in so many seconds

        NB: if the answer to its deletion is lost nobody gets it: the error says that it may have been applied
        """
        until = None if timeout is None else await Now() + timeout
        while True:
            found = await page(prefix=self.prefix, sort=self._sort, order="ascend", limit=1)
            if not found.kvs:
                await until_put(self.prefix, prefix_end(self.prefix), found.revision + 1, until)
                continue
            first = found.kvs[0]
            taken = await txn(key(first.key).mod_revision == first.mod_revision).then(delete(first.key)).request()
            if taken.succeeded:
                return first.value


class PriorityQueuePlaces(QueuePlaces):
    """A priority queue."""

    _sort = "key"

    async def put_first(self, value: Key, priority: int) -> None:
        """priority: 0 to PRIORITY_MAX; lower ones are taken first. raises ValueError: it is not"""
        if not 0 <= priority <= PRIORITY_MAX:
            raise ValueError(f"a priority is 0 to {PRIORITY_MAX}")
        prefix = self.prefix + b"%05d" % priority
        while True:
            last = await page(prefix=prefix + b"/", sort="key", order="descend", limit=1, keys_only=True)
            number = _number_of(last.kvs[0].key) + 1 if last.kvs else 0
            counted = b"__" + prefix
            done = await (
                txn(key(counted).mod_revision < last.revision + 1)
                .then(put(counted), put(prefix + b"/%016d" % number, value))
                .request()
            )
            if done.succeeded:
                return


def _number_of(entry: bytes) -> int:
    """raises EtcdError: somebody has put something else there"""
    digits = entry.rpartition(b"/")[2]
    if not digits.isdigit():
        raise EtcdError(f"{entry!r} is no entry of a priority queue")
    return int(digits)
