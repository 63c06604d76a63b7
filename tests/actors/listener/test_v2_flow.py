"""A flow of the v2 API's users: steps go to the backend and the password worker, and end with the client."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.exchange import Exchange
from actors.listener.password_worker import hash_password
from actors.listener.v2_auth import V2Auth
from etcdz.api import errors
from etcdz.api.errors import Code, EtcdError
from etcdz.ipc.messages import V2Guard
from etcdz.proto import etcdserverpb as pb
from etcdz.v2.answers import Position, encode_result
from etcdz.v2.auth_records import User
from etcdz.v2.store import AUTH, V2Store
from etcdz.wire.http1 import Header, Request
from etcdz.wire.request_target import Target
from tests.v2.auth_core import SILENT
from tests.v2.test_auth import basic

HASH = hash_password(b"right", 4).decode()


class Asked(Exchange):
    """A request for /v2/keys/a. status: of its answer; 0: there is none"""

    def __init__(self, authorization: str, remote: str = "10.0.0.1:5") -> None:
        headers = {b"authorization": authorization.encode()} if authorization else {}
        super().__init__(Request(1, b"GET", Target(b"/v2/keys/a", b""), headers, b""))
        self.status, self.body, self.gone, self.remote = 0, b"", False, remote

    @property
    def client(self) -> Any:
        return self

    @property
    def is_gone(self) -> bool:
        return self.gone

    def flush(self) -> None:
        pass

    def fail(self, error: Exception) -> None:
        raise error

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        self.status, self.body = status, body


class World:
    """reads: what the backend was asked, with who is told. jobs: of the password worker. wrong: whom it was told of"""

    def __init__(self) -> None:
        self.store = V2Store()
        self.reads: list[tuple[Any, str]] = []
        self.jobs: list[Any] = []
        self.wrong: list[str] = []
        self.is_full = False
        backoff = SimpleNamespace(note_wrong=lambda name, now: self.wrong.append(name), note_right=lambda name: None)
        calls: Any = SimpleNamespace(
            passwords=SimpleNamespace(submit=self._submit, backoff=backoff),
            read_v2=self._read,
            lose=lambda caller: None,
            members=SimpleNamespace(known=SimpleNamespace(cluster_id=1, version="3.5.0")),
        )
        self.auth = V2Auth(calls, SILENT)
        self.permitted: list[Exchange] = []
        for path, value in (("enabled", "true"), ("users/root", User("root", HASH).encode())):
            self.store.set(f"{AUTH}/{path}", value, 0, 0)

    def _submit(self, job: Any) -> bool:
        self.jobs.append(job)
        return not self.is_full

    def _read(self, caller: Any, method: int, body: bytes) -> EtcdError | None:
        self.reads.append((caller, pb.Request.FromString(body).Path))
        return errors.REQUEST_TOO_MANY_REQUESTS if self.is_full else None

    def ask(self, authorization: str, remote: str = "10.0.0.1:5") -> Asked:
        asked = Asked(authorization, remote)
        self.auth.permit_key(asked, False, lambda: self.permitted.append(asked))
        return asked

    def read_all(self) -> None:
        while self.reads:
            caller, path = self.reads.pop(0)
            caller.reply(0, 0, encode_result(self.store.get(path, False, False, 0), Position(1, 1), AUTH))

    def work(self) -> None:
        job = self.jobs.pop(0)
        job.on_worked(job.work())
        self.read_all()


@pytest.fixture
def world() -> World:
    return World()


def test_a_right_password_is_worked_on_once(world: World) -> None:
    for job_count in (1, 0):
        asked = world.ask(basic("root", "right"))
        world.read_all()
        assert len(world.jobs) == job_count
        if world.jobs:
            world.work()
        assert world.permitted.pop() is asked
    world.store.set(f"{AUTH}/users/root", User("root", hash_password(b"new", 4).decode()).encode(), 0, 0)
    asked = world.ask(basic("root", "right"))
    world.read_all()
    world.work()
    assert (asked.status, world.permitted) == (401, [])


def test_a_guess_has_nobody_wait_who_comes_from_elsewhere(world: World) -> None:
    for name, remote in (("root", "10.0.0.1:5"), ("nix", "10.0.0.2:7")):
        asked = world.ask(basic(name, "bad"), remote)
        world.read_all()
        world.work()
        assert asked.status == 401
    assert world.wrong == ["/2/root 10.0.0.1", "/2/nix 10.0.0.2"]


def test_what_fails_lets_nobody_in(world: World) -> None:
    asked = world.ask("")
    world.reads.pop()[0].reply(0, Code.UNAVAILABLE, b"etcdserver: request timed out")
    assert (asked.status, b"request timed out" in asked.body) == (500, True)
    world.is_full = True
    assert world.ask("").status == 500
    world.is_full = False
    asked = world.ask(basic("root", "right"))
    world.is_full = True
    world.read_all()
    assert (asked.status, world.permitted) == (500, [])


def test_nothing_goes_on_for_a_client_that_has_gone(world: World) -> None:
    def between_reads(asked: Asked) -> None:
        world.reads.clear()

    def at_the_password(asked: Asked) -> None:
        world.read_all()

    when: Callable[[Asked], None]
    for when in (between_reads, at_the_password):
        asked = world.ask(basic("root", "right"))
        when(asked)
        asked.gone = True
        asked.handler.on_gone()
        if world.jobs:
            world.work()
        assert (asked.status, world.permitted) == (0, [])


def test_nobody_is_asked_only_while_the_backend_of_now_has_said_so(world: World) -> None:
    world.ask("")
    assert world.reads and not world.permitted
    world.auth.on_guard(V2Guard(False))
    assert world.permitted == [world.ask("")]
    world.auth.on_backend_gone()
    world.ask("")
    assert len(world.permitted) == 1
