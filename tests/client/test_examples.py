"""What the client is promised to look like, by both shells, on etcdz and on etcd 3.5.1; what docs/client.md shows."""

import asyncio
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import etcdz
from etcdz.client import get, key, put
from etcdz.client.errors import (
    ClientClosed,
    Compacted,
    EmptyKey,
    EtcdError,
    LeaseNotFound,
    LockLost,
    LockTimeout,
    NotLeading,
    Unavailable,
)
from etcdz.client.results import DELETE, PROGRESS, PUT
from etcdz.embed import ports
from tests.bench import client_worker
from tests.cluster_process import until
from tests.etcd_process import Member

pytestmark = pytest.mark.process


@contextmanager
def nobodys_address() -> Iterator[str]:
    """host:port where nobody listens meanwhile."""
    with ports.hold() as held:
        yield f"127.0.0.1:{ports.port_of(held)}"


# ---- keys ----


def test_put_get_and_delete(db: Any) -> None:
    with db.lease(ttl=60) as lease:
        db.put("k", "v0")
        assert db.put("k", "v", lease=lease, prev=True).prev.value == b"v0"
        kv = db.get("k")
        assert (kv.value, kv.text, kv.version, kv.lease) == (b"v", "v", 2, lease.id)
        assert kv.mod_revision > kv.create_revision
        assert db.get("nope") is None
        assert db.get("k", at=kv.create_revision).value == b"v0"
        assert db.delete("k", prev=True).prev[0].value == b"v"
        assert db.delete("k").deleted == 0


def test_a_range_of_any_size_is_read_at_one_revision(db: Any) -> None:
    for number in range(150):
        db.put(f"svc/{number:03}", b"x" * 20_000)
    kvs = db.range(prefix="svc/")
    first = next(kvs)
    db.put("svc/zzz", "late")
    assert [first.key, *[kv.key for kv in kvs]] == [b"svc/%03d" % number for number in range(150)]
    assert [kv.value for kv in db.range(prefix="svc/", keys_only=True, limit=3)] == [b""] * 3
    assert db.count(prefix="svc/") == 151
    assert [kv.key for kv in db.page(prefix="svc/", sort="mod", order="descend", limit=1).kvs] == [b"svc/zzz"]


def test_transactions(db: Any) -> None:
    db.put("b", "0")
    ok = db.txn(key("a").version == 0, key("b").value == b"1").then(put("a", "1")).otherwise(get("b")).commit()
    assert not ok.succeeded and ok.results[0].kvs[0].text == "0"
    ok = db.txn(key("a").version == 0, key("b").value == b"0").then(put("a", "1"), get("a")).commit()
    assert ok.succeeded and ok.results[1].kvs[0].mod_revision == ok.revision


def test_errors_are_classes_of_their_own(db: Any) -> None:
    with pytest.raises(EmptyKey) as caught:
        db.put("", "v")
    assert isinstance(caught.value, EtcdError)
    assert caught.value.text == "etcdserver: key is not provided" and not caught.value.maybe_applied
    with pytest.raises(LeaseNotFound):
        db.put("k", "v", lease=7)
    revision = db.put("k", "v").revision
    db.put("k", "w")
    db.compact(revision + 1)
    with pytest.raises(Compacted):
        db.get("k", at=revision)


def test_keys_with_asyncio(run: Any) -> None:
    async def work(db: Any) -> None:
        await asyncio.gather(*[db.put(f"k{number:03}", "v") for number in range(200)])
        assert len([kv async for kv in db.range(prefix="k")]) == 200
        assert (await db.get("k007")).text == "v"
        assert await db.get("nope") is None
        ok = await db.txn(key("k007").version == 1).then(put("a", "1")).commit()
        assert ok.succeeded
        with pytest.raises(EmptyKey):
            await db.put("", "v")
        assert (await db.delete(prefix="k")).deleted == 200

    run(work)


