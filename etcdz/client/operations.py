"""Operations of more than one call, the same for both shells: locks, elections, what a lease is asked.

Each is a coroutine that awaits steps (etcdz.client.pending). A lock is etcd's own recipe: a key under the lock's name
that lives with a lease; whose key is the oldest holds it, and the others wait for the one before theirs to go. So a
lock of this client and one of etcdctl or of Go's client exclude each other.
"""

from etcdz.api import errors as api
from etcdz.client import methods
from etcdz.client.errors import EtcdError, LeaseExist, LockLost, LockTimeout, NotLeading, error_of
from etcdz.client.keys import as_bytes, prefix_end
from etcdz.client.pending import Ask, Now, Request, Work
from etcdz.client.requests import delete as delete_request
from etcdz.client.requests import get as get_request
from etcdz.client.requests import page
from etcdz.client.results import Grant, KeyValue, RangeResult, TimeToLive
from etcdz.client.transactions import Compare, Op, delete, get, key, put, txn
from etcdz.client.waiting import AddWatch, RemoveWatch, until_deleted
from etcdz.client.watches import WatchOptions
from etcdz.proto import etcdserverpb as pb

# ---- leases ----


def grant(ttl: int, lease_id: int, timeout: float | None = None) -> Request[Grant]:
    """lease_id: chosen by who asks, so that a grant may be sent again."""
    body = pb.LeaseGrantRequest(TTL=ttl, ID=lease_id).SerializeToString()
    return Request(methods.LEASE_GRANT, body, _grant, timeout)


async def granted(ttl: int, lease_id: int, is_ours: bool, timeout: float | None = None) -> Grant:
    """is_ours: nobody else has this id: if it is there already, an answer was lost."""
    try:
        return await grant(ttl, lease_id, timeout)
    except LeaseExist:
        if not is_ours:
            raise
        return Grant(lease_id, (await time_to_live(lease_id, timeout=timeout)).granted_ttl)


def revoke(lease_id: int, timeout: float | None = None) -> Request[None]:
    body = pb.LeaseRevokeRequest(ID=lease_id).SerializeToString()
    return Request(methods.LEASE_REVOKE, body, _nothing, timeout)


def time_to_live(lease_id: int, *, keys: bool = False, timeout: float | None = None) -> Request[TimeToLive]:
    """How long a lease has still to live; keys: with those that are attached to it."""
    body = pb.LeaseTimeToLiveRequest(ID=lease_id, keys=keys).SerializeToString()
    return Request(methods.LEASE_TIME_TO_LIVE, body, _time_to_live, timeout)


def leases(*, timeout: float | None = None) -> Request[list[int]]:
    """The ids of all leases."""
    return Request(methods.LEASE_LEASES, b"", _leases, timeout)


def _grant(message: bytes) -> Grant:
    answer = pb.LeaseGrantResponse.FromString(message)
    if answer.error:
        raise error_of(api.Code.UNKNOWN, answer.error)
    return Grant(answer.ID, answer.TTL)


def _nothing(message: bytes) -> None:
    return None


def _time_to_live(message: bytes) -> TimeToLive:
    answer = pb.LeaseTimeToLiveResponse.FromString(message)
    return TimeToLive(answer.ID, answer.TTL, answer.grantedTTL, tuple(answer.keys))


def _leases(message: bytes) -> list[int]:
    return [lease.ID for lease in pb.LeaseLeasesResponse.FromString(message).leases]


# ---- locks ----


