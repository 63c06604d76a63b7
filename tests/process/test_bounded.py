"""Nothing grows with the number of writes but the history itself; and too many calls at once are told so."""

import os
import signal
from collections import Counter
from collections.abc import Callable

import pytest

from etcdz import limits
from tests.process import bounded
from tests.process.bounded import MIB
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(1_800)]

TOO_MANY = "8 etcdserver: too many requests"


def test_log_mailboxes_and_memory_stay_bounded(make_trial: Callable[..., Trial], is_long: bool) -> None:
    snapshot_count, puts = (10_000, 3_000_000) if is_long else (5_000, 40_000)
    trial = make_trial(f"--snapshot-count={snapshot_count}")
    curve = bounded.run(trial, puts, keys=10_000, every_s=5 if is_long else 0)
    bounded.check(curve, snapshot_count)
    assert trial.get(b"bounded/00000000").header.revision == puts + 1


def test_an_overload_is_answered_and_passes_at_once(make_trial: Callable[..., Trial], is_long: bool) -> None:
    """More calls at a time than are admitted: some are told so, the others done, and the next call finds it idle."""
    trial = make_trial("--actor-rules=wal:halt=120s,hang=120s")
    before = trial.actors()
    answers: Counter[str] = Counter()
    puts = 500_000 if is_long else 40_000
    os.kill(before["wal"]["pid"], signal.SIGSTOP)  # or a busy machine may send them too slowly for an overload
    for progress in bounded.flood(trial.member, puts, keys=1_000, connections=60, streams=100):
        answers = Counter(progress["errors"])
        if answers:
            os.kill(before["wal"]["pid"], signal.SIGCONT)
    after = trial.put(b"put/after")
    print(f"{puts} puts, {answers}, revision {after.header.revision}")
    assert set(answers) == {TOO_MANY}
    assert after.header.revision == 2 + puts - answers[TOO_MANY], "done exactly if not refused"
    for name, row in trial.actors().items():
        assert row["pid"] == before[name]["pid"], f"{name} was restarted"
        assert row["rss_bytes"] <= before[name]["rss_bytes"] + 128 * MIB, f"{name} has grown"


def test_the_overload_is_one() -> None:
    assert limits.CALLS_IN_FLIGHT_MAX + limits.CALLS_RESERVED < 60 * 100
