"""One attack on one member, with a victim beside it: what became of both."""

import json
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from tests.etcd_process import Member
from tests.hostile.attack import Attack

_ROOT: Final = Path(__file__).resolve().parents[2]
_SAMPLE_S: Final = 0.05
_START_S: Final = 120.0
_VICTIM_END_S: Final = 120.0
_SHARE_MAX: Final = 0.6
"""Of the member's work during an attack: for so much of it the victim may wait where all of it takes longer."""
MIB: Final = 1 << 20


class Report(NamedTuple):
    """victim     what victim.py says
    attack     what the attack says: counts by name
    growth_mib by how much the member's resident memory grew at most, over all its processes
    waits      for what the victim waited longest -> how much the member worked meanwhile, in seconds of CPU
    work_s     the same for the whole attack
    ended      command lines of processes of the member that were there before and are not any more
    seconds    that the attack took
    """

    victim: dict[str, Any]
    attack: dict[str, int]
    growth_mib: float
    waits: dict[str, float]
    work_s: float
    ended: list[str]
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


def private_bytes(process: psutil.Process) -> int:
    """Its resident memory without the pages of files: LevelDB maps its tables, each process that reads them would count
    them again, and the kernel takes them back when it likes."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


class Usage:
    """What a member's processes together use: the peak of their memory, and CPU time."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._ends = threading.Event()
        self._cpu_s: dict[int, float] = {}
        """By process, those that have ended as well."""
        self._worked: list[tuple[float, float]] = []
        """(monotonic clock, CPU time of all)"""
        self.before = self.peak = 0
        self._look()
        self.before = self.peak
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _look(self) -> None:
        at, total = time.monotonic(), 0
        for process in self._member.processes():
            with suppress(psutil.Error), process.oneshot():
                total += private_bytes(process)
                times = process.cpu_times()
                self._cpu_s[process.pid] = times.user + times.system
        self.peak = max(self.peak, total)
        self._worked.append((at, sum(self._cpu_s.values())))

    def _sample(self) -> None:
        while not self._ends.wait(_SAMPLE_S):
            self._look()

    @property
    def growth_mib(self) -> float:
        return (self.peak - self.before) / MIB

    @property
    def work_s(self) -> float:
        """CPU time that was used meanwhile."""
        return self._worked[-1][1] - self._worked[0][1]

    def work_between(self, began: float, ended: float) -> float:
        """CPU time that was used between two times of the monotonic clock, or a sample or two more.

        A wait is measured by it: that of a client of a machine that is busy with others, or stands still, is no work.
        """
        before = [worked for at, worked in self._worked if at <= began] or [self._worked[0][1]]
        after = [worked for at, worked in self._worked if at >= ended] or [self._worked[-1][1]]
        return after[0] - before[-1]

    def __enter__(self) -> "Usage":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ends.set()
        self._thread.join()
        self._look()


def lasting(member: Member) -> dict[int, str]:
    """Its processes that live, with their command lines, but for those that send one snapshot. What has just begun may
    be one."""
    found = {}
    young = time.time() - 1
    for process in member.processes():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())  # none once its memory is gone: the end of a snapshot's takes a while
            is_young = process.create_time() > young
            if process.status() != psutil.STATUS_ZOMBIE and command and "snapshot" not in command and not is_young:
                found[process.pid] = command
    return found


class _Worker:
    """A process of this package that is told what to do on its stdin, and answers with lines."""

    def __init__(self, module: str, *args: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self, timeout_s: float) -> str:
        """raises TimeoutError: no line came; EOFError: the process has ended"""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            raise TimeoutError
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    def end(self, timeout_s: float) -> str:
        """What it says when its stdin ends."""
        out, _ = self._process.communicate(timeout=timeout_s)
        return out

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Siege:
    """A member, a victim and an attacker, for one attack after the other. `end` says what is left to say."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self._victim = _Worker("tests.hostile.victim", member.target)
        self._attacker = _Worker("tests.hostile.attack", "--serve", member.target)
        assert self._victim.hear(_START_S) == "ready", "the victim did not start"

    def attack(self, attack: Attack, seed: int, scale: int, is_long: bool) -> Report:
        """One attack, and what became of the victim meanwhile. scale: of what the attack counts, 0 for its own choice.
        raises TimeoutError: the attack or the victim did not end; EOFError: one of them failed by itself"""
        before = lasting(self.member)
        order = {"name": attack.name, "seed": seed, "scale": scale, "is_long": is_long}
        self._victim.tell("go")
        with Usage(self.member) as usage:
            began = time.monotonic()
            self._attacker.tell(json.dumps(order))
            said = json.loads(self._attacker.hear(attack.seconds_max))
            seconds = time.monotonic() - began
            after = lasting(self.member)
            self._victim.tell("ok")
            found = json.loads(self._victim.hear(_VICTIM_END_S))
        ended = [command for pid, command in before.items() if pid not in after]
        waits = {what: usage.work_between(*times) for what, times in found["longest"].items()}
        return Report(found, said, usage.growth_mib, waits, usage.work_s, ended, seconds)

    def end(self) -> list[str]:
        """The victim's last errors, those of its lease among them."""
        try:
            return list(json.loads(self._victim.end(_VICTIM_END_S))["errors"])
        finally:
            self.kill()

    def kill(self) -> None:
        self._victim.kill()
        self._attacker.kill()


def is_borne(waited_s: float, waited_s_max: float, work_s: float) -> bool:
    """Whether a client may have waited for so much of the member's work. work_s: all of it"""
    return waited_s <= max(waited_s_max, _SHARE_MAX * work_s)


def check(report: Report, attack: Attack) -> None:
    """What holds for each attack: the victim noticed nothing but a longer wait, and the member is what it was."""
    victim = report.victim
    errors = [text for text in victim["errors"] if not (attack.may_time_out and "request timed out" in text)]
    assert not errors, errors
    assert victim["events_missing"] == 0
    assert not report.ended, f"processes of the member have ended: {report.ended}"
    assert victim["puts"]["count"] > 0 and victim["gets"]["count"] > 0
    for what, work_s in report.waits.items():
        assert is_borne(work_s, attack.stall_s_max, report.work_s), (what, work_s, report.work_s)
    assert report.growth_mib <= attack.growth_mib_max
    for word, least in attack.at_least.items():
        assert report.attack.get(word, 0) >= least, (word, report.attack)
    for word in attack.never:
        assert report.attack.get(word, 0) == 0, (word, report.attack)