def test_the_next_endpoint_is_tried(member: Member) -> None:
    with nobodys_address() as dead:
        with etcdz.connect([dead, member.target]) as db:
            for _ in range(5):
                db.put("k", "v")
        with etcdz.connect(dead) as db, pytest.raises(Unavailable) as caught:
            db.get("k")
    assert dead in caught.value.text


# ---- watches ----


def test_a_watch(db: Any) -> None:
    revision = db.put("svc/a", "0").revision
    with db.watch(prefix="svc/", start=revision, prev=True, progress=True) as events:
        db.put("svc/a", "1")
        db.delete("svc/a")
        found = [events.get(60) for _ in range(3)]
        assert [(event.type, event.key, event.value) for event in found] == [
            (PUT, b"svc/a", b"0"),
            (PUT, b"svc/a", b"1"),
            (DELETE, b"svc/a", b""),
        ]
        assert found[2].prev.value == b"1"
        events.request_progress()
        assert events.get(60).type == PROGRESS
        with pytest.raises(TimeoutError):
            events.get(0.01)


def test_a_watch_that_is_closed_elsewhere_ends(db: Any) -> None:
    with db.watch("k") as events:
        threading.Timer(0.05, events.close).start()
        assert list(events) == []


def test_a_watch_from_what_is_compacted_raises(db: Any) -> None:
    revision = [db.put("k", "v").revision for _ in range(3)][1]
    db.compact(revision)
    with pytest.raises(Compacted) as caught, db.watch("k", start=1) as events:
        events.get(60)
    assert caught.value.compact_revision == revision


def test_filters_and_large_batches(db: Any) -> None:
    with db.watch(prefix="", puts=False) as deletes, db.watch(prefix="", deletes=False) as puts:
        db.txn().then(*[put(f"k{number:03}", b"x" * 10_000) for number in range(100)]).commit()
        db.delete(prefix="")
        assert {puts.get(60).type for _ in range(100)} == {PUT}
        assert {deletes.get(60).type for _ in range(100)} == {DELETE}


def test_a_watch_with_asyncio(run: Any) -> None:
    async def work(db: Any) -> None:
        async with db.watch(prefix="svc/") as events:
            await db.put("svc/a", "1")
            await db.delete("svc/a")
            found = []
            async for event in events:
                found.append(event.type)
                if event.type == DELETE:
                    break
            assert found == [PUT, DELETE]
            with pytest.raises(TimeoutError):
                await events.get(0.01)

    run(work)


# ---- leases ----


def test_a_lease_is_revoked_at_the_end(db: Any) -> None:
    with db.lease(ttl=60) as lease:
        db.put("me", "up", lease=lease)
        left = lease.time_to_live(keys=True)
        assert 0 < left.ttl <= 60 and left.keys == (b"me",)
        assert lease.id in db.leases()
    assert db.get("me") is None
    assert db.time_to_live(lease).ttl == -1


def test_who_holds_a_lease_is_told_when_it_is_lost(db: Any) -> None:
    told = threading.Event()
    with db.lease(ttl=2, on_lost=told.set) as lease:
        with suppress(LeaseNotFound):  # a machine that stood still for a moment: then it is lost of itself
            db.revoke(lease)
        assert told.wait(60) and lease.lost.is_set()


def test_a_lease_with_asyncio(run: Any) -> None:
    async def work(db: Any) -> None:
        told = asyncio.Event()
        async with db.lease(ttl=2, on_lost=told.set) as lease:
            with suppress(LeaseNotFound):  # as above
                await db.put("me", "up", lease=lease)
                await db.revoke(lease)
            await told.wait()
            assert lease.lost.is_set()
        assert await db.get("me") is None

    run(work)


# ---- locks and elections ----


def test_a_lock_excludes_others_and_fences_writes(db: Any) -> None:
    with db.lock("job", ttl=10, timeout=60) as lock:
        held = lock.held
        assert db.txn(held).then(put("x", "1")).commit().succeeded
        with pytest.raises(LockTimeout), db.lock("job", timeout=0.1):
            pass
        with pytest.raises(TimeoutError), db.lock("job", timeout=0):
            pass
        assert db.count(prefix="job/") == 1
    assert not db.txn(held).then(put("x", "2")).commit().succeeded
    with pytest.raises(LockLost):
        _ = lock.held


