"""Runs a flow of the v2 API's users and roles (etcdz/v2/auth_store.py) for one client, step by step.

    Get             -> the backend: what this member has applied
    Get (quorum), Put, Delete -> an entry of the log
    Hash, Check     -> the password worker: bcrypt takes 60 ms

What fails on the way (too much to do, no leader, no answer in time) ends the flow: nothing is let through for that.
"""

import json
import secrets
import time
from collections.abc import Callable, Generator
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from actors.listener.call import Caller, ForClient
from actors.listener.calls import Calls
from actors.listener.exchange import Exchange, Handler
from actors.listener.password_worker import PASSWORD_BYTES_MAX, TOO_LONG, hash_password, is_password, nobodys_hash
from etcdz.api import errors
from etcdz.api.methods import V2_GET
from etcdz.v2.answers import Result, decode_result
from etcdz.v2.auth_store import Check, Delete, Found, Get, Hash, Put, Step
from etcdz.v2.errors import V2Error
from etcdz.v2.key_request import entry_of
from etcdz.v2.store import AUTH

COST: Final = 10
"""Of bcrypt. etcd's v2 API knows no --bcrypt-cost."""
CHECKED_MAX: Final = 1_024
_ERRORS: Final = 400


class CheckedPasswords:
    """Passwords that were right for their hashes: a client of the v2 API sends its own with each request. What is kept
    tells neither, and nothing once this process has ended."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, None] = {}

    def has(self, password: bytes, hashed: str) -> bool:
        return self._mark(password, hashed) in self._known

    def add(self, password: bytes, hashed: str) -> None:
        if len(self._known) >= CHECKED_MAX:
            del self._known[next(iter(self._known))]
        self._known[self._mark(password, hashed)] = None

    def _mark(self, password: bytes, hashed: str) -> bytes:
        return blake2b(hashed.encode() + b"\0" + password, digest_size=32, key=self._key).digest()


class Failure(NamedTuple):
    """Why a flow has ended before its end. text: of the error"""

    text: str


class V2Flow(Handler, ForClient):
    """One flow: the Caller of its steps, and the Job of its passwords."""

    __slots__ = ("_calls", "_checked", "_exchange", "_flow", "_on_end", "_step", "is_wanted")

    def __init__(
        self,
        exchange: Exchange,
        calls: Calls,
        checked: CheckedPasswords,
        flow: Generator[Step, Any, Any],
        on_end: Callable[[Any], None],
    ) -> None:
        """on_end: told what the flow gives, or a Failure; answers, or lets something else do it"""
        self._exchange = exchange
        self._calls = calls
        self._checked = checked
        self._flow = flow
        self._on_end = on_end
        self._step: Step | None = None
        self.is_wanted = True

    def begin(self) -> None:
        """Its first step. Requires: within serve()"""
        self._exchange.handler = self
        self._go_on(None)

    def _go_on(self, told: Any) -> None:
        """told: what came of the step before"""
        try:
            step = self._step = self._flow.send(told)
            while isinstance(step, Check) and step.hashed and self._checked.has(step.password, step.hashed):
                step = self._step = self._flow.send(True)
        except StopIteration as end:
            self._end(end.value)
            return
        refusal = self._begin(step)
        if refusal:
            self._end(Failure(refusal))

    def _begin(self, step: Step) -> str:
        """return why it is not on its way; else empty"""
        if isinstance(step, Hash | Check):
            if isinstance(step, Hash) and len(step.password.encode()) > PASSWORD_BYTES_MAX:
                return TOO_LONG
            return "" if self._calls.passwords.submit(self) else errors.REQUEST_TOO_MANY_REQUESTS.text
        if isinstance(step, Get) and not step.is_quorum:
            refusal = self._calls.read_v2(self, V2_GET, request_of(0, step).SerializeToString())
        else:
            refusal = self._calls.propose_v2(self, lambda request_id: request_of(request_id, step).SerializeToString())
        return refusal.text if refusal else ""

    def _end(self, outcome: Any) -> None:
        self.is_wanted = False
        self._step = None
        if isinstance(outcome, Failure):
            self._flow.close()
        if not self._exchange.is_gone:
            self._on_end(outcome)

    # ---- as Caller ----

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """As Caller."""
        if not self.is_wanted:
            return
        try:
            if code:
                self._end(Failure(body.decode()))
            else:
                self._go_on(found_in(decode_result(body)))
        except Exception as error:
            self._exchange.fail(error)

    def flush(self) -> None:
        """As Caller."""
        self._exchange.flush()

    @property
    def client(self) -> Caller:
        """As ForClient."""
        found: Caller = self._exchange.client
        return found

    def on_gone(self) -> None:
        """Nobody waits any more."""
        self.is_wanted = False
        self._step = None
        self._flow.close()
        self._calls.lose(self)

    # ---- as Job ----

    @property
    def username(self) -> str:
        """Whose wrong passwords are counted together. NB: not those of other hosts: each request of the v2 API has a
        password, and who guesses at one would have all clients of that user wait."""
        if not isinstance(self._step, Check):
            return ""
        host = str(self._exchange.client.remote).rpartition(":")[0]
        return f"{AUTH}/{self._step.name} {host}"

    def work(self) -> str | bool:
        """In a thread: the hash, or whether it is the password."""
        step = self._step
        if isinstance(step, Hash):
            return hash_password(step.password.encode(), COST).decode()
        return isinstance(step, Check) and is_password(step.password, step.hashed.encode() or nobodys_hash(COST))

    def on_worked(self, result: str | bool) -> None:
        """The thread has done it."""
        if not self.is_wanted:
            return
        try:
            if isinstance(self._step, Check):
                result = self._note(self._step, bool(result))
            self._go_on(result)
        except Exception as error:
            self._exchange.fail(error)
        self.flush()

    def _note(self, step: Check, is_right: bool) -> bool:
        """return whether it is the password of a user that exists"""
        is_right = is_right and bool(step.hashed)
        backoff = self._calls.passwords.backoff
        if is_right:
            backoff.note_right(self.username)
            self._checked.add(step.password, step.hashed)
        else:
            backoff.note_wrong(self.username, time.monotonic())
        return is_right

    def give_place(self) -> None:
        """Too many passwords wait."""
        if not self.is_wanted:
            return
        try:
            self._end(Failure(errors.REQUEST_TOO_MANY_REQUESTS.text))
        except Exception as error:
            self._exchange.fail(error)
        self.flush()


def request_of(request_id: int, step: Step) -> Any:
    """pb.Request as etcd's members propose it."""
    if isinstance(step, Get):
        return entry_of(request_id, "QGET" if step.is_quorum else "GET", step.path)
    if isinstance(step, Delete):
        request = entry_of(request_id, "DELETE", step.path)
        request.PrevExist = True
        return request
    assert isinstance(step, Put)
    request = entry_of(request_id, "PUT", step.path)
    request.Val, request.Dir, request.PrevExist = step.value, step.is_dir, step.must_exist
    return request


def found_in(result: Result) -> Found | V2Error:
    """What a step is told of what the backend has said."""
    told = json.loads(result.body)
    if result.status >= _ERRORS:
        return V2Error(told["errorCode"], AUTH + told.get("cause", ""), told["index"])
    node = told["node"]
    return Found(node.get("value"), [each["key"].rpartition("/")[2] for each in node.get("nodes", ())])
