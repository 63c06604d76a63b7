"""Orders to the actors of a member that runs on this host, from code."""

import signal
from typing import Any, Final

from etcdz.control.client import ask

DONE_MS: Final = 120_000
"""Longest wait until an order is carried out: a listener that drains has clients."""


class Actors:
    """What `etcdz actors` does. Everything raises Refused: no member runs there, or it does not do it

    data_dir: of the member
    """

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir

    def ps(self) -> list[dict[str, Any]]:
        """One row for each ("name", "state", "pid", "incarnation"...), as of `etcdz actors ps --json`."""
        found: list[dict[str, Any]] = ask(self._data_dir, "ps", {})["actors"]
        return found

    def pid(self, name: str) -> int:
        """Of a living actor, such as "wal". raises KeyError: there is none"""
        return int({row["name"]: row["pid"] for row in self.ps() if row["pid"]}[name])

    def restart(self, name: str, *, graceful: bool = False, upgrade: bool = False, force: bool = False) -> None:
        """Returns when the new one is ready. Arguments as of `etcdz actors restart`."""
        self._order("restart", actor=name, graceful=graceful or upgrade, upgrade=upgrade, force=force)

    def stop(self, name: str, *, force: bool = False) -> None:
        """Until it is started again."""
        self._order("stop", actor=name, force=force)

    def start(self, name: str) -> None:
        """One that was stopped."""
        self._order("start", actor=name)

    def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        """Sends it a signal."""
        self._order("kill", actor=name, signal=int(signum))

    def scale(self, kind: str, count: int) -> None:
        """As in ("listener", 4)."""
        self._order("scale", actor=kind, count=count)

    def events(self) -> list[dict[str, Any]]:
        """What has happened to them, oldest first."""
        found: list[dict[str, Any]] = ask(self._data_dir, "events", {})
        return found

    def _order(self, verb: str, **request: Any) -> None:
        ask(self._data_dir, verb, request, DONE_MS)
