"""Passwords are hashed in threads: in turn between clients, bounded, and not for clients that have gone."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from actors.listener import password_worker
from actors.listener.login_backoff import FREE
from actors.listener.password_worker import PasswordWorker, hash_password, is_password, nobodys_hash


class Loop:
    """The listener's: `turn` runs what threads have handed over, waiting for one thing if there is none."""

    def __init__(self) -> None:
        self.handed: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        self.timers.append((seconds, do))

    def call_soon_from_thread(self, do: Callable[[], None]) -> None:
        self.handed.put(do)

    def turn(self) -> None:
        self.handed.get(timeout=60)()


class Job:
    def __init__(self, world: "World", client: str, name: str, username: str = "") -> None:
        self.world, self.client, self.name, self.username = world, client, name, username
        self.is_wanted = True

    def work(self) -> str:
        assert threading.current_thread() is not threading.main_thread()
        return self.name

    def on_worked(self, result: Any) -> None:
        self.world.done.append(result)

    def give_place(self) -> None:
        self.world.gave_place.append(self.name)


class World:
    def __init__(self) -> None:
        self.loop = Loop()
        self.worker = PasswordWorker(self.loop, threads=1)
        self.done: list[str] = []
        self.gave_place: list[str] = []

    def submit(self, client: str, name: str, username: str = "") -> Job:
        job = Job(self, client, name, username)
        assert self.worker.submit(job)  # type: ignore[arg-type]
        return job


def test_clients_take_turns() -> None:
    world = World()
    for number in range(3):
        world.submit("a", f"a{number}")
    world.submit("b", "b0")
    for _ in range(4):
        world.loop.turn()
    assert world.done == ["a0", "a1", "b0", "a2"]


def test_nothing_is_done_for_a_client_that_has_gone() -> None:
    world = World()
    world.submit("a", "a0")
    world.submit("a", "a1").is_wanted = False
    world.submit("a", "a2")
    world.loop.turn()
    world.loop.turn()
    assert (world.done, len(world.worker)) == (["a0", "a2"], 0)


def test_what_waits_is_bounded_for_all_and_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_worker, "JOBS_MAX", 5)
    monkeypatch.setattr(password_worker, "JOBS_EACH", 3)
    world = World()
    taken = [world.worker.submit(Job(world, client, "x")) for client in "aaaaabbbb"]  # type: ignore[arg-type]
    # The first of them is not waiting: it is being worked on.
    assert taken == [True, True, True, True, False, True, True, False, False]


def test_a_user_that_was_guessed_at_waits_and_others_do_not() -> None:
    world = World()
    for _ in range(FREE):
        world.worker.backoff.note_wrong("u", 1e12)
    world.worker.backoff.wait_s = lambda username, now: 0.5 if username == "u" and not waited else 0.0  # type: ignore[method-assign]
    waited: list[bool] = []
    world.submit("a", "guess", "u")
    world.submit("b", "other", "v")
    world.loop.turn()
    assert world.done == ["other"]
    [(seconds, go_on)] = world.loop.timers
    assert seconds == 0.5
    waited.append(True)
    go_on()
    world.loop.turn()
    assert (world.done, len(world.worker)) == (["other", "guess"], 0)


def test_who_has_most_jobs_makes_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_worker, "JOBS_MAX", 4)
    world = World()
    for number in range(5):  # the first is worked on
        world.submit("a", f"a{number}")
    world.submit("b", "b0")
    world.submit("c", "c0")
    assert world.gave_place == ["a4", "a3"]
    assert not world.worker.submit(Job(world, "b", "b1"))  # type: ignore[arg-type]  # it has as many as anybody then
    for _ in range(5):
        world.loop.turn()
    assert sorted(world.done) == ["a0", "a1", "a2", "b0", "c0"]


def test_guesses_that_wait_do_not_take_the_places_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_worker, "DELAYED_EACH", 2)
    monkeypatch.setattr(password_worker, "DELAYED_MAX", 3)
    world = World()
    for _ in range(FREE):
        world.worker.backoff.note_wrong("guessed", 1e12)
    for client in ("x", "y"):
        for number in range(3):
            world.submit(client, f"{client}{number}", "guessed")
    assert world.gave_place == ["x2", "y1", "y2"]
    assert len(world.worker) == 3
    world.submit("z", "other", "somebody else")
    world.loop.turn()
    assert world.done == ["other"]


def test_hashes_are_what_etcd_takes() -> None:
    hashed = hash_password(b"pass", 4)
    assert hashed.startswith(b"$2a$04$")
    assert is_password(b"pass", hashed) and not is_password(b"Pass", hashed)
    assert not is_password(b"pass", b"no hash") and not is_password(b"pass", b"")


def test_etcd_has_cut_what_is_too_long() -> None:
    hashed = hash_password(b"x" * 72, 4)
    assert is_password(b"x" * 80, hashed)


def test_nobodys_hash_is_checked_as_others_and_is_nobodys() -> None:
    import bcrypt

    assert bcrypt.checkpw(b"", nobodys_hash(4)) is False
    assert nobodys_hash(10).startswith(b"$2a$10$") and len(nobodys_hash(10)) == len(hash_password(b"x", 4))
