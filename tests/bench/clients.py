"""What a call costs its client: `python -m tests.bench.clients --etcd3=/path/to/python --aetcd=...`.

The client library beside python-etcd3 (one thread) and aetcd (100 tasks), put and get, alternating, against one member;
each in a process of its own. Each of the others is in an interpreter of its own, since they want other versions of
protobuf than this project and one another; what is not installed there is left out. Printed are medians of calls/s and
of CPU time per call, and how many times less that is than the other's. Nothing here asserts anything about time.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench import client_worker
from tests.etcd_process import Etcdz, RealEtcd

_WORKER = Path(client_worker.__file__)
_ROOT = _WORKER.resolve().parents[2]
RIVALS = {0: "etcd3", 100: "aetcd"}
"""Number of tasks (0: one thread) -> the library that is measured beside ours."""


def has(python: str, library: str) -> bool:
    """Whether this interpreter can import it."""
    command = [python, "-c", f"import {library}"]
    return shutil.which(python) is not None and subprocess.run(command, capture_output=True).returncode == 0


def measure(python: str, library: str, target: str, operation: str, calls: int, tasks: int) -> tuple[float, float]:
    """(calls/s, CPU us per call)"""
    command = [python, str(_WORKER), library, target, operation, str(calls), str(tasks)]
    path = {"PYTHONPATH": str(_ROOT)} if library == "etcdz" else {}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=path)
    per_second, cpu_us = done.stdout.split()
    return float(per_second), float(cpu_us)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for rival in RIVALS.values():
        parser.add_argument(f"--{rival}", default=sys.executable, help=f"an interpreter that has {rival}")
    parser.add_argument("--member", choices=["etcd", "etcdz"], default="etcd")
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args(words)
    kind = RealEtcd if said.member == "etcd" else Etcdz
    with tempfile.TemporaryDirectory() as directory, kind(Path(directory)) as member:
        for tasks, rival in RIVALS.items():
            libraries = {"etcdz": sys.executable}
            python = getattr(said, rival)
            if has(python, rival):
                libraries[rival] = python
            else:
                print(f"{rival} is not installed")
            for operation in ("put", "get"):
                _compare(libraries, member.target, operation, said.calls, tasks, said.rounds)


def _compare(libraries: dict[str, str], target: str, operation: str, calls: int, tasks: int, rounds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {library: [] for library in libraries}
    for at in range(rounds):
        for library in sorted(libraries, reverse=bool(at % 2)):
            found[library].append(measure(libraries[library], library, target, operation, calls, tasks))
    medians = {library: [median(column) for column in zip(*rows, strict=True)] for library, rows in found.items()}
    how = f"{tasks} tasks" if tasks else "1 thread"
    for library, (per_second, cpu_us) in medians.items():
        line = f"{operation}, {how}: {library:6} {per_second:8,.0f} calls/s {cpu_us:6.0f} us of CPU per call"
        ratio = cpu_us / medians["etcdz"][1]
        print(line if library == "etcdz" else f"{line}, {ratio:.1f} times ours", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
