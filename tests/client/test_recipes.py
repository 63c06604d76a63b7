"""Recipes and views, by both shells, on etcdz and on etcd: what their users see, and where their keys are."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from etcdz.client import get, key, put, txn
from etcdz.client.errors import (
    ClientClosed,
    EmptyKey,
    EtcdError,
    KeyExists,
    LockTimeout,
    TooManyClients,
)
from etcdz.client.results import DELETE, PUT

pytestmark = pytest.mark.process
LONG_S = 120


@contextmanager
def started(*works: Callable[[], object]) -> Iterator[list[BaseException]]:
    """In a thread each; they have ended at the end. What they raise is told."""
    raised: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    yield raised
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()


def _keys(db: Any) -> list[bytes]:
    return [kv.key for kv in db.range(prefix="")]


def until_keys(db: Any, prefix: str, count: int) -> None:
    """So many are there."""
    with db.watch(prefix=prefix, start=1) as events:
        while db.count(prefix=prefix) < count:
            events.get(LONG_S)


# ---- barriers ----


def test_a_barrier_holds_up_who_waits(db: Any) -> None:
    barrier = db.barrier("b")
    barrier.wait(timeout=0)
    barrier.hold()
    assert _keys(db) == [b"b"]
    with pytest.raises(KeyExists):
        barrier.hold()
    with pytest.raises(TimeoutError):
        barrier.wait(timeout=0.05)
    with started(lambda: db.barrier("b").wait(LONG_S)) as raised:
        barrier.release()
    assert raised == []


def test_a_double_barrier_lets_all_in_and_out_together(db: Any) -> None:
    inside, go, outside = threading.Semaphore(0), threading.Event(), threading.Event()

    def work() -> None:
        with db.double_barrier("d", 3):
            inside.release()
            assert go.wait(LONG_S)
        outside.set()

    with started(work, work) as raised:
        until_keys(db, "d/waiters", 2)
        assert not inside.acquire(blocking=False)
        third = db.double_barrier("d", 3)
        third.enter(LONG_S)
        assert inside.acquire(timeout=LONG_S) and inside.acquire(timeout=LONG_S)
        with pytest.raises(TooManyClients):
            db.double_barrier("d", 3).enter(LONG_S)
        go.set()
        assert not outside.wait(0.05)
        third.leave(LONG_S)
    assert raised == [] and _keys(db) == []


def test_who_does_not_wait_any_longer_is_out_of_a_double_barrier(db: Any) -> None:
    leases = set(db.leases())
    with pytest.raises(TimeoutError):
        db.double_barrier("d", 2).enter(timeout=0.05)
    assert _keys(db) == []
    with pytest.raises(EtcdError, match="not entered"):
        db.double_barrier("d", 2).leave()
    with pytest.raises(ValueError):
        db.double_barrier("d", 0).enter()
    assert set(db.leases()) <= leases


# ---- locks that several hold ----


def test_readers_share_and_a_writer_is_alone(db: Any) -> None:
    lock = db.rwlock("r")
    with lock.read() as first, lock.read(timeout=LONG_S) as second:
        assert first.key.startswith(b"r/read/") and second.key != first.key
        with pytest.raises(LockTimeout):
            lock.write().acquire(timeout=0.05)
        with pytest.raises(LockTimeout):
            lock.write().acquire(timeout=0)
        assert db.txn(first.held, second.held).then(put("x", "1")).commit().succeeded
    with lock.write(timeout=LONG_S) as writer:
        assert writer.key.startswith(b"r/write/")
        for other in (lock.read(), lock.write()):
            with pytest.raises(LockTimeout):
                other.acquire(timeout=0.05)
    assert db.count(prefix="r/") == 0


def test_a_reader_waits_for_a_writer_that_came_before_it(db: Any) -> None:
    lock, order = db.rwlock("r"), []

    def hold(which: Any, name: str) -> None:
        with which:
            order.append(name)

    reader = lock.read()
    reader.acquire()
    with started(lambda: hold(lock.write(), "writer")):
        until_keys(db, "r/write", 1)
        with started(lambda: hold(lock.read(), "reader")):
            until_keys(db, "r/read", 2)
            reader.release()
    assert order == ["writer", "reader"]


def test_a_semaphore_is_for_so_many(db: Any) -> None:
    inside = []

    def work() -> None:
        with db.semaphore("s", 2, timeout=LONG_S):
            inside.append(1)
            assert len(inside) <= 2
            inside.pop()

    with db.semaphore("s", 2), db.semaphore("s", 2) as second:
        with pytest.raises(LockTimeout):
            db.semaphore("s", 2).acquire(timeout=0)
        assert db.txn(second.held).then(put("x", "1")).commit().succeeded
        with started(*[work] * 4) as raised:
            until_keys(db, "s/", 6)
            assert inside == []
            second.release()
            second.acquire(LONG_S)
    assert raised == []
    with pytest.raises(ValueError):
        db.semaphore("s", 0).acquire()


# ---- queues ----


def test_a_priority_queue(db: Any) -> None:
    queue = db.priority_queue("q")
    for value, priority in (("c", 7), ("a", 3), ("d", 7), ("b", 3), ("e", 65_535)):
        queue.put(value, priority)
    assert _keys(db)[:2] == [b"__q/00003", b"__q/00007"]
    assert _keys(db)[3:5] == [b"q/00003/%016d" % 0, b"q/00003/%016d" % 1]
    assert [queue.get() for _ in range(3)] == [b"a", b"b", b"c"]
    queue.put("d2", 7)
    queue.put("first", 0)
    assert [queue.get() for _ in range(4)] == [b"first", b"d", b"d2", b"e"]
    with pytest.raises(TimeoutError):
        queue.get(timeout=0.05)
    with pytest.raises(ValueError):
        queue.put("x", 65_536)
    with started(lambda: queue.put("late", 5)):
        assert queue.get(timeout=LONG_S) == b"late"


def test_many_put_into_a_priority_queue_at_once(db: Any) -> None:
    queue = db.priority_queue("q")

    def work(number: int) -> None:
        for entry in range(5):
            queue.put(f"{number} {entry}", 1)

    with started(*[lambda number=number: work(number) for number in range(3)]) as raised:
        pass
    assert raised == []
    found = [queue.get(timeout=LONG_S).decode().split() for _ in range(15)]
    for number in range(3):
        assert [entry for who, entry in found if who == str(number)] == list("01234")


# ---- namespaces ----


def test_all_keys_of_a_namespace_have_its_prefix_and_do_not_show_it(db: Any) -> None:
    db.put("k", "outside")
    app = db.namespace("app/")
    app.put("k", "1")
    assert app.put("k", "2", prev=True).prev.key == b"k"
    assert (app.get("k").key, app.get("k").text) == (b"k", "2")
    assert _keys(db) == [b"app/k", b"k"] and _keys(app) == [b"k"]
    assert [kv.key for kv in app.range("a", "z")] == [b"k"] == [kv.key for kv in app.range("a", b"\0")]
    assert app.count(prefix="") == 1
    done = (
        app.txn(key("k").version == 2, key(prefix="").version > 0)
        .then(put("l", "3"), get(prefix=""), txn(key("k").value == "2").then(get("l"), put("k", prev=True)))
        .commit()
    )
    assert done.succeeded and [kv.key for kv in done.results[1].kvs] == [b"k", b"l"]
    inner = done.results[2].results
    assert (inner[0].kvs[0].key, inner[1].prev.key) == (b"l", b"k")
    for refused in (lambda: app.put("", "v"), lambda: app.get(""), lambda: app.txn().then(put("", "v")).commit()):
        with pytest.raises(EmptyKey):
            refused()
    assert {kv.key for kv in app.delete(prefix="", prev=True).prev} == {b"k", b"l"}
    assert _keys(db) == [b"k"]


def test_what_is_made_in_a_namespace_is_in_it(db: Any) -> None:
    app = db.namespace("app/").namespace("x/")
    with app.watch(prefix="", prev=True) as events, app.lease(ttl=60) as lease:
        app.put("k", "1", lease=lease)
        db.put("y", lease=lease)
        app.delete("k")
        told = [events.get(LONG_S) for _ in range(2)]
        assert [(event.type, event.key) for event in told] == [(PUT, b"k"), (DELETE, b"k")]
        assert told[1].prev.key == b"k"
        app.put("k", "1", lease=lease)
        assert lease.time_to_live(keys=True).keys == (b"k",)
        assert len(db.time_to_live(lease, keys=True).keys) == 2
    with app.lock("job") as lock:
        assert lock.key.startswith(b"job/")
        assert app.txn(lock.held).then(put("x", "1")).commit().succeeded
        assert db.count(prefix="app/x/job/") == 1
    with app.election("leader", "me"):
        assert app.election("leader").leader().key.startswith(b"leader/")
    app.queue("q").put("v")
    assert app.queue("q").get() == b"v"
    app.stm(lambda t: t.put("n", "1"))
    with app.mirror(prefix="") as mirror:
        assert set(mirror) == {b"n", b"x"}
        mirror.wait(app.put("m").revision, LONG_S)
        assert mirror["m"].key == b"m"
    with app:
        pass
    assert app.put("k").revision, "the end of a view is not the client's"
    assert _keys(db.namespace("app/"))[0].startswith(b"x/")


def test_a_namespace_with_asyncio(run: Any) -> None:
    async def work(db: Any) -> None:
        app = db.namespace("app/")
        async with app.watch(prefix="") as events, app.lock("job") as lock:
            await app.put("k", "1")
            assert {(await events.get(LONG_S)).key for _ in range(2)} == {lock.key, b"k"}
        assert [kv.key async for kv in app.range(prefix="")] == [b"k"]
        assert [kv.key async for kv in db.range(prefix="")] == [b"app/k"]
        await app.close()
        assert (await app.get("k")).text == "1"

    run(work)


# ---- mirrors ----


def test_a_mirror_follows_its_range(db: Any) -> None:
    for number in range(100):
        db.put(f"svc/{number:02}", "old")
    db.put("a", "outside")
    with db.mirror(prefix="svc/") as cache:
        assert len(cache) == 100 and cache["svc/07"].text == "old" and "a" not in cache
        assert list(cache) == [b"svc/%02d" % number for number in range(100)]
        db.txn().then(put("svc/07", "new"), put("svc/x", "1")).commit()
        cache.wait(db.delete("svc/08").revision, LONG_S)
        assert (cache["svc/07"].text, cache[b"svc/x"].text, cache.get("svc/08")) == ("new", "1", None)
        revision = db.put("a", "again").revision
        cache.wait(revision, LONG_S)
        assert cache.revision >= revision, "nothing of its range was changed"
        with pytest.raises(TimeoutError):
            cache.wait(revision + 1000, timeout=0.05)
    with pytest.raises(ClientClosed):
        cache["svc/07"]


def test_a_mirror_of_one_key_and_of_none(db: Any) -> None:
    db.put("k", "1")
    with db.mirror("k") as one, db.mirror("nope") as none:
        assert (dict(one.items())[b"k"].text, len(none)) == ("1", 0)
        revision = db.put("kk", "2").revision
        one.wait(revision, LONG_S)
        none.wait(revision, LONG_S)
        assert (list(one), list(none)) == ([b"k"], [])


def mirror_of_all(db: Any) -> tuple[Any, threading.Thread]:
    """It and its thread. NB: that of a test before may not have ended yet."""
    before = set(threading.enumerate())
    cache = db.mirror(prefix="")
    (thread,) = [each for each in set(threading.enumerate()) - before if each.name == "etcdz-mirror"]
    return cache, thread


def test_a_mirror_that_is_closed_ends_who_waits_and_its_thread(db: Any) -> None:
    cache, thread = mirror_of_all(db)
    with started(lambda: cache.wait(1 << 40)) as raised:
        cache.close()
        cache.close()
    assert [type(each) for each in raised] == [ClientClosed]
    thread.join(LONG_S)
    assert not thread.is_alive()


def test_a_mirror_that_is_forgotten_ends(db: Any) -> None:
    cache, thread = mirror_of_all(db)
    del cache
    thread.join(LONG_S)
    assert not thread.is_alive()


def test_recipes_and_a_mirror_with_asyncio(run: Any) -> None:
    async def work(db: Any) -> None:
        barrier = db.barrier("b")
        await barrier.hold()
        waiting = asyncio.create_task(db.barrier("b").wait())
        await barrier.release()
        await waiting

        async def meet() -> None:
            async with db.double_barrier("d", 2):
                pass

        await asyncio.gather(meet(), meet())
        async with db.rwlock("r").read(), db.rwlock("r").read():
            with pytest.raises(LockTimeout):
                await db.rwlock("r").write().acquire(timeout=0)
        async with db.semaphore("s", 1), db.mirror(prefix="k") as cache:
            await db.priority_queue("q").put("v", 3)
            assert await db.priority_queue("q").get() == b"v"
            await cache.wait((await db.put("k", "1")).revision)
            await cache.wait((await db.put("x", "1")).revision)
            assert {name: kv.text for name, kv in cache.items()} == {b"k": "1"}
        with pytest.raises(ClientClosed):
            len(cache)

    run(work)


def test_what_was_promised_of_recipes_works_as_it_was_written(db: Any) -> None:
    db.namespace("app/")
    db.queue("q").put(b"x")
    db.barrier("b").wait()
    with db.rwlock("r").read():
        db.put("svc/a", "1")
    cache = db.mirror(prefix="svc/")
    rev = db.put("svc/a", "2").revision
    cache.wait(rev)
    assert cache["svc/a"].text == "2"
    cache.close()
