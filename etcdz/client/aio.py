"""The client for asyncio: the same names as etcdz.client.threads, awaited. One client is for one event loop."""

import asyncio
import inspect
import os
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from etcdz.client import maintenance, operations, requests
from etcdz.client.aio_recipes import Barrier, DoubleBarrier, Mirror, PriorityQueue, Queue
from etcdz.client.connecting import make_options
from etcdz.client.core import Core
from etcdz.client.endpoints import parse_endpoints
from etcdz.client.errors import ClientClosed, DeadlineExceeded, EtcdError, LeaseNotFound, LockLost
from etcdz.client.keys import Key, as_bytes, span
from etcdz.client.leases import KeptLease
from etcdz.client.loop import Loop
from etcdz.client.namespaces import View
from etcdz.client.operations import Candidate, HeldLock, Observation
from etcdz.client.options import Options
from etcdz.client.pages import Pages
from etcdz.client.pending import Ask, Now, Request, Work
from etcdz.client.requests import LeaseId, lease_id
from etcdz.client.results import Event, KeyValue, TimeToLive, TxnResult
from etcdz.client.shared_locks import ReadPlace, SemaphorePlace, WritePlace
from etcdz.client.snapshots import SnapshotFile, SnapshotStream
from etcdz.client.stm import Attempt
from etcdz.client.transactions import Compare, Transaction
from etcdz.client.waiting import AddWatch
from etcdz.client.watches import NO_DELETE, NO_PUT, Watcher, WatchOptions

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")
M = TypeVar("M", bound="Left")
_system_random: Final = random.SystemRandom()


