"""The client for threads: every method blocks until it has its result. One client is for all threads of a process."""

import os
import random
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast, overload

from etcdz.client import maintenance, operations, requests
from etcdz.client.connecting import make_options
from etcdz.client.core import Core
from etcdz.client.endpoints import parse_endpoints
from etcdz.client.errors import ClientClosed, DeadlineExceeded, EtcdError, LeaseNotFound, LockLost
from etcdz.client.keys import Key, as_bytes, span
from etcdz.client.leases import KeptLease
from etcdz.client.namespaces import View
from etcdz.client.operations import Candidate, HeldLock, Observation
from etcdz.client.options import Options
from etcdz.client.pages import Pages
from etcdz.client.pending import Ask, Now, Pending, Request, Work
from etcdz.client.reactor import Reactor
from etcdz.client.requests import LeaseId, lease_id
from etcdz.client.results import Event, KeyValue, TimeToLive, TxnResult
from etcdz.client.shared_locks import ReadPlace, SemaphorePlace, WritePlace
from etcdz.client.snapshots import SnapshotFile, SnapshotStream
from etcdz.client.stm import Attempt
from etcdz.client.thread_recipes import Barrier, DoubleBarrier, Mirror, PriorityQueue, Queue
from etcdz.client.transactions import Compare, Transaction
from etcdz.client.waiting import AddWatch
from etcdz.client.watches import NO_DELETE, NO_PUT, Watcher, WatchOptions

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")
_system_random: Final = random.SystemRandom()


def blocking(make: Callable[P, Request[R]]) -> Callable[Concatenate[Any, P], R]:
    """A method that does what the request asks for, of the same arguments."""

    def method(self: Any, /, *args: P.args, **named: P.kwargs) -> R:
        do: Callable[[Request[R]], R] = self._reactor.do
        return do(make(*args, **named))

    method.__name__, method.__doc__, method.__wrapped__ = make.__name__, make.__doc__, make  # type: ignore[attr-defined]
    return method


class Members:
    """The members of the cluster."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    list = blocking(maintenance.member_list)
    add = blocking(maintenance.member_add)
    remove = blocking(maintenance.member_remove)
    update = blocking(maintenance.member_update)
    promote = blocking(maintenance.member_promote)


class Maintenance:
    """The upkeep of the member that answers."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    status = blocking(maintenance.status)
    defragment = blocking(maintenance.defragment)
    hash_kv = blocking(maintenance.hash_kv)
    move_leader = blocking(maintenance.move_leader)
    alarms = blocking(maintenance.alarms)
    disarm = blocking(maintenance.disarm)

    def snapshot(self, path: str | os.PathLike[str]) -> int:
        """Saves the store of the member that answers: the file is whole, or not there. return its size"""
        stream, file = SnapshotStream(), SnapshotFile(path)
        try:
            while piece := self._reactor.do(stream.next()):
                file.write(piece)
            return file.finish()
        finally:
            file.discard()
            self._reactor.enter(stream.cancel)


