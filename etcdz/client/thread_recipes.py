"""Recipes of the client for threads: queues, barriers, mirrors. Each method blocks until it has its result."""

import random
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from etcdz.client.barriers import BarrierKey, DoubleBarrierPlace
from etcdz.client.errors import ClientClosed, EtcdError
from etcdz.client.keys import Key, as_bytes
from etcdz.client.mirrors import MirrorContents
from etcdz.client.pending import Ask
from etcdz.client.queues import PriorityQueuePlaces, QueuePlaces
from etcdz.client.reactor import Reactor
from etcdz.client.results import KeyValue

_system_random: Final = random.SystemRandom()


class Queue:
    """Entries in the order in which they were put; each is got once."""

    def __init__(self, reactor: Reactor, name: Key) -> None:
        self._reactor = reactor
        self._places = QueuePlaces(name)

    def put(self, value: Key) -> None:
        self._reactor.run(self._places.put(value, _system_random.getrandbits(64)))

    def get(self, timeout: float | None = None) -> bytes:
        """The oldest entry; waits for one. raises TimeoutError"""
        return self._reactor.run(self._places.get(timeout))


class PriorityQueue:
    """Entries in the order of their priorities, and among equals in which they were put; each is got once."""

    def __init__(self, reactor: Reactor, name: Key) -> None:
        self._reactor = reactor
        self._places = PriorityQueuePlaces(name)

    def put(self, value: Key, priority: int) -> None:
        """priority: 0 to 65535; lower ones are got first. raises ValueError: it is not"""
        self._reactor.run(self._places.put_first(value, priority))

    def get(self, timeout: float | None = None) -> bytes:
        """The first entry; waits for one. raises TimeoutError"""
        return self._reactor.run(self._places.get(timeout))


class Barrier:
    """Who waits goes on when nobody holds it."""

    def __init__(self, reactor: Reactor, name: Key) -> None:
        self._reactor = reactor
        self._key = BarrierKey(name)

    def hold(self) -> None:
        """NB: it outlives its holder. raises KeyExists: it is held already"""
        self._reactor.run(self._key.hold())

    def release(self) -> None:
        """All that wait go on."""
        self._reactor.run(self._key.release())

    def wait(self, timeout: float | None = None) -> None:
        """Returns at once if nobody holds it. raises TimeoutError"""
        self._reactor.run(self._key.wait(timeout))


class DoubleBarrier:
    """So many clients enter together and leave together. As a context manager: enter, leave."""

    def __init__(self, reactor: Reactor, name: Key, count: int, make_lease: Callable[[], Any]) -> None:
        """make_lease: one that is kept alive: who dies holds nobody up for longer than its TTL"""
        self._reactor = reactor
        self._make = partial(DoubleBarrierPlace, name, count)
        self._make_lease = make_lease
        self._lease: Any = None
        self._place: DoubleBarrierPlace | None = None

    def enter(self, timeout: float | None = None) -> None:
        """Returns when `count` clients have entered. raises TooManyClients; TimeoutError: it is out again"""
        lease = self._make_lease()
        try:
            place = self._make(lease.id)
            self._reactor.run(place.enter(timeout))
        except BaseException:
            lease.revoke()
            raise
        self._lease, self._place = lease, place

    def leave(self, timeout: float | None = None) -> None:
        """Returns when all have left. raises TimeoutError: this one has left, and waits for the others no longer"""
        lease, place = self._lease, self._place
        self._lease = self._place = None
        if place is None:
            raise EtcdError("the barrier was not entered")
        try:
            self._reactor.run(place.leave(timeout))
        finally:
            lease.revoke()

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            self.leave()
        elif self._lease is not None:
            with suppress(EtcdError):
                self._lease.revoke()


class Mirror(Mapping[Key, KeyValue]):
    """What is in a range, kept up to date by a thread of its own. Iteration is in the order of keys.

    raises  of all reads: EtcdError, if it is not kept up to date any more
    """

    def __init__(self, reactor: Reactor, key: bytes, range_end: bytes, timeout_s: float | None) -> None:
        self._reactor = reactor
        self._core = reactor.core
        self._contents = contents = MirrorContents(key, range_end)
        self._finalizer = weakref.finalize(self, _forget, reactor, contents)
        self._finalizer.atexit = False
        thread = threading.Thread(target=_follow, args=(reactor, contents), name="etcdz-mirror", daemon=True)
        thread.start()
        try:
            reactor.do(Ask(lambda core: contents.reached(1), timeout_s))
        except BaseException:
            self.close()
            raise

    @property
    def revision(self) -> int:
        """As of which it is."""
        return self._read().revision

    def wait(self, revision: int, timeout: float | None = None) -> None:
        """Returns when it is as new as that revision. raises TimeoutError"""
        self._read()
        self._reactor.run(self._contents.wait(revision, timeout))

    def close(self) -> None:
        """It is not kept up to date any more."""
        if self._finalizer.detach() is not None and self._reactor.core is self._core:
            self._reactor.enter(self._contents.stop)

    def _read(self) -> MirrorContents:
        if self._contents.error is not None:
            raise self._contents.error
        if self._reactor.core is not self._core:
            raise ClientClosed("the mirror is another process's")
        return self._contents

    def __getitem__(self, key: Key) -> KeyValue:
        return self._read().items[as_bytes(key)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(sorted(self._read().items))

    def __len__(self) -> int:
        return len(self._read().items)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _follow(reactor: Reactor, contents: MirrorContents) -> None:
    reactor.run(contents.follow())


def _forget(reactor: Reactor, contents: MirrorContents) -> None:
    """Of a mirror that nobody has any more."""
    reactor.soon(contents.stop)