def awaited(make: Callable[P, Request[R]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """A method that does what the request asks for, of the same arguments."""

    def method(self: Any, /, *args: P.args, **named: P.kwargs) -> Coroutine[Any, Any, R]:
        do: Callable[[Request[R]], Coroutine[Any, Any, R]] = self._loop.do
        return do(make(*args, **named))

    method.__name__, method.__doc__, method.__wrapped__ = make.__name__, make.__doc__, make  # type: ignore[attr-defined]
    return method


class Left(Protocol):
    """What is tidied up at the end of an `async with`."""

    async def _leave(self) -> None: ...


class Opening(Generic[M]):
    """A watch or a lease that is not there yet: `await` it, or use it as a context manager."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, M]]) -> None:
        self._make = make
        self._made: M | None = None

    def __await__(self) -> Generator[Any, None, M]:
        return self._make().__await__()

    async def __aenter__(self) -> M:
        self._made = await self._make()
        return self._made

    async def __aexit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        made, self._made = self._made, None
        if made is None:
            return
        try:
            await made._leave()
        except EtcdError:
            if error is None:
                raise


class Members:
    """The members of the cluster."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    list = awaited(maintenance.member_list)
    add = awaited(maintenance.member_add)
    remove = awaited(maintenance.member_remove)
    update = awaited(maintenance.member_update)
    promote = awaited(maintenance.member_promote)


class Maintenance:
    """The upkeep of the member that answers."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    status = awaited(maintenance.status)
    defragment = awaited(maintenance.defragment)
    hash_kv = awaited(maintenance.hash_kv)
    move_leader = awaited(maintenance.move_leader)
    alarms = awaited(maintenance.alarms)
    disarm = awaited(maintenance.disarm)

    async def snapshot(self, path: str | os.PathLike[str]) -> int:
        """Saves the store of the member that answers: the file is whole, or not there. return its size"""
        stream, file = SnapshotStream(), SnapshotFile(path)
        try:
            while piece := await self._loop.do(stream.next()):
                await asyncio.to_thread(file.write, piece)
            return await asyncio.to_thread(file.finish)
        finally:
            file.discard()
            self._loop.enter(stream.cancel)


class Auth:
    """Users and roles."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    enable = awaited(maintenance.enable)
    disable = awaited(maintenance.disable)
    status = awaited(maintenance.auth_status)
    user_add = awaited(maintenance.user_add)
    user_get = awaited(maintenance.user_get)
    user_list = awaited(maintenance.user_list)
    user_delete = awaited(maintenance.user_delete)
    user_change_password = awaited(maintenance.user_change_password)
    user_grant_role = awaited(maintenance.user_grant_role)
    user_revoke_role = awaited(maintenance.user_revoke_role)
    role_add = awaited(maintenance.role_add)
    role_get = awaited(maintenance.role_get)
    role_list = awaited(maintenance.role_list)
    role_delete = awaited(maintenance.role_delete)
    role_grant_permission = awaited(maintenance.role_grant_permission)
    role_revoke_permission = awaited(maintenance.role_revoke_permission)


class Client:
    """A client of a cluster: see etcdz.client. Connects when first used; an async context manager."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._loop = Loop(options)
        self.members = Members(self._loop)
        self.maintenance = Maintenance(self._loop)
        self.auth = Auth(self._loop)

    async def close(self) -> None:
        """Ends its connections; calls that are under way fail with ClientClosed."""
        await self._loop.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def do(self, request: Request[R]) -> R:
        """A request that has no method of its own here."""
        return await self._loop.do(request)

    # ---- keys ----

    put = awaited(requests.put)
    get = awaited(requests.get)
    page = awaited(requests.page)
    count = awaited(requests.count)
    delete = awaited(requests.delete)
    compact = awaited(requests.compact)

    async def range(
        self,
        key: Key | None = None,
        end: Key | None = None,
        *,
        prefix: Key | None = None,
        limit: int = 0,
        at: int = 0,
        keys_only: bool = False,
        serializable: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[KeyValue]:
        """Any number of keys, in their order, all as of one revision, a part at a time. timeout: of each part"""
        pages = Pages(*span(key, end, prefix), limit, at, keys_only, serializable)
        try:
            while not pages.done:
                for kv in await self._loop.run(pages.next(timeout)):
                    yield kv
        finally:
            if not pages.done:
                self._loop.enter(pages.cancel)

    def txn(self, *compares: Compare) -> "Txn":
        """A transaction: `.then(...)`, `.otherwise(...)`, `await .commit()`."""
        return Txn(self._loop, *compares)

    # ---- watches ----

    def watch(
        self,
        key: Key | None = None,
        end: Key | None = None,
        *,
        prefix: Key | None = None,
        start: int = 0,
        prev: bool = False,
        progress: bool = False,
        puts: bool = True,
        deletes: bool = True,
        require_leader: bool = False,
        timeout: float | None = None,
    ) -> "Opening[Watch]":
        """Events from revision `start` on, or from now on; it stands when it is entered. timeout: for that

        prev        events have what was there before
        progress    events of type PROGRESS say now and then how far the watch has come
        raises      DeadlineExceeded: it could not be created in time
        """
        filters = (() if puts else (NO_PUT,)) + (() if deletes else (NO_DELETE,))
        options = WatchOptions(*span(key, end, prefix), start, prev, progress, filters, True, require_leader)
        seconds = self._options.timeout_s if timeout is None else timeout

        async def make() -> Watch:
            watch = Watch(self._loop, options)
            await watch._stand(seconds)
            return watch

        return Opening(make)

    # ---- leases ----

    def lease(
        self,
        ttl: int,
        *,
        id: int = 0,
        keep_alive: bool = True,
        on_lost: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> "Opening[Lease]":
        """A lease, kept alive until it is revoked, closed or lost. on_lost: called then, or awaited"""

        async def make() -> Lease:
            chosen = id or _system_random.getrandbits(62) + 1
            asked_at = await self._loop.do(Now())
            granted = await self._loop.run(operations.granted(ttl, chosen, not id, timeout))
            lease = Lease(self._loop, granted.id, granted.ttl, on_lost)
            if keep_alive:
                lease._keep_alive(asked_at)
            return lease

        return Opening(make)

    def keep_alive(self, lease: LeaseId, *, on_lost: Callable[[], object] | None = None) -> "Lease":
        """Keeps a lease alive that somebody has granted."""
        kept = Lease(self._loop, lease_id(lease), 0, on_lost)
        kept._keep_alive(self._loop.core.now())
        return kept

    leases = awaited(operations.leases)

    async def revoke(self, lease: LeaseId, *, timeout: float | None = None) -> None:
        """The lease ends, and its keys go."""
        await self._loop.do(operations.revoke(lease_id(lease), timeout))

    async def time_to_live(self, lease: LeaseId, *, keys: bool = False, timeout: float | None = None) -> TimeToLive:
        """How long a lease has still to live; keys: with those that are attached to it."""
        return await self._loop.do(operations.time_to_live(lease_id(lease), keys=keys, timeout=timeout))

    # ---- locks and elections ----

    def lock(
        self,
        name: Key,
        *,
        ttl: int = 10,
        timeout: float | None = None,
        on_lost: Callable[[], object] | None = None,
    ) -> "Lock":
        """A lock. ttl: how long it outlives a holder that dies. timeout: of waiting for it; None: without an end"""
        return Lock(self, HeldLock, name, ttl, timeout, on_lost)

    def election(
        self, name: Key, value: Key | None = None, *, ttl: int = 10, timeout: float | None = None
    ) -> "Election":
        """An election: a context manager with a value to stand for it, without one to see who leads."""
        return Election(self, name, value, ttl, timeout)

    async def stm(
        self,
        work: Callable[["Stm"], Awaitable[R]],
        *,
        isolation: str = "serializable_snapshot",
        timeout: float | None = None,
    ) -> R:
        """Runs work, which reads and writes by its argument, until nothing has come in between. return what it does

        timeout     of each call
        raises      what work raises: then nothing is written
        """
        while True:
            attempt = Attempt(isolation)
            result = await work(Stm(self._loop, attempt, timeout))
            if (await self._loop.do(attempt.commit().request(timeout))).succeeded:
                return result

    def rwlock(self, name: Key, *, ttl: int = 10) -> "RwLock":
        """A lock that many may hold to read, or one to write: `.read()` and `.write()` are such locks."""
        return RwLock(self, name, ttl)

    def semaphore(self, name: Key, count: int, *, ttl: int = 10, timeout: float | None = None) -> "Lock":
        """A lock that so many may hold at once. NB: all that use it must name the same count."""
        return Lock(self, partial(SemaphorePlace, count), name, ttl, timeout)

    def queue(self, name: Key) -> Queue:
        """A queue of all clients."""
        return Queue(self._loop, name)

    def priority_queue(self, name: Key) -> PriorityQueue:
        """A queue of all clients, whose entries have priorities."""
        return PriorityQueue(self._loop, name)

    def barrier(self, name: Key) -> Barrier:
        """A key that holds others up as long as it is there."""
        return Barrier(self._loop, name)

    def double_barrier(self, name: Key, count: int, *, ttl: int = 10) -> DoubleBarrier:
        """What so many clients enter together and leave together. ttl: how long one that dies holds others up"""
        return DoubleBarrier(self._loop, name, count, lambda: self.lease(ttl))

    # ---- views ----

    def mirror(
        self, key: Key | None = None, end: Key | None = None, *, prefix: Key | None = None, timeout: float | None = None
    ) -> "Opening[Mirror]":
        """What is in a range, kept here and up to date; loaded when it is entered. timeout: for that

        raises  TimeoutError: it could not be loaded in time
        """
        found = span(key, end, prefix)
        seconds = self._options.timeout_s if timeout is None else timeout

        async def make() -> Mirror:
            mirror = Mirror(self._loop, *found)
            await mirror._stand(seconds or None)
            return mirror

        return Opening(make)

    def namespace(self, prefix: Key) -> "Client":
        """This client, but that all keys begin with prefix, which does not show. Its `close` does nothing."""
        return _Namespaced(self, as_bytes(prefix))

    # ---- the client itself ----

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple([endpoint.text for endpoint in self._loop.core.options.endpoints])

    def set_endpoints(self, endpoints: str | Iterable[str]) -> None:
        """From now on these. raises ValueError"""
        tls = self._options.tls
        parsed = parse_endpoints(endpoints, bool(tls.ca or tls.cert or tls.skip_verify))
        self._loop.enter(lambda core: core.set_endpoints(parsed))

    async def sync_endpoints(self) -> tuple[str, ...]:
        """Takes the endpoints that the cluster's members advertise."""
        urls = [url for member in await self.members.list() if not member.is_learner for url in member.client_urls]
        if urls:
            self.set_endpoints(urls)
        return self.endpoints


class _Namespaced(Client):
    """A client's view of a part of its keys."""

    def __init__(self, client: Client, prefix: bytes) -> None:
        self._options = client._options
        self._loop = cast(Loop, View(client._loop, prefix))
        self.members, self.maintenance, self.auth = client.members, client.maintenance, client.auth

    async def close(self) -> None:
        """Nothing: the client that it is a view of goes on."""


class Txn(Transaction):
    """A transaction of a client for asyncio."""

    def __init__(self, loop: Loop, *compares: Compare) -> None:
        super().__init__(*compares)
        self._loop = loop

    async def commit(self, *, timeout: float | None = None) -> TxnResult:
        """Does it."""
        return await self._loop.do(self.request(timeout))


class Stm:
    """What the function of an STM reads and writes by; only `get` is awaited."""

    def __init__(self, loop: Loop, attempt: Attempt, timeout: float | None) -> None:
        self._loop = loop
        self._attempt = attempt
        self._timeout = timeout
        self.put = attempt.put
        self.delete = attempt.delete

    @overload
    async def get(self, name: Key) -> bytes | None: ...
    @overload
    async def get(self, name: Key, default: D) -> bytes | D: ...
    async def get(self, name: Key, default: Any = None) -> Any:
        """Its value, as this function has last written it, or as it was."""
        key, attempt = as_bytes(name), self._attempt
        if not attempt.known(key):
            attempt.note(key, await self._loop.do(attempt.request(key, self._timeout)))
        value = attempt.value(key)
        return default if value is None else value


class Watch:
    """An async iterator of events. It resumes by itself where it stood.

    raises  Compacted: what it would have to be told next is gone; PermissionDenied and others that end it
    """

    def __init__(self, loop: Loop, options: WatchOptions) -> None:
        self.created_revision = 0
        self._loop = loop
        self._options = options
        self._watcher: Watcher

    async def _stand(self, timeout_s: float) -> None:
        self._watcher = await self._loop.do(AddWatch(self._options))
        try:
            self.created_revision = await self._loop.do(Ask(lambda core: self._watcher.created, timeout_s or None))
        except TimeoutError:
            self.close()
            raise DeadlineExceeded("the watch could not be created in time") from None
        except BaseException:
            self.close()
            raise

    async def _leave(self) -> None:
        self.close()

    @property
    def next_revision(self) -> int:
        """Where it would be resumed."""
        return self._watcher.next_revision

    async def get(self, timeout: float | None = None) -> Event:
        """The next event. raises TimeoutError: there was none in so many seconds; ClientClosed: the watch is closed"""
        event = await self._next(timeout)
        if event is None:
            raise ClientClosed("the watch is closed")
        return event

    def request_progress(self) -> None:
        """Asks for an event of type PROGRESS now; for a watch with progress=True."""
        self._loop.enter(lambda core: core.watches.request_progress())

    def close(self) -> None:
        """Ends it; an iteration that waits ends, too."""
        self._loop.enter(lambda core: core.watches.remove(self._watcher))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self._next(None)
        if event is None:
            raise StopAsyncIteration
        return event

    async def _next(self, timeout: float | None) -> Event | None:
        events: deque[Event] = self._watcher.events
        if events:
            return events.popleft()
        ask: Ask[Event | None] = Ask(lambda core: self._watcher.take(), timeout, self._watcher.put_back)
        return await self._loop.do(ask)


class Lease:
    """A lease. As a context manager it is revoked at the end. lost: set once it has run out or is revoked elsewhere."""

    def __init__(self, loop: Loop, id: int, ttl: int, on_lost: Callable[[], object] | None = None) -> None:
        self.id = id
        self.ttl = ttl
        self.lost = asyncio.Event()
        self._loop = loop
        self._on_lost = on_lost
        self._kept: KeptLease | None = None
        self._told: object = None

    def _keep_alive(self, since: float) -> None:
        def add(core: Core) -> KeptLease:
            return core.keep_alives.add(self.id, self.ttl, self._lose, since)

        self._kept = self._loop.enter(add)

    def _lose(self) -> None:
        self.lost.set()
        self._loop.loop.call_soon(self._tell)

    def _tell(self) -> None:
        told = self._on_lost() if self._on_lost is not None else None
        if inspect.iscoroutine(told):
            self._told = self._loop.loop.create_task(told)

    async def _leave(self) -> None:
        await self.revoke()

    def close(self) -> None:
        """Kept alive no longer: it runs out by itself."""
        kept, self._kept = self._kept, None
        if kept is not None:
            self._loop.enter(lambda core: core.keep_alives.remove(kept))

    async def revoke(self, *, timeout: float | None = None) -> None:
        """Ends it at once, and its keys go. Nothing if it has ended already."""
        self.close()
        try:
            await self._loop.do(operations.revoke(self.id, timeout))
        except LeaseNotFound:
            pass

    async def time_to_live(self, *, keys: bool = False, timeout: float | None = None) -> TimeToLive:
        return await self._loop.do(operations.time_to_live(self.id, keys=keys, timeout=timeout))


class Lock:
    """A lock, and an async context manager that acquires it. lost: set if its lease has run out meanwhile."""

    def __init__(
        self,
        client: Client,
        kind: Callable[[Key, int], HeldLock],
        name: Key,
        ttl: int,
        timeout: float | None,
        on_lost: Callable[[], object] | None = None,
    ) -> None:
        self._client = client
        self._kind = kind
        self._name = name
        self._ttl = ttl
        self._timeout = timeout
        self._on_lost = on_lost
        self._lease: Lease | None = None
        self._place: HeldLock | None = None

    async def acquire(self, timeout: float | None = None) -> None:
        """timeout: seconds; 0: now or not at all; None: what the lock was made with. raises LockTimeout"""
        await self._enter(lambda place, limit: place.acquire(limit), timeout)

    async def _enter(self, acquire: Callable[[Any, float | None], Work[None]], timeout: float | None) -> None:
        client = self._client
        lease = await client.lease(self._ttl, on_lost=self._on_lost)
        try:
            place = self._kind(self._name, lease.id)
            await client._loop.run(acquire(place, self._timeout if timeout is None else timeout))
        except BaseException:
            await lease.revoke()
            raise
        self._lease, self._place = lease, place

    async def release(self) -> None:
        """Lets others have it. raises LockLost: it was lost before"""
        lease, place = self._lease, self._place
        self._lease = self._place = None
        if lease is None or place is None:
            raise LockLost("the lock is not held")
        was_lost = lease.lost.is_set()
        await lease.revoke()
        if was_lost:
            raise LockLost("the lease of the lock has run out")

    @property
    def lost(self) -> asyncio.Event:
        """Of the lease that it is held with. raises LockLost: it is not held"""
        if self._lease is None:
            raise LockLost("the lock is not held")
        return self._lease.lost

    @property
    def key(self) -> bytes:
        """That it is held by. raises LockLost: it is not held"""
        return self._held_place().key

    @property
    def held(self) -> Compare:
        """A compare that holds while it is held: put it into transactions that need the lock.

        raises LockLost: it is not held, or is lost
        """
        return self._held_place().held

    def _held_place(self) -> HeldLock:
        if self._place is None or self._lease is None:
            raise LockLost("the lock is not held")
        if self._lease.lost.is_set():
            raise LockLost("the lease of the lock has run out")
        return self._place

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            await self.release()
        except EtcdError:
            if error is None:
                raise


class RwLock:
    """A lock of readers and writers."""

    def __init__(self, client: Client, name: Key, ttl: int) -> None:
        self._client = client
        self._name = name
        self._ttl = ttl

    def read(self, *, timeout: float | None = None, on_lost: Callable[[], object] | None = None) -> Lock:
        """A lock that others may hold, too, to read."""
        return Lock(self._client, ReadPlace, self._name, self._ttl, timeout, on_lost)

    def write(self, *, timeout: float | None = None, on_lost: Callable[[], object] | None = None) -> Lock:
        """A lock that nobody else holds, to read nor to write."""
        return Lock(self._client, WritePlace, self._name, self._ttl, timeout, on_lost)


class Election(Lock):
    """An election. As a context manager it stands with its value, leads inside, and resigns at the end."""

    def __init__(self, client: Client, name: Key, value: Key | None, ttl: int, timeout: float | None) -> None:
        super().__init__(client, Candidate, name, ttl, timeout)
        self._value = value

    async def acquire(self, timeout: float | None = None) -> None:
        await self.campaign(self._value if self._value is not None else b"", timeout)

    async def campaign(self, value: Key, timeout: float | None = None) -> None:
        """Returns when it leads. raises LockTimeout"""
        await self._enter(lambda place, limit: place.campaign(value, limit), timeout)

    async def proclaim(self, value: Key) -> None:
        """Another value, without a new election. raises NotLeading, LockLost"""
        place = self._held_place()
        assert isinstance(place, Candidate)
        await self._client._loop.run(place.proclaim(value))

    async def resign(self) -> None:
        """Another leads from now on."""
        await self.release()

    async def leader(self) -> KeyValue | None:
        """The leader's key and value; None: nobody leads."""
        return await self._client._loop.run(operations.leader(self._name))

    async def observe(self) -> AsyncIterator[KeyValue]:
        """All leaders from now on, and what each proclaims."""
        observation = Observation(self._name)
        while True:
            yield await self._client._loop.run(observation.next())


def connect(
    endpoints: str | Iterable[str] | None = None,
    *,
    ca: str = "",
    cert: tuple[str, str] | None = None,
    server_name: str = "",
    skip_verify: bool | None = None,
    user: str = "",
    password: str = "",
    token: str = "",
    timeout: float = 10.0,
    dial_timeout: float = 5.0,
    keepalive_time: float = 2.0,
    keepalive_timeout: float = 6.0,
    auto_sync: float = 0.0,
    discovery_srv: str = "",
    discovery_srv_name: str = "",
    insecure_discovery: bool | None = None,
) -> Client:
    """A client for asyncio; arguments as of etcdz.connect.

    NB: with discovery_srv it waits for the name servers; `await asyncio.to_thread(connect, ...)` does not.
    """
    return Client(
        make_options(
            endpoints,
            ca=ca,
            cert=cert,
            server_name=server_name,
            skip_verify=skip_verify,
            user=user,
            password=password,
            token=token,
            timeout_s=timeout,
            dial_timeout_s=dial_timeout,
            keepalive_s=keepalive_time,
            keepalive_timeout_s=keepalive_timeout,
            sync_every_s=auto_sync,
            discovery_srv=discovery_srv,
            discovery_srv_name=discovery_srv_name,
            insecure_discovery=insecure_discovery,
        )
    )


__all__ = ["Client", "Election", "Lease", "Lock", "Txn", "Watch", "connect"]
