"""System calls of a living process that fail, or take their time: strace makes them.

with injected(pid, "fdatasync", "error=EIO"):
    ...
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator

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