def test_a_lock_whose_lease_is_gone_is_lost(db: Any) -> None:
    with pytest.raises(LockLost), db.lock("job", ttl=2) as lock:
        db.revoke(db.get(lock.key).lease)
        assert lock.lost.wait(60)
        with pytest.raises(LockLost):
            _ = lock.held


def test_who_waits_for_a_lock_gets_it_in_turn(db: Any) -> None:
    order: list[int] = []

    def work(number: int) -> None:
        with db.lock("job", timeout=120):
            order.append(number)
            order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    with db.lock("job"):
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(150)
    assert sorted(order[::2]) == [0, 1, 2, 3] and order[::2] == order[1::2]


def test_an_election(db: Any) -> None:
    seen = db.election("leader").observe()
    assert db.election("leader").leader() is None
    with db.election("leader", "me") as term:
        assert next(seen).text == "me"
        term.proclaim("x")
        assert next(seen).text == "x" == db.election("leader").leader().text
        with pytest.raises(LockTimeout):
            db.election("leader").campaign("you", timeout=0.1)
        db.delete(term.key)
        with pytest.raises(NotLeading):
            term.proclaim("y")


def test_a_lock_and_an_election_with_asyncio(run: Any) -> None:
    async def work(db: Any) -> None:
        async with db.lock("job", ttl=10) as lock:
            assert (await db.txn(lock.held).then(put("x", "1")).commit()).succeeded
            with pytest.raises(LockTimeout):
                await db.lock("job").acquire(timeout=0.1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(db.lock("job").acquire(), 0.1)
            assert await db.count(prefix="job/") == 1, "who was interrupted left the queue"
        async with db.election("leader", "me") as term:
            await term.proclaim("x")
            async for leader in db.election("leader").observe():
                assert leader.text == "x"
                break

    run(work)


# ---- recipes ----


@pytest.mark.parametrize("isolation", ["serializable_snapshot", "serializable", "repeatable_reads"])
def test_stm_loses_no_increment(db: Any, isolation: str) -> None:
    def work() -> None:
        for _ in range(10):
            db.stm(lambda t: t.put("n", str(int(t.get("n", "0")) + 1)), isolation=isolation)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert db.get("n").text == "40"


def test_stm_reads_its_own_writes_and_writes_nothing_if_it_raises(db: Any) -> None:
    def work(t: Any) -> Any:
        t.put("a", "1")
        t.delete("b")
        return t.get("a"), t.get("b", "gone"), t.get("c")

    db.put("b", "0")
    assert db.stm(work) == (b"1", "gone", None)
    assert (db.get("a").text, db.get("b")) == ("1", None)

    def fail(t: Any) -> None:
        t.put("a", "2")
        raise KeyError

    with pytest.raises(KeyError):
        db.stm(fail)
    assert db.get("a").text == "1"


def test_a_queue(db: Any, run: Any) -> None:
    queue = db.queue("q")
    for number in range(3):
        queue.put(f"{number}")
    assert [queue.get() for _ in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(TimeoutError):
        queue.get(timeout=0.05)
    threading.Timer(0.1, queue.put, [b"x"]).start()
    assert queue.get(timeout=60) == b"x"

    async def work(db: Any) -> None:
        async def add(t: Any) -> None:
            t.put("n", str(int(await t.get("n", "0")) + 1))

        await asyncio.gather(*[db.stm(add) for _ in range(5)])
        assert (await db.get("n")).text == "5"
        waiting = asyncio.create_task(db.queue("q").get())
        await db.queue("q").put("y")
        assert await waiting == b"y"

    run(work)


# ---- the cluster ----


def test_a_snapshot_is_a_whole_file_or_none(db: Any, run: Any, tmp_path: Path) -> None:
    for number in range(30):
        db.put(f"k{number}", b"x" * 50_000)
    size = db.maintenance.snapshot(tmp_path / "a.db")
    assert size == (tmp_path / "a.db").stat().st_size > 1_000_000

    async def work(db: Any) -> None:
        assert await db.maintenance.snapshot(tmp_path / "b.db") > 1_000_000

    run(work)
    with nobodys_address() as dead, etcdz.connect(dead) as nobody, pytest.raises(Unavailable):
        nobody.maintenance.snapshot(tmp_path / "c.db")
    assert sorted([path.name for path in tmp_path.iterdir()]) == ["a.db", "b.db"]


def test_members_and_upkeep(db: Any, member: Member) -> None:
    (known,) = db.members.list()
    status = db.maintenance.status()
    assert status.leader == known.id == status.member_id
    assert db.maintenance.hash_kv().revision >= 1
    assert db.maintenance.alarms() == [] == db.maintenance.disarm()
    assert not db.auth.status().enabled
    db.auth.role_add("r")
    db.auth.role_grant_permission("r", "READ", prefix="a")
    assert db.auth.role_get("r") == [("READ", b"a", b"b")]
    db.auth.role_delete("r")
    assert db.sync_endpoints() == known.client_urls
    assert db.put("k", "v").revision > 1


# ---- threads ----


def test_threads_whose_calls_follow_each_other_closely_never_read_at_once(db: Any) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(400):
                db.get("k", timeout=120)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
    finally:
        sys.setswitchinterval(interval_s)
    assert raised == []


# ---- ends ----


def test_close_ends_the_thread_the_connections_and_calls_that_wait(member: Member) -> None:
    before = set(threading.enumerate())
    fds = len(os.listdir("/proc/self/fd"))
    caught: list[BaseException] = []
    for _ in range(20):
        db = etcdz.connect(member.target)
        events = db.watch("k")

        def wait(events: Any = events) -> None:
            try:
                next(events)
            except ClientClosed as error:
                caught.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        db.close()
        waiting.join(60)
        with pytest.raises(ClientClosed):
            db.put("k", "v")
    assert len(caught) == 20
    assert {thread for thread in threading.enumerate() if "dial" not in thread.name} <= before
    # Those of dials that a close has overtaken end when their threads do.
    until(lambda: len(os.listdir("/proc/self/fd")) <= fds, 60, lambda: f"{fds} before")


def test_a_client_that_is_forgotten_is_closed(member: Member) -> None:
    before = set(threading.enumerate())
    db = etcdz.connect(member.target)
    db.put("k", "v")
    (thread,) = [each for each in set(threading.enumerate()) - before if each.name == "etcdz-client"]
    del db
    thread.join(60)
    assert not thread.is_alive()


def test_after_a_fork_both_processes_go_on(db: Any) -> None:
    events = db.watch("k")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert db.put("k", "child").revision
            with pytest.raises(ClientClosed):
                events.get(60)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    assert events.get(60).text == "child"
    assert db.put("k", "parent").revision


# ---- what is measured ----


@pytest.mark.parametrize("tasks", [0, 10])
def test_the_measurement_of_a_call_runs(member: Member, tasks: int, capsys: pytest.CaptureFixture[str]) -> None:
    for operation in ("put", "get"):
        client_worker.main(["etcdz", member.target, operation, "20", str(tasks)])
        per_second, cpu_us = map(float, capsys.readouterr().out.split())
        assert per_second > 0 and cpu_us > 0


# ---- docs ----

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
_CONNECT = 'etcdz.connect("https://a:2379,b:2379", ca="ca.pem", user="u", password="p")'


def test_the_code_of_the_page_runs(db: Any, member: Member) -> None:
    text = PAGE.read_text()
    assert _CONNECT in text
    text = text.replace(_CONNECT, "connect()").replace("127.0.0.1:2379", member.target)
    scope: dict[str, Any] = {"connect": lambda: etcdz.connect(member.target)}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), scope)
