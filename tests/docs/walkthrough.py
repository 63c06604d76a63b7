"""Runs a page: its commands as a reader would type them, and beside each what the page says they print.

```sh                   one shell for each block; it must succeed
<!-- goes on -->
```sh                   goes on until the page has ended; a member is waited for before the next block that ends
```text                 what the block before has printed; `...` is anything, as a line of its own any lines
<!-- goes on -->
```text                 the same of the last block that goes on, once it has printed that
```python               a program
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.etcd_process import READY

_BLOCK: Final = re.compile(r"(<!-- goes on -->\n)?^```(sh|text|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LIMIT_S: Final = 300
_PATIENCE: Final = {"ETCDCTL_COMMAND_TIMEOUT": f"{LIMIT_S}s", "ETCDCTL_DIAL_TIMEOUT": f"{LIMIT_S}s"}


class Block(NamedTuple):
    """goes_on: it has no end of its own, or is about one that has none."""

    language: str
    text: str
    goes_on: bool


def blocks_of(page: str) -> list[Block]:
    return [Block(language, text, bool(mark)) for mark, language, text in _BLOCK.findall(page)]


def pattern_of(expected: str) -> "re.Pattern[str]":
    """Of all that was printed."""
    lines = []
    for line in expected.splitlines():
        lines.append(r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n")
    return re.compile("".join(lines))


class Running:
    """A command that goes on, and what it has printed."""

    def __init__(self, command: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.command = command
        self._printed = ""
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as source:
            for line in source:
                with self._changed:
                    self._printed += line
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: "re.Pattern[str]", whole: bool) -> None:
        """whole: nothing else has been printed. raises AssertionError"""
        find = pattern.fullmatch if whole else pattern.search
        with self._changed:
            self._changed.wait_for(lambda: find(self._printed) or self._ended, LIMIT_S)
            assert find(self._printed), f"{self.command}: {self._printed[-2000:]}"

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(LIMIT_S)
        finally:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
            self._reader.join(LIMIT_S)


class Walkthrough:
    """A context manager, in a folder of its own."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("ETCD_", "ETCDCTL_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environ = {**kept, "PATH": path, **_PATIENCE, **environ}
        self._folder = folder
        self._running: list[Running] = []
        self._starting: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for running in reversed(self._running):
            running.stop()

    def follow(self, page: str) -> None:
        """All of the page. raises AssertionError: it says what is not so"""
        printed = ""
        for block in blocks_of(page):
            if block.language == "text":
                self._compare(block, printed)
            elif block.goes_on:
                self._running.append(Running(block.text, self._folder, self._environ))
                if block.text.split()[0] == "etcdz":
                    self._starting.append(self._running[-1])
            else:
                self._wait_for_members()
                printed = self._run(block)

    def _compare(self, block: Block, printed: str) -> None:
        pattern = pattern_of(block.text)
        if block.goes_on:
            self._running[-1].wait_for(pattern, whole=True)
        else:
            assert pattern.fullmatch(printed), f"the page says:\n{block.text}\nit is:\n{printed}"

    def _wait_for_members(self) -> None:
        """NB: not one after the other as they are started: the first of three is ready when a second one is there."""
        while self._starting:
            self._starting.pop().wait_for(re.compile(READY), whole=False)

    def _run(self, block: Block) -> str:
        program = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*program, block.text],
            cwd=self._folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
        return done.stdout
