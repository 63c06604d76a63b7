"""Threads that hash and check passwords, so that the listener's loop does not: at the usual cost one takes 60 ms.

bcrypt works without the interpreter's lock. What waits is kept here, in the loop; a thread is given one job at a time.
Clients take turns, so that one with many logins holds up nobody else's, and when no more may wait, who has most of them
loses one to whoever has fewer. A job whose client has gone is dropped, and one whose user was guessed at waits
(login_backoff.py): such jobs have half of the places at most, since they cost who guesses nothing. Threads have a lower
priority than the loop, and any CPU: what is under way for others goes first.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, Protocol

from actors.listener.call import Caller
from actors.listener.login_backoff import LoginBackoff

THREADS: Final = min(4, os.cpu_count() or 1)
JOBS_MAX: Final = 256
"""Jobs that wait; what comes beyond is refused."""
JOBS_EACH: Final = 128
"""Of one client."""
DELAYED_MAX: Final = JOBS_MAX // 2
DELAYED_EACH: Final = 8
"""Of one client: jobs that wait for their user's time. Beyond these they are refused."""
NICENESS: Final = 10
PASSWORD_BYTES_MAX: Final = 72
"""bcrypt looks at no more. Longer ones are not hashed; etcd before 3.5.9 cut them, so that what is checked is cut."""
TOO_LONG: Final = "bcrypt: password length exceeds 72 bytes"


def hash_password(password: bytes, cost: int) -> bytes:
    """What bcrypt makes of it. Requires: at most PASSWORD_BYTES_MAX"""
    import bcrypt  # by the first who needs it: most members have no users

    return bcrypt.hashpw(password, bcrypt.gensalt(cost, b"2a"))


def is_password(password: bytes, hashed: bytes) -> bool:
    """Whether hashed was made of this password; False as well if it is no hash."""
    import bcrypt

    try:
        return bcrypt.checkpw(password[:PASSWORD_BYTES_MAX], hashed)
    except ValueError:
        return False


def nobodys_hash(cost: int) -> bytes:
    """A hash of no known password: to check against it takes as long as against that of a user that exists."""
    return b"$2a$%02d$" % cost + b"." * 53


class Job(Protocol):
    """One piece of work.

    client     whose turn it takes
    username   whose password is checked: it may have to wait; empty: nothing is checked
    is_wanted  whether anybody still waits for it
    """

    @property
    def client(self) -> Caller: ...
    @property
    def username(self) -> str: ...
    @property
    def is_wanted(self) -> bool: ...
    def work(self) -> Any:
        """In a thread: what is slow."""

    def on_worked(self, result: Any) -> None:
        """In the loop: what `work` has returned."""

    def give_place(self) -> None:
        """In the loop: too many wait, and it is not worked on any more."""


class Loop(Protocol):
    """What the worker needs of the listener."""

    def call_later(self, seconds: float, do: Callable[[], None]) -> None: ...
    def call_soon_from_thread(self, do: Callable[[], None]) -> None: ...


class PasswordWorker:
    """All jobs of one listener. len(): how many wait"""

    def __init__(self, loop: Loop, threads: int = THREADS) -> None:
        self._loop = loop
        self._threads = threads
        self._begun = 0
        self._running = 0
        """Jobs that threads have been given. Invariant: at most as many as threads."""
        self._given: SimpleQueue[Job] = SimpleQueue()
        self._turns: dict[Caller, deque[Job]] = {}
        """Jobs by client. Invariant: none is empty; the first client is the next."""
        self._delayed: dict[Caller, int] = {}
        """How many of each client's jobs wait for their user's time."""
        self._delayed_count = 0
        self._waiting = 0
        self.backoff = LoginBackoff()

    def __len__(self) -> int:
        return self._waiting

    def submit(self, job: Job) -> bool:
        """return False: too many wait"""
        own = len(self._turns.get(job.client, ())) + self._delayed.get(job.client, 0)
        if own >= JOBS_EACH or (self._waiting >= JOBS_MAX and not self._make_room(own)):
            return False
        self._waiting += 1
        self._queue(job)
        self._start()
        return True

    def _make_room(self, own: int) -> bool:
        """A client with more jobs that wait than own + 1 loses its last. return whether there is one"""
        jobs = max(self._turns.values(), key=len, default=None)
        if jobs is None or len(jobs) <= own + 1:
            return False
        self._waiting -= 1
        jobs.pop().give_place()
        return True

    def _queue(self, job: Job) -> None:
        self._turns.setdefault(job.client, deque()).append(job)

    def _start(self) -> None:
        """As many as there are idle threads."""
        while self._running < self._threads and self._turns:
            job = self._take()
            if not job.is_wanted:
                self._waiting -= 1
                continue
            wait_s = self.backoff.wait_s(job.username, time.monotonic()) if job.username else 0.0
            if wait_s and not self._put_off(job, wait_s):
                self._waiting -= 1
                job.give_place()
            elif wait_s:
                continue
            else:
                self._waiting -= 1
                self._run(job)

    def _take(self) -> Job:
        client, jobs = next(iter(self._turns.items()))
        job = jobs.popleft()
        del self._turns[client]
        if jobs:
            self._turns[client] = jobs  # last in line
        return job

    def _put_off(self, job: Job, wait_s: float) -> bool:
        """return False: too many are"""
        client = job.client
        own = self._delayed.get(client, 0)
        if own >= DELAYED_EACH or self._delayed_count >= DELAYED_MAX:
            return False
        self._delayed[client] = own + 1
        self._delayed_count += 1

        def queue_again() -> None:
            self._delayed_count -= 1
            left = self._delayed.pop(client) - 1
            if left:
                self._delayed[client] = left
            self._queue(job)
            self._start()

        self._loop.call_later(wait_s, queue_again)
        return True

    def _run(self, job: Job) -> None:
        self._running += 1
        if self._running > self._begun:
            self._begun += 1
            Thread(target=self._serve, name="password", daemon=True).start()  # the actor's end waits for none
        self._given.put(job)

    def _serve(self) -> None:
        """A thread's life."""
        _lower_priority()
        while True:
            job = self._given.get()
            try:
                result: Any = job.work()
            except BaseException as error:  # NB: a panic of bcrypt's is no Exception
                result = error
            self._loop.call_soon_from_thread(partial(self._on_done, job, result))

    def _on_done(self, job: Job, result: Any) -> None:
        """raises what the work has raised: a mistake"""
        self._running -= 1
        self._start()
        if isinstance(result, BaseException):
            raise result
        job.on_worked(result)


def _lower_priority() -> None:
    """NB: both are of this thread alone. The listener may be pinned to the CPU of its clients."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with suppress(OSError):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