class HeldLock:
    """A place in the queue for a name, and the lock itself once it is `held`.

    key         of this place; revision: at which it was made
    """

    def __init__(self, name: str | bytes, lease_id: int, value: str | bytes = b"") -> None:
        self.prefix = as_bytes(name) + b"/"
        self.key = self.prefix + b"%x" % lease_id
        self.lease_id = lease_id
        self.value = as_bytes(value)
        self.revision = 0

    @property
    def held(self) -> Compare:
        """Holds as long as this place is there: for a transaction that must not be done without the lock.

        raises LockLost: it was never acquired, or is released
        """
        if not self.revision:
            raise LockLost("the lock is not held")
        return key(self.key).create_revision == self.revision

    async def enqueue(self) -> KeyValue | None:
        """Makes the place. return a key that it waits for; None: this one holds it"""
        result = await (
            txn(key(self.key).version == 0)
            .then(put(self.key, self.value, lease=self.lease_id), self._first())
            .otherwise(get(self.key), self._first())
            .request()
        )
        self.revision = result.revision
        if not result.succeeded:
            self.revision = result.results[0].kvs[0].create_revision  # type: ignore[union-attr]
        first = result.results[1].kvs  # type: ignore[union-attr]
        return None if not first or first[0].create_revision == self.revision else first[0]

    async def acquire(self, timeout: float | None = None) -> None:
        """timeout: seconds; None: as long as it takes; 0: now or not at all. raises LockTimeout"""
        until = None if timeout is None else await Now() + timeout
        try:
            holder = await self.enqueue()
            if holder is None:
                return
            if timeout == 0:
                raise TimeoutError
            await self._wait(until)
            mine = await get_request(self.key)
            if mine is None or mine.create_revision != self.revision:
                raise LockLost("the lease has run out while the lock was waited for")
        except TimeoutError as error:
            await self.release()
            if isinstance(error, EtcdError):
                raise
            raise LockTimeout(f"the lock {self.prefix[:-1]!r} was not to be had in {timeout:g} s") from None
        except BaseException:
            await self.release()
            raise

    async def _wait(self, until: float | None) -> None:
        """For each place before this one, the nearest first, to go."""
        while (before := await self._before(self.prefix)).kvs:
            await until_deleted(before.kvs[0].key, before.revision + 1, until)

    def _before(self, prefix: bytes) -> Request[RangeResult]:
        """The nearest place before this one, of those that begin so."""
        last = self.revision - 1
        return page(prefix=prefix, max_create_revision=last, sort="create", order="descend", limit=1)

    async def release(self) -> None:
        """NB: the place goes even if it is not held yet."""
        revision, self.revision = self.revision, 0
        if revision:
            await txn(key(self.key).create_revision == revision).then(delete(self.key)).request()
        else:
            await delete_request(self.key)

    def _first(self) -> Op:
        return get(prefix=self.prefix, sort="create", order="ascend", limit=1)


# ---- elections ----


class Candidate(HeldLock):
    """Who stands for an election: the lock of its name, and a value that all can read."""

    async def campaign(self, value: str | bytes, timeout: float | None = None) -> None:
        """Returns when it leads. raises LockTimeout"""
        self.value = as_bytes(value)
        await self.acquire(timeout)

    async def proclaim(self, value: str | bytes) -> None:
        """Another value, without a new election. raises NotLeading"""
        if not self.revision:
            raise NotLeading("not the leader")
        self.value = as_bytes(value)
        result = await txn(self.held).then(put(self.key, self.value, lease=self.lease_id)).request()
        if not result.succeeded:
            self.revision = 0
            raise NotLeading("not the leader any more")


def leader(name: str | bytes) -> "Work[KeyValue | None]":
    """Who leads an election now: its key and value."""
    return _leader(as_bytes(name) + b"/")


async def _leader(prefix: bytes) -> KeyValue | None:
    found = await page(prefix=prefix, sort="create", order="ascend", limit=1)
    return found.kvs[0] if found.kvs else None


class Observation:
    """The leaders of an election, one after the other; a value that the leader proclaims counts as another."""

    def __init__(self, name: str | bytes) -> None:
        self._prefix = as_bytes(name) + b"/"
        self._seen = 0

    async def next(self) -> KeyValue:
        """The next leader, or the next value of this one."""
        while True:
            found = await page(prefix=self._prefix, sort="create", order="ascend", limit=1)
            if found.kvs and found.kvs[0].mod_revision > self._seen:
                self._seen = found.kvs[0].mod_revision
                return found.kvs[0]
            watcher = await AddWatch(WatchOptions(self._prefix, prefix_end(self._prefix), found.revision + 1))
            try:
                await Ask(lambda core: watcher.take())  # noqa: B023
            finally:
                await RemoveWatch(watcher)
