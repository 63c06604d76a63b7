"""What a member's processes take of memory together: pages that they share count once, as proportional set size."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.processes.zygote import LIBRARIES
from supervisor.tree import TREE
from tests.etcd_process import Member
from tests.offline.members import put_many
from tests.process.trial import Trial

IDLE_MB_MAX = 92.0
"""87 to 89 with Python 3.11: 31 that supervisor, zygote and all actors share, 10 of the supervisor's own, and 4.5 to 8
of the zygote's and each actor's own, of pages that it has written to. Counting references is enough for that."""
FILLED_MB_MAX = 116.0
"""With 10,000 keys of 100 bytes, raft's log of them and the backend's index: some 12 more."""


def pss_mb(member: Member) -> float:
    """Of all processes of a member that runs."""
    total = 0
    for process in member.processes():
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


@pytest.mark.process
@pytest.mark.usefixtures("needs_actors")
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no smaps_rollup here: a kernel before 4.14")
def test_an_idle_member_and_one_with_ten_thousand_keys_are_small(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial()
    assert pss_mb(trial.member) < IDLE_MB_MAX
    put_many(trial.member, keys=10_000, size=100)
    assert pss_mb(trial.member) < FILLED_MB_MAX


NOT_NEEDED = (
    "argparse", "curses", "email", "grpc", "http.client", "multiprocessing", "numpy", "pdb", "psutil", "pytest",
    "sqlite3", "unittest", "xml", "yaml",
    "actors.listener.snapshot_process", "etcdz.bbolt", "etcdz.cli", "etcdz.config.bootstrap", "etcdz.config.flags",
    "etcdz.config.reading", "etcdz.migration", "etcdz.monitor",
    "supervisor.children", "supervisor.control", "supervisor.member", "supervisor.runtime", "supervisor.telemetry",
)  # fmt: skip
"""Of the command line, of tools, of the supervisor, and of processes that are not forked: of no actor."""


def test_the_zygote_imports_nothing_that_no_actor_needs() -> None:
    modules = ["supervisor.processes.zygote", *LIBRARIES, *[spec.kind for spec in TREE]]
    code = f"import sys\nfor name in {modules!r}: __import__(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    found = [name for name in loaded for one in NOT_NEEDED if name == one or name.startswith(f"{one}.")]
    assert found == []
    assert {spec.kind for spec in TREE} <= set(loaded)


def test_the_supervisor_loads_no_protobuf() -> None:
    code = "import sys, supervisor.member, etcdz.cli.main\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "supervisor.member" in loaded
    assert [name for name in loaded if name.startswith("google")] == []
