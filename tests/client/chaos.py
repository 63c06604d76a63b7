"""A cluster by TLS with users, a paced load by both shells, and whether what the clients saw is what the store has.

with SecureCluster(tmp_path) as cluster, Load(cluster.connect_all()) as load:
    load.go_on(60)                      # until so many more calls have been made
    cluster.kill(...)
load.check()

What is promised: no read fails; a write fails only if it may have been applied; no write is applied twice; a watch
tells each change once, in order; a lease is not lost; a mirror is what the range is.
"""

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import psutil

import etcdz
from etcdz.client import aio
from etcdz.client.errors import EtcdError
from etcdz.embed import Member, ports
from etcdz.testing.certificates import Authority, Issued

PATIENCE_S: Final = 240.0
"""Of one call, and of whatever is waited for: many times what it takes."""
PREFIX: Final = "w/"


class SecureCluster:
    """Three members; clients need a certificate and a login."""

    def __init__(self, directory: Path) -> None:
        self._authority = Authority(directory / "pki")
        self._serial = itertools.count()
        self._server = self._issue("server")
        self._own = self._issue("client")
        self._undo = ExitStack()
        names = ("m0", "m1", "m2")
        peers = {name: self._url("http") for name in names}
        self.members = [
            Member(
                name=name,
                data_dir=directory / name,
                listen_client=self._url("https"),
                listen_peer=peers[name],
                initial_cluster=peers,
                cert_file=self._server.cert,
                key_file=self._server.key,
                trusted_ca_file=self._authority.ca,
                client_cert_auth=True,
                bcrypt_cost=4,
                election_timeout=2000,
                heartbeat_interval=100,
                unsafe_no_fsync=True,
            )
            for name in names
        ]

    def _url(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{ports.port_of(self._undo.enter_context(ports.hold()))}"

    def _issue(self, name: str) -> Issued:
        return self._authority.issue(name, ips=["127.0.0.1"])

    def __enter__(self) -> Self:
        for member in self.members:
            self._undo.callback(member.close)
            member.launch()
        for member in self.members:
            member.ready(PATIENCE_S)
        with self._connected(etcdz.connect) as db:
            db.auth.user_add("root", "secret")
            db.auth.user_add("u", "p")
            db.auth.role_add("r")
            db.auth.role_grant_permission("r", "READWRITE", prefix="")
            db.auth.user_grant_role("u", "r")
            db.auth.user_grant_role("root", "root")
            db.auth.enable()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._undo.close()

    # ---- clients ----

    def _connected(self, connect: Callable[..., Any], members: list[Member] | None = None, **login: str) -> Any:
        endpoints = [member.client_url for member in members or self.members]
        pair = (str(self._own.cert), str(self._own.key))
        return connect(endpoints, ca=str(self._authority.ca), cert=pair, timeout=PATIENCE_S, **login)

    def connect(self, connect: Callable[..., Any] = etcdz.connect) -> Any:
        """As a user that may read and write all keys."""
        return self._connected(connect, user="u", password="p")

    def root(self, *members: Member) -> Any:
        return self._connected(etcdz.connect, list(members) or None, user="root", password="secret")

    # ---- what happens to it ----

    def leader(self) -> Member:
        while True:
            for member in self.members:
                if member.running:
                    with self.root(member) as db:
                        status = db.maintenance.status()
                        if status.leader == status.member_id:
                            return member
            time.sleep(0.1)

    def move_leader(self) -> None:
        again_until_done(self._move_leader)

    def _move_leader(self) -> None:
        with self.root(self.leader()) as db:
            own = db.maintenance.status().member_id
            others = [each.id for each in db.members.list() if each.id != own]
            db.maintenance.move_leader(others[0])

    def kill_actor(self, member: Member, kind: str) -> None:
        for row in member.actors.ps():
            if row["name"].startswith(kind) and row["pid"]:
                member.actors.kill(row["name"])

    def end_tokens(self) -> None:
        """Of the user: all members forget them."""
        again_until_done(self._change_password)

    def _change_password(self) -> None:
        with self.root() as db:
            db.auth.user_change_password("u", "p")

    def rotate_certificates(self) -> None:
        """All files are others, and all connections are made anew."""
        self._issue("server")
        self._issue("client")
        for member in self.members:
            self.kill_actor(member, "listener")

    @contextmanager
    def stopped(self, member: Member) -> Iterator[None]:
        """All of its processes stand still."""
        supervisor = psutil.Process(member.pid)
        processes = [supervisor, *supervisor.children(recursive=True)]
        _send(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            _send(reversed(processes), signal.SIGCONT)


def _send(processes: Iterable[psutil.Process], signum: signal.Signals) -> None:
    """To those that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)


def again_until_done(order: Callable[[], None]) -> None:
    """On a busy machine an election, or a process that has just ended, may be in its way at any moment."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return order()
        except EtcdError:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(0.1)


class Write(NamedTuple):
    """error: None, it was acknowledged at that revision"""

    key: str
    revision: int
    error: EtcdError | None


class Load:
    """Reads and writes by a client for threads and one for asyncio, at so many calls a second in all."""

    def __init__(self, cluster: SecureCluster, per_s: float, workers: int = 4) -> None:
        self._cluster = cluster
        self._pause_s = 2 * workers / per_s
        self._workers = workers
        self._ending = threading.Event()
        self._made = threading.Semaphore(0)
        self._writes: list[Write] = []
        self._failed: list[BaseException] = []
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        enter = self._undo.enter_context
        self.db = db = enter(self._cluster.connect())
        self.lease = enter(db.lease(ttl=600))
        self.start = db.put("begin", "").revision
        self.events = enter(db.watch(prefix=PREFIX, start=self.start))
        self.mirror = enter(db.mirror(prefix=PREFIX, timeout=PATIENCE_S))
        works = [lambda number=number: self._work(number) for number in range(self._workers)]
        self._threads = [threading.Thread(target=work) for work in (*works, self._in_loop)]
        for thread in self._threads:
            thread.start()
        self._undo.callback(self._stop)
        return self

    def _stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def go_on(self, calls: int) -> None:
        """Returns when so many more have been made. raises what a call has raised that it may not"""
        for _ in range(calls):
            assert self._made.acquire(timeout=PATIENCE_S), self._failed
        self._raise()

    def _raise(self) -> None:
        if self._failed:
            raise self._failed[0]

    # ---- calls ----

    def _work(self, worker: int) -> None:
        try:
            for number in itertools.count():
                key = f"{PREFIX}t{worker}/{number}"
                self._wrote(key, lambda key=key: self.db.put(key, "v").revision)
                self._saw(key, self.db.get(key))
                if self._ending.wait(self._pause_s):
                    return
        except BaseException as error:
            self._failed.append(error)

    def _wrote(self, key: str, put: Callable[[], int]) -> None:
        try:
            self._note(Write(key, put(), None))
        except EtcdError as error:
            self._note(Write(key, 0, error))

    def _note(self, write: Write) -> None:
        self._writes.append(write)
        self._made.release()
        if write.error is not None and not write.error.maybe_applied:
            raise write.error

    def _saw(self, key: str, kv: Any) -> None:
        self._made.release()
        write = next(each for each in reversed(self._writes) if each.key == key)
        if write.error is None:
            assert kv is not None and kv.mod_revision == write.revision, f"{write} is not what is read: {kv}"

    def _in_loop(self) -> None:
        try:
            asyncio.run(self._all_tasks())
        except BaseException as error:
            self._failed.append(error)

    async def _all_tasks(self) -> None:
        async with self._cluster.connect(aio.connect) as db:
            await asyncio.gather(*[self._task(db, number) for number in range(self._workers)])

    async def _task(self, db: Any, worker: int) -> None:
        for number in itertools.count():
            key = f"{PREFIX}a{worker}/{number}"
            try:
                self._note(Write(key, (await db.put(key, "v")).revision, None))
            except EtcdError as error:
                self._note(Write(key, 0, error))
            self._saw(key, await db.get(key))
            await asyncio.sleep(self._pause_s)
            if self._ending.is_set():
                return

    # ---- what is true in the end ----

    def check(self) -> str:
        """Ends the calls, and holds everything against everything. return how many writes there were, in words"""
        self._stop()
        self._raise()
        assert not self.lease.lost.is_set()
        end = self.db.put(f"{PREFIX}end", "").revision
        there = {kv.key.decode(): kv for kv in self.db.range(prefix=PREFIX)}
        self._check_writes(there)
        told = []
        while not told or told[-1].revision < end:
            told.append(self.events.get(PATIENCE_S))
        changes = sorted([(kv.mod_revision, name) for name, kv in there.items()])
        assert [(event.revision, event.key.decode()) for event in told] == changes, "each change once, and in order"
        self.mirror.wait(end, PATIENCE_S)
        assert {kv.key.decode(): kv for kv in self.mirror.values()} == there
        lost = sum([write.error is not None for write in self._writes])
        return f"{len(self._writes)} writes, of which {lost} may have been applied"

    def _check_writes(self, there: dict[str, Any]) -> None:
        assert {kv.version for kv in there.values()} == {1}, "no write was applied twice"
        for write in self._writes:
            kv = there.get(write.key)
            if write.error is None:
                assert kv is not None and kv.mod_revision == write.revision
