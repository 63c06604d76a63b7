"""A real member of fake actors, seen through the lines on its stderr: its own log and what the actors say."""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Line = dict[str, Any]
WAIT_S = 240.0
"""Only how long a broken test takes: every wait ends with the event that it waits for."""


class FakeMember:
    """Started by its constructor; to be closed."""

    def __init__(self, data_dir: Path, runtime_dir: Path, specs: list[dict[str, Any]]) -> None:
        """runtime_dir: where run directories are made; a short path, because of the sockets in them."""
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.supervisor.fake_member", str(data_dir), json.dumps(specs)],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir)},
        )
        self.lines: list[Line] = []
        """All that came so far."""
        self._queue: queue.Queue[Line | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            try:
                self._queue.put(json.loads(text))
            except ValueError:
                self._queue.put({"text": text.decode()})
        self._queue.put(None)

    # ---- events ----

    def wait_for(self, wanted: Callable[[Line], bool], after: int = 0) -> Line:
        """The first line from position `after` on that is wanted, waiting for it."""
        give_up_at = time.monotonic() + WAIT_S
        position = after
        while position < len(self.lines) or self._receive(give_up_at):
            if wanted(self.lines[position]):
                return self.lines[position]
            position += 1
        raise AssertionError("the member ended, or went silent, first:\n" + "\n".join(map(str, self.lines)))

    def wait_said(self, name: str, event: str, after: int = 0, **fields: Any) -> Line:
        """An actor's line."""
        wanted = {"fake": name, "event": event, **fields}
        return self.wait_for(lambda line: wanted.items() <= line.items(), after)

    def wait_roster(self, name: str, after: int = 0, **incarnations: int) -> Line:
        """A roster that reached an actor and lists these incarnations."""
        return self.wait_for(
            lambda line: line.get("fake") == name and incarnations.items() <= line.get("children", {}).items(), after
        )

    def wait_logged(self, msg: str, after: int = 0, **fields: Any) -> Line:
        """The supervisor's line."""
        wanted = {"msg": msg, **fields}
        return self.wait_for(lambda line: wanted.items() <= line.items(), after)

    def wait_ready(self, *names: str, after: int = 0) -> None:
        for name in names:
            self.wait_logged("actor is ready", after, child=name)

    def wait_end(self) -> int:
        """The exit status, once all lines are in self.lines."""
        status = self.process.wait(WAIT_S)
        while self._receive(time.monotonic() + WAIT_S):
            pass
        return status

    def _receive(self, give_up_at: float) -> bool:
        """One more line. return False if there will be none."""
        try:
            line = self._queue.get(timeout=max(0.01, give_up_at - time.monotonic()))
        except queue.Empty:
            return False
        if line is not None:
            self.lines.append(line)
        return line is not None

    def mark(self) -> int:
        """Position behind all lines so far, for `after`."""
        return len(self.lines)

    # ---- acts ----

    def pid_of(self, name: str) -> int:
        """Of its latest incarnation that was heard of."""
        return int([line for line in self.lines if line.get("fake") == name and line["event"] == "entered"][-1]["pid"])

    def pids(self) -> list[int]:
        """Of all actors that ever entered, and of all processes of the member's that live now."""
        entered = {line["pid"] for line in self.lines if line.get("event") == "entered"}
        return sorted(entered | set(descendants(self.process.pid)))

    def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        os.kill(self.pid_of(name), signum)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.wait_end()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def descendants(pid: int) -> list[int]:
    """All processes below pid."""
    return [found for child in children(pid) for found in (child, *descendants(child))]


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wait_dead(pids: list[int]) -> None:
    """Until none of them runs; by pidfd, which also works for processes that are not our children."""
    give_up_at = time.monotonic() + WAIT_S
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            assert poll.poll(max(0.0, give_up_at - time.monotonic()) * 1000), f"process {pid} lives on"
        finally:
            os.close(fd)
