"""Millions of puts over few keys: what may grow with them, and what may not. Prints a curve, then checks it.

    python -m tests.process.bounded                     3,000,000 puts over 10,000 keys, --snapshot-count 10000
    python -m tests.process.bounded --puts 60000 --snapshot-count 5000

The store grows with its history, and the index of the backend with it; etcd's do as well, until a compaction. The log
in memory and on disk, what waits in mailboxes, and the memory of all other processes must not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from etcdz import limits
from tests.etcd_process import Etcdz, Member
from tests.process import damage
from tests.process.trial import Trial

MIB: Final = 1 << 20
SEGMENT_BYTES: Final = 64_000_000
MAX_WALS: Final = 5
"""etcd's default for --max-wals."""
RSS_MAX: Final = 256 * MIB
"""Of a process other than the backend."""
BACKEND_BYTES_PER_REVISION: Final = 100
GROWTH_MAX: Final = 48 * MIB
"""Of a process other than the backend, from a third of the way on."""


class Sample(NamedTuple):
    """One row of the curve. rss: bytes by actor. waiting: calls, appends and entries that are on their way."""

    puts: int
    seconds: float
    rss: dict[str, int]
    wal_bytes: int
    segments: int
    store_bytes: int
    log_entries: int
    calls: int
    not_durable: int
    not_applied: int

    def row(self) -> str:
        rss = " ".join(f"{name} {size / MIB:.0f}" for name, size in self.rss.items())
        return (
            f"{self.puts:>9,} puts {self.puts / max(self.seconds, 1e-9):>7,.0f}/s  rss MiB: {rss}  "
            f"wal {self.wal_bytes / MIB:.0f} MiB in {self.segments}  store {self.store_bytes / MIB:.0f} MiB  "
            f"raft log {self.log_entries:,}  waiting: calls {self.calls}, appends {self.not_durable}, "
            f"entries {self.not_applied}"
        )


def run(trial: Trial, puts: int, keys: int, every_s: float) -> list[Sample]:
    """Floods the member and takes a sample every so often. raises AssertionError if a put fails"""
    curve: list[Sample] = []
    due_s = 0.0
    for progress in flood(trial.member, puts, keys):
        assert not progress["errors"], progress
        if progress["seconds"] >= due_s or progress["done"]:
            due_s = progress["seconds"] + every_s
            curve.append(sample(trial, progress))
            print(curve[-1].row(), flush=True)
    return curve


def flood(member: Member, puts: int, keys: int, connections: int = 10, streams: int = 100) -> Iterator[dict[str, Any]]:
    """Progress of a flood process, about once a second."""
    command = [sys.executable, "-m", "tests.process.flood", member.target, f"--puts={puts}", f"--keys={keys}"]
    command += [f"--connections={connections}", f"--streams={streams}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
        finally:
            process.kill()
    assert process.returncode == 0, f"the flood ended with status {process.returncode}"


def sample(trial: Trial, progress: dict[str, Any]) -> Sample:
    actors = trial.actors()
    said = {name: (row["heartbeat"] or {}).get("summary", {}) for name, row in actors.items()}
    data_dir = trial.member.data_dir
    handed, applied = said["raft"].get("handed_index", 0), said["backend"].get("applied_index", 0)
    return Sample(
        puts=progress["puts"],
        seconds=progress["seconds"],
        rss={name: row["rss_bytes"] for name, row in actors.items()},
        wal_bytes=directory_bytes(damage.wal_dir(data_dir)),
        segments=len(damage.segments(data_dir)),
        store_bytes=directory_bytes(damage.leveldb_dir(data_dir)),
        log_entries=said["raft"].get("log_entries", 0),
        calls=sum(summary.get("calls", 0) for name, summary in said.items() if name.startswith("listener")),
        not_durable=said["raft"].get("not_durable", 0),
        not_applied=max(0, handed - applied),
    )


def directory_bytes(directory: Path) -> int:
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass  # released meanwhile
    return total


def check(curve: list[Sample], snapshot_count: int) -> None:
    """raises AssertionError"""
    log_max = limits.CATCH_UP_ENTRIES + snapshot_count + limits.APPLY_LAG_MAX + limits.CALLS_IN_FLIGHT_MAX
    for at in curve:
        assert at.log_entries <= log_max, f"raft log of {at.log_entries} entries, at most {log_max}"
        assert at.segments <= MAX_WALS + 2, f"{at.segments} segments"
        assert at.wal_bytes <= (MAX_WALS + 2) * SEGMENT_BYTES, f"{at.wal_bytes} bytes of WAL"
        # Two heartbeats, half a second apart, are compared: so this is the order of magnitude.
        assert at.not_applied <= 4 * limits.APPLY_LAG_MAX + 20_000, f"{at.not_applied} entries for the backend wait"
        assert at.calls <= limits.CALLS_IN_FLIGHT_MAX + limits.CALLS_RESERVED, f"{at.calls} calls under way"
        for name, size in at.rss.items():
            most = RSS_MAX + (at.puts * BACKEND_BYTES_PER_REVISION if name == "backend" else 0)
            assert size <= most, f"{name} uses {size / MIB:.0f} MiB after {at.puts} puts, at most {most / MIB:.0f}"
    early, last = curve[len(curve) // 3], curve[-1]
    for name in last.rss.keys() - {"backend"}:
        grown = last.rss[name] - early.rss[name]
        assert grown <= GROWTH_MAX, f"{name} has grown by {grown / MIB:.0f} MiB since {early.puts} puts"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.process.bounded")
    parser.add_argument("--puts", type=int, default=3_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--snapshot-count", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two samples")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bounded-") as directory:
        with Etcdz(Path(directory), f"--snapshot-count={args.snapshot_count}") as member:
            curve = run(Trial(member, 0), args.puts, args.keys, args.every)
            check(curve, args.snapshot_count)
    print("within bounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
