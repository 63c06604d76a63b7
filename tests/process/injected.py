"""System calls of a living process that fail, or take their time: strace makes them.

with injected(pid, "fdatasync", "error=EIO"):
    ...

done = run_traced(trace, CALLS, ["-e", "inject=fsync:error=EIO:when=2"], ["-m", "etcdz.cli.utl", ...])
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@contextlib.contextmanager
def injected(pid: int, calls: str, effect: str) -> Iterator[None]:
    """calls: names between commas. effect: as strace's option inject takes it, e.g. error=EIO or delay_enter=1000000"""
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{effect}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tracer.stderr is not None
        if "attached" not in tracer.stderr.readline():
            pytest.skip("strace may not trace here")
        yield
    finally:
        tracer.terminate()
        try:
            tracer.communicate(timeout=10)
        except subprocess.TimeoutExpired:  # what it holds in a call that takes its time
            tracer.kill()
            tracer.communicate()


@functools.cache
def can_inject() -> bool:
    """Whether strace is there, and may trace another process."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            with injected(process.pid, "fdatasync", "error=EIO"):
                return True
        except pytest.skip.Exception:
            return False
        finally:
            process.kill()


def run_traced(
    trace: Path, calls: Sequence[str], inject: Sequence[str], arguments: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Runs Python to its end under strace, which writes to the file trace. calls, inject: what to trace, and options"""
    done = subprocess.run(
        ["strace", "-f", "-o", str(trace), "-e", f"trace={','.join(calls)}", *inject, sys.executable, "-B", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    return done
