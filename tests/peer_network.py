"""The links between the members of a cluster, as a test orders them.

    network.isolate("m0")                            nobody hears it, it hears nobody; connections break
    network.set_link("m0", "m1", frozen=True)        m1 does not hear m0, and does not learn that either
    network.slow("m0", "m1", delay_s=0.05, jitter_s=0.03)
    network.heal()

What is ordered adds up until `heal`.
"""

import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_ORDER_TIMEOUT_S = 30


class Network:
    """Starts the proxy (tests/peer_proxy.py) and gives it its orders. Requires: `close` at the end"""

    def __init__(self, seed: int = 0) -> None:
        self.names: list[str] = []
        self._rules: dict[tuple[str, str], dict[str, Any]] = {}
        self._cut: set[tuple[str, str]] = set()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.peer_proxy", str(theirs.fileno()), str(seed)]
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], cwd=_ROOT, stdin=subprocess.DEVNULL, start_new_session=True
            )
        ours.settimeout(_ORDER_TIMEOUT_S)
        self._socket = ours
        self._answers = ours.makefile("r")

    def close(self) -> None:
        self._answers.close()
        self._socket.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # ---- members

    def add(self, name: str, peer_port: int) -> int:
        """return the port that the other members have to dial for this one, which listens on peer_port"""
        self.names.append(name)
        return int(self._order("open_door", name, peer_port))

    def set_sessions(self, sessions: dict[str, int]) -> None:
        """Member -> pid of its first process, of those that run."""
        self._order("set_sessions", sessions)

    # ---- links

    def cut(self, one: str, other: str) -> None:
        """Connections between the two break, and so do new ones at once."""
        self._cut.add((one, other))
        self._apply()

    def isolate(self, name: str) -> None:
        self.partition([name])

    def partition(self, *groups: Iterable[str]) -> None:
        """Members of different groups do not reach each other; those that are in none are a group together."""
        given = [set(group) for group in groups]
        parts = [*given, set(self.names).difference(*given)]
        for one, other in itertools.combinations(parts, 2):
            self._cut |= set(itertools.product(one, other))
        self._apply()

    def deafen(self, name: str, to: Iterable[str] | None = None) -> None:
        """It hears nothing of them any more; they go on hearing it. None: of all others."""
        for other in to if to is not None else self._others(name):
            self._rules[other, name] = {"frozen": True}
        self._apply()

    def mute(self, name: str) -> None:
        """Nobody hears it any more; it goes on hearing them."""
        for other in self._others(name):
            self._rules[name, other] = {"frozen": True}
        self._apply()

    def slow(self, one: str, other: str, **rule: float) -> None:
        """Both ways. rule: fields of tests.peer_proxy.Rule"""
        self._rules[one, other] = self._rules[other, one] = dict(rule)
        self._apply()

    def set_link(self, source: str, target: str, **rule: Any) -> None:
        """One way. rule: fields of tests.peer_proxy.Rule"""
        self._rules[source, target] = rule
        self._apply()

    def heal(self) -> None:
        """All links are as they were; what was held is delivered."""
        self._rules.clear()
        self._cut.clear()
        self._apply()

    def bytes(self, source: str, target: str) -> int:
        """What has passed from one to the other so far."""
        return int(self._order("statistics")["bytes"].get(f"{source}>{target}", 0))

    def statistics(self) -> dict[str, Any]:
        return dict(self._order("statistics"))

    def _others(self, name: str) -> list[str]:
        return [other for other in self.names if other != name]

    def _apply(self) -> None:
        rules = [[source, target, rule] for (source, target), rule in self._rules.items()]
        self._order("set_links", rules, sorted(self._cut))

    def _order(self, name: str, *arguments: Any) -> Any:
        self._socket.sendall(json.dumps([name, arguments]).encode() + b"\n")
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"the proxy has ended with {self._process.wait(timeout=10)}")
        return json.loads(line)
