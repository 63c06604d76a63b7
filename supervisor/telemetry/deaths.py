"""What is kept of processes that have ended: a line each for `ps`, and a crash report where one has failed."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from etcdz.ipc.messages import Heartbeat
from etcdz.telemetry import logs
from etcdz.telemetry.flight import Box
from supervisor.children.child import Child, State
from supervisor.processes.disk_worker import DiskWorker
from supervisor.telemetry import crash_reports
from supervisor.telemetry.crash_reports import Death

log = logs.get("supervisor")


class Deaths:
    """Looks at a process when it has ended; has the report written later, since its restart comes first."""

    def __init__(self, data_dir: str, name_of: Callable[[int], str], worker: DiskWorker) -> None:
        """name_of: incarnation -> the actor's name"""
        self._data_dir = data_dir
        self._name_of = name_of
        self._worker = worker
        self._unwritten: list[Death] = []
        self.reports: Counter[str] = Counter()
        """By name: how many crash reports there were to be written in this life of the member."""
        self.last_exit: dict[str, dict[str, Any]] = {}
        """By name: {"time", "incarnation", "status", "reason"} of the last one that ended."""

    def record(
        self, child: Child, status: int, now: float, box: Box | None, beat: Heartbeat | None, stack: str
    ) -> None:
        """A process has ended; everything that it left is an argument, since its files are removed next.

        status   exit status, or minus the number of the signal
        box      its flight recorder
        beat     its last heartbeat
        stack    what it wrote about its stacks on request
        """
        reason = child.reason or (f"was killed by signal {-status}" if status < 0 else f"exited with status {status}")
        self.last_exit[child.name] = {
            "time": time.time(),
            "incarnation": child.incarnation,
            "status": status,
            "reason": reason,
        }
        if status != 0 and not (status == -signal.SIGTERM and child.state is State.STOPPING):
            self.reports[child.name] += 1
            self._unwritten.append(_death(child, status, reason, now, box, beat, stack))

    def write(self) -> None:
        """Have the reports written of those that have ended since the last call."""
        deaths, self._unwritten = self._unwritten, []
        for death in deaths:
            content = crash_reports.report(death, self._name_of)
            if not self._worker.submit(partial(crash_reports.write, self._data_dir, content), partial(_told, death)):
                log.warn("dropped a crash report: the disk does not answer", child=death.name)


def _told(death: Death, outcome: Path | OSError) -> None:
    if isinstance(outcome, OSError):  # a full disk: the log has said the most important
        log.warn("cannot write a crash report", child=death.name, error=str(outcome))
    else:
        log.info("wrote a crash report", child=death.name, incarnation=death.incarnation, path=str(outcome))


def _death(
    child: Child, status: int, reason: str, now: float, box: Box | None, beat: Heartbeat | None, stack: str
) -> Death:
    return Death(
        name=child.name,
        kind=child.spec.role,
        incarnation=child.incarnation,
        pid=child.pid or 0,
        time_s=time.time(),
        ended_ns=time.monotonic_ns(),
        uptime_s=now - child.spawned_at,
        status=status,
        ending=child.ending.value if child.ending is not None else ("killed" if status < 0 else "failed"),
        reason=reason,
        stack=(box.text() if box is not None else "") or stack,
        headers=box.headers() if box is not None else [],
        summary=beat.summary if beat is not None else {},
        statistics=beat.statistics if beat is not None else {},
        log=box.log()[1].decode("utf-8", "replace") if box is not None else "",
    )
