"""When the backend looks at free disk space, and what it does about it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.backend.ballast_watch import BallastWatch
from etcdz import limits
from etcdz.ipc.messages import Apply
from etcdz.store import ballast
from etcdz.store.ballast import Ballast
from tests.actors.backend.started import RAFT, TERM, Entries, Started
from tests.actors.backend.test_reads import Log


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how much space the disk has, and makes ballast files small."""
    monkeypatch.setattr(limits, "BALLAST_BYTES", 1 << 16)

    def set_free(size: int) -> None:
        monkeypatch.setattr(ballast, "free_bytes", lambda directory: size)

    set_free(1 << 40)
    return set_free


def test_the_ballast_goes_when_space_is_short_and_comes_back_when_there_is_plenty(
    free: Callable[[int], None], tmp_path: Path
) -> None:
    log = Log()
    watch = BallastWatch(Ballast(tmp_path), log)
    watch.check()
    assert (tmp_path / "reserve").stat().st_size == limits.BALLAST_BYTES
    free(limits.STORE_SHORT_BYTES - 1)
    watch.check()
    assert not (tmp_path / "reserve").exists()
    free(limits.BALLAST_BYTES + limits.DISK_RESERVE_BYTES)
    watch.check()
    assert not (tmp_path / "reserve").exists(), "writes would soon take it again"
    free(1 << 40)
    watch.check()
    assert (tmp_path / "reserve").exists()
    assert log.lines == ["free disk space"] * 3


def test_much_that_is_written_brings_on_a_look(free: Callable[[int], None], start: Callable[..., Started]) -> None:
    one, entries = start(), Entries()
    one.actor.ballast.next_check_at = float("inf")
    free(limits.STORE_SHORT_BYTES - 1)
    one.turn(Apply(RAFT, 1, TERM, [entries.put(b"a", bytes(1000))[1]], b""))
    held = Path(one.actor.config.data_dir) / "member" / "snap" / "reserve"
    assert held.exists()
    one.turn(Apply(RAFT, 2, TERM, [entries.put(b"a", bytes(limits.BALLAST_CHECK_BYTES))[1]], b""))
    assert not held.exists()
