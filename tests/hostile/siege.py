"""One attack on one member, with a victim beside it: what became of both."""

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from tests.etcd_process import Member
from tests.hostile.attack import ATTACKS, Attack

_ROOT: Final = Path(__file__).resolve().parents[2]
_SAMPLE_S: Final = 0.05
_START_S: Final = 30.0
_VICTIM_END_S: Final = 120.0
MIB: Final = 1 << 20


class Report(NamedTuple):
    """victim     what victim.py says
    attack     what the attack says: counts by name
    growth_mib by how much the member's resident memory grew at most, over all its processes
    ended      processes of the member that were there before and are not any more
    seconds    that the attack took
    """

    victim: dict[str, Any]
    attack: dict[str, int]
    growth_mib: float
    ended: int
    seconds: float

    def row(self, name: str, kind: str) -> str:
        puts, gets = self.victim["puts"], self.victim["gets"]
        figures = [
            f"{what} {found['p50_ms']:7.2f} /{found['p99_ms']:8.2f} /{found['max_ms']:9.2f}"
            for what, found in (("put", puts), ("get", gets))
        ]
        said = " ".join(f"{word}={count}" for word, count in self.attack.items())
        lag, errors = self.victim["event_lag_ms_max"], len(self.victim["errors"])
        return (
            f"{name:22} {kind:6} {'  '.join(figures)}  lag {lag:8.1f}  errors {errors}"
            f"  +{self.growth_mib:6.1f} MiB  {self.seconds:5.1f} s  {said}"
        )


class _Memory:
    """The peak of the resident memory of a member's processes together."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._ends = threading.Event()
        self.before = self._look()
        self.peak = self.before
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _look(self) -> int:
        total = 0
        for process in self._member.processes():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def _sample(self) -> None:
        while not self._ends.wait(_SAMPLE_S):
            self.peak = max(self.peak, self._look())

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ends.set()
        self._thread.join()


def _spawn(module: str, *args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", module, *args],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def besiege(member: Member, attack: Attack, seed: int, scale: int, is_long: bool) -> Report:
    """Runs the attack beside a victim. scale: of what the attack counts, 0 for its own choice. raises
    subprocess.TimeoutExpired: the attack or the victim did not end"""
    before = {process.pid for process in member.processes()}
    victim = _spawn("tests.hostile.victim", member.target)
    try:
        assert victim.stdout is not None
        first = victim.stdout.readline()
        assert first == "ready\n", f"the victim did not start: {first!r}"
        with _Memory(member) as memory:
            began = time.monotonic()
            said = _attack(member, attack, seed, scale, is_long)
            seconds = time.monotonic() - began
        after = {process.pid for process in member.processes()}
        out, _ = victim.communicate(timeout=_VICTIM_END_S)
    finally:
        victim.kill()
        victim.wait()
    return Report(json.loads(out), said, (memory.peak - memory.before) / MIB, len(before - after), seconds)


def _attack(member: Member, attack: Attack, seed: int, scale: int, is_long: bool) -> dict[str, int]:
    args = [attack.name, member.target, f"--seed={seed}", f"--scale={scale}", *(["--long"] if is_long else [])]
    attacker = _spawn("tests.hostile.attack", *args)
    try:
        out, _ = attacker.communicate(timeout=attack.seconds_max)
    finally:
        attacker.kill()
        attacker.wait()
    assert attacker.returncode == 0, f"the attack {attack.name} failed by itself: see above"
    return dict(json.loads(out.splitlines()[-1]))


def check(report: Report, attack: Attack) -> None:
    """What holds for each attack: the victim noticed nothing but a longer wait, and the member is what it was."""
    victim = report.victim
    assert victim["errors"] == []
    assert victim["events_missing"] == 0
    assert report.ended == 0, "a process of the member has ended"
    for what in ("puts", "gets"):
        assert victim[what]["count"] > 0
        assert victim[what]["max_ms"] <= attack.stall_s_max * 1e3, what
    assert victim["event_lag_ms_max"] <= attack.stall_s_max * 1e3
    assert report.growth_mib <= attack.growth_mib_max
    for word, least in attack.at_least.items():
        assert report.attack.get(word, 0) >= least, (word, report.attack)
    for word in attack.never:
        assert report.attack.get(word, 0) == 0, (word, report.attack)


__all__ = ["ATTACKS", "Attack", "Report", "besiege", "check"]
