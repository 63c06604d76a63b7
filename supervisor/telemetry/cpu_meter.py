"""How busy each actor is: over the placement's short interval, and over the last second or two for `ps`."""

from collections.abc import Mapping
from typing import Final

from supervisor.children.placement import Load
from supervisor.processes import process_usage

WINDOW_S: Final = 1.0


Reading = tuple[float, float, float | None]
"""When, CPU seconds, seconds waited if they were read."""


def _load(before: Reading, after: Reading) -> Load:
    seconds = after[0] - before[0]
    waited_s = 0.0 if before[2] is None or after[2] is None else after[2] - before[2]
    return Load((after[1] - before[1]) / seconds, waited_s / seconds)


class CpuMeter:
    """Remembers the last readings by pid. Time is an argument."""

    def __init__(self) -> None:
        self._last: dict[int, Reading] = {}
        """By pid, at the last look."""
        self._windows: dict[int, tuple[tuple[float, float], tuple[float, float]]] = {}
        """pid -> two readings (when, CPU seconds), at least WINDOW_S apart; ps measures from the older one."""

    def look(self, pids: Mapping[str, int], now: float, with_wait: bool) -> dict[str, Load]:
        """Load of each process since the last look.

        with_wait   also how long it waited for a CPU, which costs a file per thread to read; 0 the first time
        """
        last, self._last = self._last, {}
        loads = {}
        for name, pid in pids.items():
            cpu = process_usage.cpu_s(pid)
            if cpu is None:
                continue
            self._last[pid] = (now, cpu, process_usage.wait_s(pid) if with_wait else None)
            self._roll(pid, now, cpu)
            if pid in last and now > last[pid][0]:
                loads[name] = _load(last[pid], self._last[pid])
        self._windows = {pid: window for pid, window in self._windows.items() if pid in self._last}
        return loads

    def _roll(self, pid: int, now: float, cpu: float) -> None:
        window = self._windows.get(pid)
        if window is None:
            self._windows[pid] = ((now, cpu), (now, cpu))
        elif now - window[1][0] >= WINDOW_S:
            self._windows[pid] = (window[1], (now, cpu))

    def cpu_percent(self, pid: int, now: float) -> float:
        """Of one CPU, over the last one or two windows; 0 for a pid that was not looked at yet."""
        window, cpu = self._windows.get(pid), process_usage.cpu_s(pid)
        if window is None or cpu is None or now <= window[0][0]:
            return 0.0
        return round(100 * max(0.0, cpu - window[0][1]) / (now - window[0][0]), 1)
