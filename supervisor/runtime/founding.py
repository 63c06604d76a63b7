"""Who the member is and whom it begins with, settled before the tree starts.

The decision is kept in `<data-dir>/member/founding.json` before anything else is made there, and read again at every
start: a log without entries does not tell a member that was to found a cluster from one that was to join it. Once the
log has entries the file says nothing any more.

What is decided may depend on other members and on name servers (etcdz.bootstrap), which is waited for in a thread: a
signal that stops the member leaves it behind.
"""

import importlib
import json
import os
import select
import signal
import socket
from pathlib import Path
from threading import Thread
from typing import Final, NamedTuple

from etcdz.bootstrap.errors import BootstrapError
from etcdz.cluster.founding import Founding
from etcdz.config import MemberConfig
from etcdz.migration.inventory import has_log
from etcdz.telemetry import logs
from supervisor.runtime.signals import STOPPING, Signals

NAME: Final = "founding.json"

log = logs.get("supervisor")


class Settled(NamedTuple):
    """founding: None at a start that follows one which kept no decision. stop_signal: which told the member to stop
    meanwhile, 0: none did"""

    founding: Founding | None
    stop_signal: int


def settle(config: MemberConfig) -> Settled:
    """The decision, made now or at an earlier start.

    raises    BootstrapError
    Requires: the main thread
    """
    path = Path(config.member_dir) / NAME
    try:
        if has_log(Path(config.wal_path)):
            if config.is_discovered:
                text = "discovery token is ignored since cluster already initialized; valid logs are found"
                log.warn(text, wal_dir=config.wal_path)
            return Settled(_load(path), 0)
        settled = _decide(config) if _asks_others(config) else Settled(config.first_founding, 0)
        if settled.founding is not None:
            _save(path, settled.founding)
    except OSError as error:
        raise BootstrapError(f"cannot keep what is decided about this member: {error}") from error
    return settled


def _asks_others(config: MemberConfig) -> bool:
    """Whether the settings alone are not enough; what asks is loaded then, and by no member that is alone."""
    is_elsewhere = config.discovery_srv or config.is_discovered or config.initial_cluster_state == "existing"
    return bool(is_elsewhere) or len(config.initial_cluster) > 1


def _decide(config: MemberConfig) -> Settled:
    """raises BootstrapError"""
    signals = Signals()
    try:
        decision = _Decision(config)
        while True:
            ready, _, _ = select.select([decision.fileno(), signals.fileno()], [], [])
            if decision.fileno() in ready:
                return Settled(decision.result(), 0)
            for signum in signals.received():
                if signum in STOPPING:
                    log.info("received signal; shutting down", signal=signal.Signals(signum).name)
                    return Settled(None, signum)
    finally:
        signals.restore()


class _Decision:
    """One that is under way in a thread."""

    def __init__(self, config: MemberConfig) -> None:
        self._done, self._other = socket.socketpair()
        self._config = config
        self._outcome: Founding | BaseException | None = None
        Thread(target=self._run, daemon=True).start()

    def fileno(self) -> int:
        """Readable when the decision is there."""
        return self._done.fileno()

    def result(self) -> Founding:
        """Requires: fileno() is readable. raises BootstrapError, or what else has gone wrong"""
        self._done.close()
        if isinstance(self._outcome, Founding):
            return self._outcome
        raise self._outcome or RuntimeError("there is no decision yet")

    def _run(self) -> None:
        try:
            self._outcome = importlib.import_module("etcdz.bootstrap.deciding").decide(self._config)
        except BaseException as error:
            self._outcome = error
        self._other.close()


def _load(path: Path) -> Founding | None:
    """raises BootstrapError: it is damaged"""
    try:
        return Founding.from_dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise BootstrapError(
            f"{path} is damaged. If this member has been part of its cluster before, remove the file, "
            f"else remove {path.parent}"
        ) from None


def _save(path: Path, founding: Founding) -> None:
    """So that it is there after power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(founding.to_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for directory in (path.parent, path.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