class Auth:
    """Users and roles."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    enable = blocking(maintenance.enable)
    disable = blocking(maintenance.disable)
    status = blocking(maintenance.auth_status)
    user_add = blocking(maintenance.user_add)
    user_get = blocking(maintenance.user_get)
    user_list = blocking(maintenance.user_list)
    user_delete = blocking(maintenance.user_delete)
    user_change_password = blocking(maintenance.user_change_password)
    user_grant_role = blocking(maintenance.user_grant_role)
    user_revoke_role = blocking(maintenance.user_revoke_role)
    role_add = blocking(maintenance.role_add)
    role_get = blocking(maintenance.role_get)
    role_list = blocking(maintenance.role_list)
    role_delete = blocking(maintenance.role_delete)
    role_grant_permission = blocking(maintenance.role_grant_permission)
    role_revoke_permission = blocking(maintenance.role_revoke_permission)


class Client:
    """A client of a cluster: see etcdz.client. Connects when first used; a context manager."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._reactor = Reactor(options)
        self._finalizer = weakref.finalize(self, self._reactor.close_soon)
        self._finalizer.atexit = False
        self.members = Members(self._reactor)
        self.maintenance = Maintenance(self._reactor)
        self.auth = Auth(self._reactor)

    def close(self) -> None:
        """Ends its connections and its thread; calls that are under way fail with ClientClosed."""
        self._finalizer.detach()
        self._reactor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def do(self, request: Request[R]) -> R:
        """A request that has no method of its own here."""
        return self._reactor.do(request)

    # ---- keys ----

    put = blocking(requests.put)
    get = blocking(requests.get)
    page = blocking(requests.page)
    count = blocking(requests.count)
    delete = blocking(requests.delete)
    compact = blocking(requests.compact)

    def range(
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
    ) -> Iterator[KeyValue]:
        """Any number of keys, in their order, all as of one revision, a part at a time. timeout: of each part"""
        pages = Pages(*span(key, end, prefix), limit, at, keys_only, serializable)
        return self._range(pages, timeout)

    def _range(self, pages: Pages, timeout: float | None) -> Iterator[KeyValue]:
        try:
            while not pages.done:
                yield from self._reactor.run(pages.next(timeout))
        finally:
            if not pages.done:  # NB: this may be the garbage collector's thread
                self._reactor.soon(pages.cancel)

    def txn(self, *compares: Compare) -> "Txn":
        """A transaction: `.then(...)`, `.otherwise(...)`, `.commit()`."""
        return Txn(self._reactor, *compares)

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
    ) -> "Watch":
        """Events from revision `start` on, or from now on; it stands when this returns. timeout: for that

        prev        events have what was there before
        progress    events of type PROGRESS say now and then how far the watch has come
        raises      DeadlineExceeded: it could not be created in time
        """
        filters = (() if puts else (NO_PUT,)) + (() if deletes else (NO_DELETE,))
        options = WatchOptions(*span(key, end, prefix), start, prev, progress, filters, True, require_leader)
        return Watch(self._reactor, options, self._options.timeout_s if timeout is None else timeout)

    # ---- leases ----

    def lease(
        self,
        ttl: int,
        *,
        id: int = 0,
        keep_alive: bool = True,
        on_lost: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> "Lease":
        """A lease, kept alive until it is revoked, closed or lost. on_lost: called then, in a thread of its own"""
        chosen = id or _system_random.getrandbits(62) + 1
        asked_at = self._reactor.do(Now())
        granted = self._reactor.run(operations.granted(ttl, chosen, not id, timeout))
        lease = Lease(self._reactor, granted.id, granted.ttl, on_lost)
        if keep_alive:
            lease._keep_alive(asked_at)
        return lease

    def keep_alive(self, lease: LeaseId, *, on_lost: Callable[[], object] | None = None) -> "Lease":
        """Keeps a lease alive that somebody has granted."""
        kept = Lease(self._reactor, lease_id(lease), 0, on_lost)
        kept._keep_alive(self._reactor.do(Now()))
        return kept

    leases = blocking(operations.leases)

    def revoke(self, lease: LeaseId, *, timeout: float | None = None) -> None:
        """The lease ends, and its keys go."""
        self._reactor.do(operations.revoke(lease_id(lease), timeout))

    def time_to_live(self, lease: LeaseId, *, keys: bool = False, timeout: float | None = None) -> TimeToLive:
        """How long a lease has still to live; keys: with those that are attached to it."""
        return self._reactor.do(operations.time_to_live(lease_id(lease), keys=keys, timeout=timeout))

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

    def stm(
        self, work: Callable[["Stm"], R], *, isolation: str = "serializable_snapshot", timeout: float | None = None
    ) -> R:
        """Runs work, which reads and writes by its argument, until nothing has come in between. return what it does

        timeout     of each call
        raises      what work raises: then nothing is written
        """
        while True:
            attempt = Attempt(isolation)
            result = work(Stm(self._reactor, attempt, timeout))
            if self._reactor.do(attempt.commit().request(timeout)).succeeded:
                return result

    def rwlock(self, name: Key, *, ttl: int = 10) -> "RwLock":
        """A lock that many may hold to read, or one to write: `.read()` and `.write()` are such locks."""
        return RwLock(self, name, ttl)

    def semaphore(self, name: Key, count: int, *, ttl: int = 10, timeout: float | None = None) -> "Lock":
        """A lock that so many may hold at once. NB: all that use it must name the same count."""
        return Lock(self, partial(SemaphorePlace, count), name, ttl, timeout)

    def queue(self, name: Key) -> Queue:
        """A queue of all clients."""
        return Queue(self._reactor, name)

    def priority_queue(self, name: Key) -> PriorityQueue:
        """A queue of all clients, whose entries have priorities."""
        return PriorityQueue(self._reactor, name)

    def barrier(self, name: Key) -> Barrier:
        """A key that holds others up as long as it is there."""
        return Barrier(self._reactor, name)

    def double_barrier(self, name: Key, count: int, *, ttl: int = 10) -> DoubleBarrier:
        """What so many clients enter together and leave together. ttl: how long one that dies holds others up"""
        return DoubleBarrier(self._reactor, name, count, lambda: self.lease(ttl))

    # ---- views ----

    def mirror(
        self, key: Key | None = None, end: Key | None = None, *, prefix: Key | None = None, timeout: float | None = None
    ) -> Mirror:
        """What is in a range, kept here and up to date; loaded when this returns. timeout: for that

        raises  TimeoutError: it could not be loaded in time
        """
        seconds = self._options.timeout_s if timeout is None else timeout
        return Mirror(self._reactor, *span(key, end, prefix), seconds or None)

    def namespace(self, prefix: Key) -> "Client":
        """This client, but that all keys begin with prefix, which does not show. Its `close` does nothing."""
        return _Namespaced(self, as_bytes(prefix))

    # ---- the client itself ----

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple([endpoint.text for endpoint in self._reactor.core.options.endpoints])

    def set_endpoints(self, endpoints: str | Iterable[str]) -> None:
        """From now on these. raises ValueError"""
        tls = self._options.tls
        parsed = parse_endpoints(endpoints, bool(tls.ca or tls.cert or tls.skip_verify))
        self._reactor.enter(lambda core: core.set_endpoints(parsed))

    def sync_endpoints(self) -> tuple[str, ...]:
        """Takes the endpoints that the cluster's members advertise."""
        urls = [url for member in self.members.list() if not member.is_learner for url in member.client_urls]
        if urls:
            self.set_endpoints(urls)
        return self.endpoints


class _Namespaced(Client):
    """A client's view of a part of its keys. NB: it keeps the client, which would be closed if nobody had it."""

    def __init__(self, client: Client, prefix: bytes) -> None:
        self._client = client
        self._options = client._options
        self._reactor = cast(Reactor, View(client._reactor, prefix))
        self.members, self.maintenance, self.auth = client.members, client.maintenance, client.auth

    def close(self) -> None:
        """Nothing: the client that it is a view of goes on."""


class Txn(Transaction):
    """A transaction of a client for threads."""

    def __init__(self, reactor: Reactor, *compares: Compare) -> None:
        super().__init__(*compares)
        self._reactor = reactor

    def commit(self, *, timeout: float | None = None) -> TxnResult:
        """Does it."""
        return self._reactor.do(self.request(timeout))


class Stm:
    """What the function of an STM reads and writes by."""

    def __init__(self, reactor: Reactor, attempt: Attempt, timeout: float | None) -> None:
        self._reactor = reactor
        self._attempt = attempt
        self._timeout = timeout
        self.put = attempt.put
        self.delete = attempt.delete

    @overload
    def get(self, name: Key) -> bytes | None: ...
    @overload
    def get(self, name: Key, default: D) -> bytes | D: ...
    def get(self, name: Key, default: Any = None) -> Any:
        """Its value, as this function has last written it, or as it was."""
        key, attempt = as_bytes(name), self._attempt
        if not attempt.known(key):
            attempt.note(key, self._reactor.do(attempt.request(key, self._timeout)))
        value = attempt.value(key)
        return default if value is None else value


class Watch:
    """An iterator of events, and a context manager. It resumes by itself where it stood.

    raises  Compacted: what it would have to be told next is gone; PermissionDenied and others that end it
    """

    def __init__(self, reactor: Reactor, options: WatchOptions, timeout_s: float) -> None:
        self._reactor = reactor
        self._watcher = watcher = reactor.do(AddWatch(options))
        self._finalizer = weakref.finalize(self, _forget_watcher, reactor, watcher)
        self._finalizer.atexit = False
        try:
            self.created_revision: int = reactor.do(Ask(lambda core: watcher.created, timeout_s or None))
        except TimeoutError:
            self.close()
            raise DeadlineExceeded("the watch could not be created in time") from None
        except BaseException:
            self.close()
            raise

    @property
    def next_revision(self) -> int:
        """Where it would be resumed."""
        return self._watcher.next_revision

    def get(self, timeout: float | None = None) -> Event:
        """The next event. raises TimeoutError: there was none in so many seconds; ClientClosed: the watch is closed"""
        event = self._next(timeout)
        if event is None:
            raise ClientClosed("the watch is closed")
        return event

    def request_progress(self) -> None:
        """Asks for an event of type PROGRESS now; for a watch with progress=True."""
        self._reactor.enter(lambda core: core.watches.request_progress())

    def close(self) -> None:
        """Ends it; an iteration that waits ends, too."""
        self._finalizer.detach()
        watcher = self._watcher
        if watcher.core is self._reactor.core and not watcher.core.closed:
            self._reactor.enter(lambda core: core.watches.remove(watcher))

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self._next(None)
        if event is None:
            raise StopIteration
        return event

    def _next(self, timeout: float | None) -> Event | None:
        events: deque[Event] = self._watcher.events
        try:
            return events.popleft()
        except IndexError:
            return self._reactor.do(Ask(self._take, timeout, self._watcher.put_back))

    def _take(self, core: Core) -> Pending[Event | None]:
        if self._watcher.core is not core:
            raise ClientClosed("the watch is another process's")
        return self._watcher.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _forget_watcher(reactor: Reactor, watcher: Watcher) -> None:
    """Of a watch that nobody has any more."""
    if watcher.core is reactor.core:
        reactor.soon(lambda core: core.watches.remove(watcher))


class Lease:
    """A lease. As a context manager it is revoked at the end. lost: set once it has run out or is revoked elsewhere."""

    def __init__(self, reactor: Reactor, id: int, ttl: int, on_lost: Callable[[], object] | None = None) -> None:
        self.id = id
        self.ttl = ttl
        self.lost = threading.Event()
        self._reactor = reactor
        self._on_lost = on_lost
        self._kept: KeptLease | None = None

    def _keep_alive(self, since: float) -> None:
        def add(core: Core) -> KeptLease:
            return core.keep_alives.add(self.id, self.ttl, self._lose, since)

        self._kept = self._reactor.enter(add)

    def _lose(self) -> None:
        self.lost.set()
        if self._on_lost is not None:
            threading.Thread(target=self._on_lost, name="etcdz-lease-lost", daemon=True).start()

    def close(self) -> None:
        """Kept alive no longer: it runs out by itself."""
        kept, self._kept = self._kept, None
        if kept is not None:
            self._reactor.enter(lambda core: core.keep_alives.remove(kept))

    def revoke(self, *, timeout: float | None = None) -> None:
        """Ends it at once, and its keys go. Nothing if it has ended already."""
        self.close()
        try:
            self._reactor.do(operations.revoke(self.id, timeout))
        except LeaseNotFound:
            pass

    def time_to_live(self, *, keys: bool = False, timeout: float | None = None) -> TimeToLive:
        return self._reactor.do(operations.time_to_live(self.id, keys=keys, timeout=timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self.revoke()
        except EtcdError:
            if error is None:
                raise


class Lock:
    """A lock, and a context manager that acquires it. lost: set if its lease has run out meanwhile."""

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

    def acquire(self, timeout: float | None = None) -> None:
        """timeout: seconds; 0: now or not at all; None: what the lock was made with. raises LockTimeout"""
        self._enter(lambda place, limit: place.acquire(limit), timeout)

    def _enter(self, acquire: Callable[[Any, float | None], Work[None]], timeout: float | None) -> None:
        client = self._client
        lease = client.lease(self._ttl, on_lost=self._on_lost)
        try:
            place = self._kind(self._name, lease.id)
            client._reactor.run(acquire(place, self._timeout if timeout is None else timeout))
        except BaseException:
            lease.revoke()
            raise
        self._lease, self._place = lease, place

    def release(self) -> None:
        """Lets others have it. raises LockLost: it was lost before"""
        lease, place = self._lease, self._place
        self._lease = self._place = None
        if lease is None or place is None:
            raise LockLost("the lock is not held")
        was_lost = lease.lost.is_set()
        lease.revoke()
        if was_lost:
            raise LockLost("the lease of the lock has run out")

    @property
    def lost(self) -> threading.Event:
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

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self.release()
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

    def acquire(self, timeout: float | None = None) -> None:
        self.campaign(self._value if self._value is not None else b"", timeout)

    def campaign(self, value: Key, timeout: float | None = None) -> None:
        """Returns when it leads. raises LockTimeout"""
        self._enter(lambda place, limit: place.campaign(value, limit), timeout)

    def proclaim(self, value: Key) -> None:
        """Another value, without a new election. raises NotLeading, LockLost"""
        place = self._held_place()
        assert isinstance(place, Candidate)
        self._client._reactor.run(place.proclaim(value))

    def resign(self) -> None:
        """Another leads from now on."""
        self.release()

    def leader(self) -> KeyValue | None:
        """The leader's key and value; None: nobody leads."""
        return self._client._reactor.run(operations.leader(self._name))

    def observe(self) -> Iterator[KeyValue]:
        """All leaders from now on, and what each proclaims."""
        observation = Observation(self._name)
        while True:
            yield self._client._reactor.run(observation.next())


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
    """A client for threads.

    endpoints       "https://a:2379,b:2379", a list, or None: what variables as of etcdctl say, ETCDCTL_ENDPOINTS etc.
    ca, cert        files in PEM: whom to trust; certificate and key to show
    user, password  of a login, renewed by itself
    token           a JWT of one's own instead
    timeout         seconds of a call that names none; 0: none
    keepalive_*     silence in seconds after which a sign of life is asked for; how long it may take
    auto_sync       seconds between two looks at which endpoints the members advertise; 0: those given stay
    discovery_srv   a domain whose SRV records (_etcd-client-ssl._tcp, _etcd-client._tcp) say the endpoints
    discovery_srv_name      what else is in the names of these records: _etcd-client-NAME._tcp
    insecure_discovery      False: only those with https, and certificates for the domain
    raises          ValueError: these contradict each other; OSError: there are no such records
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
