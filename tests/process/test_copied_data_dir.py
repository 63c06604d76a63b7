"""A copy of a live member's data directory is started: two members live, and neither knows of the other."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.etcd_process import Member
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120)]


def copy_live(source: Path, target: Path) -> None:
    """The log comes last: what the store has applied by then is in it, as it is on the disk after a crash."""
    for part in ("snap", "wal"):
        ignored = shutil.ignore_patterns("*.tmp")  # a segment that is being made
        shutil.copytree(source / "member" / part, target / "member" / part, ignore=ignored)
    for path in source.iterdir():
        if path.is_file():
            shutil.copy2(path, target)


def test_the_live_member_goes_on(
    make_trial: Callable[..., Trial], make_member: Callable[..., Member], tmp_path: Path
) -> None:
    live = make_trial()
    live.put(b"a", b"1")
    copied = tmp_path / "copy"
    copy_live(live.member.data_dir, copied)
    copy = Trial(make_member(data_dir=copied).start(), live.seed)
    try:
        assert {actor["pid"] for actor in live.actors().values()}.isdisjoint(
            actor["pid"] for actor in copy.actors().values()
        )
        before = live.actors()
        os.kill(int(before["backend"]["pid"]), signal.SIGKILL)
        live.wait_restarted(before, "backend")
        copy.put(b"a", b"of the copy")
        copy.member.stop()
        assert live.get(b"a").kvs[0].value == b"1"
        assert live.actors()["backend"]["state"] == "ready"
    finally:
        copy.member.stop()
