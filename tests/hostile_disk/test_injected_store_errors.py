"""Each system call of LevelDB's fails once: what was written is there afterwards, and a write that is not there is no
write that was told of.

strace makes them fail, in a process of its own (store_run.py): LevelDB makes its calls by itself, some in its thread.
"""

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile_disk import store_run
from tests.process.injected import needs_strace, run_traced

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(900), needs_strace]

CALLS = ("write", "fdatasync", "fsync", "rename", "unlink", "ftruncate", "mkdir")
SAMPLE = 4
"""Of the calls of a kind, in the short form."""


def run(directory: Path, *inject: str) -> tuple[list[int], str, str]:
    """return (batches that it told of, how it ended, what strace says)"""
    trace = directory.with_suffix(".strace")
    done = run_traced(trace, CALLS, inject, ["-m", "tests.hostile_disk.store_run", str(directory)])
    lines = done.stdout.split("\n")[:-1]
    assert lines, done.stderr
    return [int(line) for line in lines[:-1]], lines[-1], trace.read_text()


@pytest.mark.parametrize("code", [pytest.param("EIO", marks=pytest.mark.long), "ENOSPC"])
def test_no_call_that_fails_costs_a_batch_that_was_written(code: str, tmp_path: Path, is_long: bool, seed: int) -> None:
    told, end, trace = run(tmp_path / "whole")
    assert (told, end) == (list(range(store_run.BATCHES)), "closed")
    for call in CALLS:
        # NB: strace counts calls by thread: call number n is that of each of them.
        count = max(Counter(re.findall(rf"^(\d+) +{call}\(", trace, re.MULTILINE)).values(), default=0)
        chosen = range(1, count + 1)
        if not is_long:
            chosen = sorted(random.Random(f"{seed}{call}").sample(chosen, min(count, SAMPLE if call == "write" else 1)))
        for at in chosen:
            directory = tmp_path / f"{call}-{at}"
            told, end, _ = run(directory, "-e", f"inject={call}:error={code}:when={at}")
            what = f"{code} of {call} number {at}, seed {seed}: {end}"
            assert told == list(range(len(told))), what
            assert end == "closed" or end.startswith(("ended StoreBroken: ", "ended StoreSyncFailed: ")), what
            assert end != "closed" or len(told) == store_run.BATCHES, what
            assert len(told) <= store_run.found_in(directory) <= len(told) + 1, what
