"""lock and elect: held until SIGINT or SIGTERM comes, or for as long as a command runs."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS
from etcdz.cli.ctl.numbers import flag_integer
from etcdz.cli.ctl.session import Session, as_given, said
from etcdz.client import methods
from etcdz.client.errors import EtcdError, LockLost
from etcdz.client.pending import Request
from etcdz.client.threads import Client, Lock
from etcdz.config.literals import quote
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb


class _Signals:
    """stop: set by a signal, or by whoever else ends the wait.

    Until `is_held` a signal is raised as KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.came = False
        self.is_held = False

    def on_signal(self, number: int, frame: Any) -> None:
        self.came = True
        self.stop.set()
        if not self.is_held:
            raise KeyboardInterrupt

    def wait(self) -> bool:
        """return False: no signal has come, something else has ended it"""
        self.stop.wait()
        return self.came


@contextlib.contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signals.on_signal) for number in numbers]
    try:
        yield signals
    except KeyboardInterrupt:
        raise CommandError("context canceled") from None
    except EtcdError as error:
        raise CommandError(said(error)) from None
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def lock(arguments: list[str], values: Values) -> int:
    if not arguments:
        text = "lock takes a lock name argument and an optional command to execute"
        raise CommandError(text, BAD_ARGUMENTS)
    session = Session(values)
    with _signals() as signals, Client(session.options) as db:
        held = db.lock(as_given(arguments[0]), ttl=flag_integer(values["ttl"]), on_lost=signals.stop.set)
        held.acquire()
        try:
            if len(arguments) > 1:
                return _run(db, held, arguments[1:])
            return _hold(db, session, held, signals, "session expired", "lock lost on init")
        finally:
            _release(held)


def _release(held: Lock) -> None:
    with contextlib.suppress(LockLost):
        held.release()


def _key(db: Client, key: bytes) -> "pb.RangeResponse":
    body = pb.RangeRequest(key=key).SerializeToString()
    return db.do(Request(methods.RANGE, body, pb.RangeResponse.FromString))


def _hold(db: Client, session: Session, held: Lock, signals: _Signals, lost: str, lost_at_once: str) -> int:
    """Shows the key and waits. raises CommandError: it was lost"""
    answer = _key(db, held.key)
    if lost_at_once and not answer.kvs:
        raise CommandError(lost_at_once)
    signals.is_held = True  # before anybody can read that it is
    session.show(session.printer.get(answer))
    if not signals.wait():
        raise CommandError(lost)
    return 0


def _run(db: Client, held: Lock, command: list[str]) -> int:
    """return the command's exit status."""
    revision = _key(db, held.key).header.revision
    said_so = {"ETCD_LOCK_KEY": os.fsdecode(held.key), "ETCD_LOCK_REV": str(revision)}
    try:
        ended = subprocess.run(command, env={**said_so, **os.environ}, check=False)
    except OSError:
        raise CommandError(f"exec: {quote(command[0])}: executable file not found in $PATH") from None
    if ended.returncode < 0:
        raise CommandError(f"signal: {signal.strsignal(-ended.returncode) or ''}".lower(), 255)
    if ended.returncode:
        raise CommandError(f"exit status {ended.returncode}", ended.returncode)
    return 0


# ---- elections ----


def elect(arguments: list[str], values: Values) -> int:
    if not 1 <= len(arguments) <= 2:
        text = "elect takes one election name argument and an optional proposal argument"
        raise CommandError(text, BAD_ARGUMENTS)
    listens = values["listen"] == "true"
    if len(arguments) == 1 and not listens:
        raise CommandError("no proposal argument but -l not set", BAD_ARGUMENTS)
    if len(arguments) == 2 and listens:
        raise CommandError("proposal given but -l is set", BAD_ARGUMENTS)
    session = Session(values)
    with _signals() as signals, Client(session.options) as db:
        if listens:
            return _observe(db, session, as_given(arguments[0]))
        term = db.election(as_given(arguments[0]), ttl=60)
        term.campaign(as_given(arguments[1]))
        try:
            return _hold(db, session, term, signals, "elect: session expired", "")
        finally:
            _release(term)


def _observe(db: Client, session: Session, name: bytes) -> int:
    """Until a signal comes."""
    with contextlib.suppress(KeyboardInterrupt):
        for leader in db.election(name).observe():
            answer = pb.RangeResponse(header=_key(db, leader.key).header, kvs=[mvccpb.KeyValue(**leader._asdict())])
            session.show(session.printer.get(answer))
    return 0
