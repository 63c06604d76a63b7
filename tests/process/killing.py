"""Ways in which an actor can come to its end, and what its end was like for clients."""

import os
import select
import signal
import socket
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from etcdz.control.client import Refused, ask
from tests.process.load import Load
from tests.process.trial import Trial

WAIT_S: Final = 60
MEMORY_MAX: Final = "512MiB"
"""What the kernel gives the actor whose memory is to be used up: far more than it needs in these tests."""


def _chaos(trial: Trial, action: str, name: str) -> None:
    """NB: one that gets no CPU time may not end in the time that the supervisor waits; the order is in its mailbox."""
    try:
        ask(str(trial.member.data_dir), "chaos", {"action": action, "actor": name}, answer_ms=30_000)
    except Refused as refused:
        assert "did not answer within" in str(refused)


WAYS: Final[dict[str, Callable[[Trial, str, int], None]]] = {
    "kill": lambda trial, name, pid: os.kill(pid, signal.SIGKILL),
    "stop": lambda trial, name, pid: os.kill(pid, signal.SIGSTOP),
    "fail": lambda trial, name, pid: _chaos(trial, "fail", name),
    "exhaust": lambda trial, name, pid: _chaos(trial, "exhaust", name),
}
"""kill: kill -9; stop: SIGSTOP; fail: an exception in its loop; exhaust: its memory limit is reached."""


def rounds(counts: dict[str, int], trial: Trial) -> list[str]:
    """Ways, as often as they are wanted, in an order that is the seed's."""
    ways = [way for way, count in counts.items() for _ in range(count)]
    trial.random.shuffle(ways)
    return ways


class End(NamedTuple):
    """One actor's. stall_ms: longest time without an answer since; gone_ms: until its process was dead; start_ms: what
    its successor took to become ready"""

    way: str
    stall_ms: float
    gone_ms: float
    start_ms: float
    accept_ms: float = 0.0


def end_one(
    trial: Trial, load: Load, before: dict[str, dict[str, Any]], name: str, way: str, probes: int = 0
) -> tuple[dict[str, dict[str, Any]], End]:
    """Ends it, and sees that it and only it was restarted. return the actors now, and what it was like

    probes      fresh connections that are made at once; accept_ms is when the last of them had its answer
    """
    pid = int(before[name]["pid"])
    pidfd = os.pidfd_open(pid)
    ended_at = time.monotonic()
    WAYS[way](trial, name, pid)
    accept_ms = probe(trial, probes, ended_at) if probes else 0.0
    assert select.select([pidfd], [], [], WAIT_S)[0], f"{name} lives on"
    gone_ms = 1000 * (time.monotonic() - ended_at)
    os.close(pidfd)
    # More than were under way: so the new process has had its part in some of them.
    load.wait_acknowledged(load.acknowledged + 4 * len(load.clients))
    after = trial.wait_restarted(before, name)
    assert after[name]["restarts"] == before[name]["restarts"] + 1
    assert after[name]["incarnation"] > before[name]["incarnation"]
    others = after.keys() - {name}
    assert {other: after[other]["pid"] for other in others} == {other: before[other]["pid"] for other in others}
    stall_ms = 1000 * load.longest_stall_s(ended_at)
    return after, End(way, stall_ms, gone_ms, start_ms(trial, name, after[name]["incarnation"]), accept_ms)


def start_ms(trial: Trial, name: str, incarnation: int) -> float:
    """From the spawn of this incarnation to its Ready. Requires: it is ready"""
    started = {"msg": "actor is ready", "child": name, "incarnation": incarnation}
    return float(
        next(
            e["took_ms"]
            for e in reversed(ask(str(trial.member.data_dir), "events", {}, answer_ms=30_000))
            if started.items() <= e.items()
        )
    )


def probe(trial: Trial, count: int, since_s: float) -> float:
    """Milliseconds from since_s until so many new connections, made together, have had an answer."""
    address = ("127.0.0.1", trial.member.client_port)
    connections = [socket.create_connection(address, timeout=WAIT_S) for _ in range(count)]
    for connection in connections:
        connection.sendall(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
    for connection in connections:
        with connection:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    return 1000 * (time.monotonic() - since_s)


def table(name: str, ends: Iterable[End]) -> str:
    """For people: a line for each way, in milliseconds."""
    by_way: dict[str, list[End]] = defaultdict(list)
    for end in ends:
        by_way[end.way].append(end)
    lines = [f"{name:16} {'way':8} {'n':>3}  stall: median  max  beyond start: max  gone: median  max  accepts: max"]
    for way, found in sorted(by_way.items()):
        stalls, gone = [end.stall_ms for end in found], [end.gone_ms for end in found]
        beyond = max(end.stall_ms - end.start_ms for end in found)
        lines.append(
            f"{name:16} {way:8} {len(found):3}  {statistics.median(stalls):13.0f} {max(stalls):4.0f} {beyond:18.0f} "
            f"{statistics.median(gone):13.0f} {max(gone):4.0f} {max(end.accept_ms for end in found):13.0f}"
        )
    return "\n".join(lines)
