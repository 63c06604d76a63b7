"""Clients that are opened and closed again and again leave no thread, no descriptor and no memory behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client import leaks
from tests.etcd_process import Etcdz

pytestmark = pytest.mark.process

ROUNDS, ROUNDS_LONG = 50, 1_000
GROWTH_BYTES = 4 << 20
"""Of the process, at most, by whatever it does: after 1,000 clients it is some 150,000."""
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("how", leaks.USES)
def test_nothing_is_left(how: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rounds = ROUNDS_LONG if request.config.getoption("--long", default=False) else ROUNDS
    with Etcdz(tmp_path) as member:
        command = [sys.executable, "-m", "tests.client.leaks", member.target, how, str(rounds)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(f"{done.stdout.strip()} bytes after {rounds} clients")
    assert int(done.stdout) < GROWTH_BYTES
