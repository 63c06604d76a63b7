"""How busy each actor is: over the placement's short interval, and over the last second or two for `ps`."""

from collections.abc import Mapping
from typing import Final

from supervisor import usage
from supervisor.placement import Load

WINDOW_S: Final = 1.0


class Meter:
    """Remembers the last readings by pid. Time is an argument."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, float, float | None]] = {}
        """pid -> (when, CPU seconds, waited seconds) at the last look."""
        self._windows: dict[int, tuple[tuple[float, float], tuple[float, float]]] = {}
        """pid -> two readings (when, CPU seconds), at least WINDOW_S apart; ps measures from the older one."""

    def look(self, pids: Mapping[str, int], now: float, with_wait: bool) -> dict[str, Load]:
        """Load of each actor since the last look. Waiting costs a file per thread to read, so it is asked for."""
        last, self._last = self._last, {}
        loads = {}
        for name, pid in pids.items():
            cpu = usage.cpu_s(pid)
            if cpu is None:
                continue
            wait = usage.wait_s(pid) if with_wait else None
            self._last[pid] = (now, cpu, wait)
            self._roll(pid, now, cpu)
            if pid in last and now > last[pid][0]:
                when, cpu_then, wait_then = last[pid]
                waited = 0.0 if wait is None or wait_then is None else (wait - wait_then) / (now - when)
                loads[name] = Load((cpu - cpu_then) / (now - when), waited)
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
        window, cpu = self._windows.get(pid), usage.cpu_s(pid)
        if window is None or cpu is None or now <= window[0][0]:
            return 0.0
        return round(100 * max(0.0, cpu - window[0][1]) / (now - window[0][0]), 1)
