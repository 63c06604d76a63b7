import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest


@pytest.fixture
def in_other_process() -> Callable[[str], str]:
    """Runs Python source in a process of its own; returns what it printed."""

    def run(source: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=240, check=True
        )
        return done.stdout.strip()

    return run
