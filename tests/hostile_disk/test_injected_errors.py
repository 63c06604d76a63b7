"""Each call that touches the disk fails once: what was acknowledged is there afterwards, and a member whose log is not
trusted any more has ended.

The subject is the wal, through its actor: its log and .snap files. What it does to the disk is counted, and then each
of these calls fails in a run of its own, with EIO and with ENOSPC, before and after it has done its work. The log is
opened again, written to again, and then the power fails: a sync that failed once must never vouch for what it did not
write.
"""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from etcdz.store.disk import RealDisk
from etcdz.wal.files import Disk
from tests.hostile_disk.failing_disk import FailingDisk, FailingSystem, Failure
from tests.hostile_disk.wal_run import Wal, entry_of, smallness
from tests.wal.fake_disk import FakeDisk

REASONS = ("failed to save Raft hard state and entries: ", "cannot open the log: ", "cannot read the log: ")
pytestmark = pytest.mark.slow

KINDS = [(errno.EIO, False), (errno.EIO, True), (errno.ENOSPC, False), (errno.ENOSPC, True)]
IDS = ["EIO", "EIO after the work", "ENOSPC", "ENOSPC after the work"]


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with smallness():
        yield


@pytest.fixture
def top() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:  # the path of a unix socket must be short
        yield Path(folder)


def fake_disk(random: Random) -> FakeDisk:
    disk = FakeDisk(random=random)
    disk.make_directory("/data")
    disk.sync_directory("/")
    return disk


def check(wal: Wal, disk: Disk) -> None:
    """What was acknowledged is on this disk, as it was written, and all of the log can be read."""
    if not wal.acknowledged:
        return
    start = wal.open(disk)
    first = start.log.first_index
    found = start.log.read_entries(first)
    assert found == [entry_of(index) for index in range(first, first + len(found))]
    assert start.recovered.last_index >= wal.acknowledged
    assert first <= (start.snap.index if start.snap is not None else 0) + 1
    start.log.close()


def number_of_calls(top: Path, seed: int) -> int:
    disk = FailingDisk(fake_disk(Random(seed)), Failure(), Random(seed))
    wal = Wal(disk, top, disk.end_process)
    wal.live()
    assert wal.reason == "" and wal.acknowledged == wal.next_index - 1
    assert 2 <= len(disk.disk.list(wal.wal_dir)) <= 3, "segments were cut and released"
    return disk.counted.calls


def run(top: Path, failure: Failure, seed: int) -> None:
    """A life in which a call fails; then the power fails, or the member starts again, and the power fails later."""
    random = Random(seed * 1000 + failure.at)
    failing = FailingDisk(fake_disk(random), failure, random)
    wal = Wal(failing, top, failing.end_process)
    wal.live()
    assert failing.counted.failed is not None
    name, path = failing.counted.failed
    what = f"{name} of {path} (call {failure.at}, seed {seed})"
    check_reason(wal.reason, failure.code, name, str(path), what)
    try:
        check(wal, failing.disk.crash(random))
        wal.go_on()
        assert wal.reason == ""
        check(wal, failing.disk.crash(random))
    except Exception as error:
        raise AssertionError(f"after {what}: {error!r}") from error


def check_reason(reason: str, code: int, name: str, path: str, what: str) -> None:
    """An error on the log ends the member. A .snap file, or one that is not needed any more, is not worth that."""
    assert not reason or reason.startswith(REASONS), what
    is_needless = ".snap" in path or path.endswith("/snap") or name == "remove"
    if is_needless:
        assert not reason or reason.startswith(REASONS[1]), f"{what} must not end the member"
    elif code == errno.EIO and name != "exists":
        assert reason, f"{what} is hidden"


@pytest.mark.parametrize(("code", "is_late"), KINDS, ids=IDS)
def test_no_call_that_fails_costs_an_acknowledged_entry(code: int, is_late: bool, top: Path, is_long: bool) -> None:
    for seed in range(20 if is_long else 1):
        for at in range(number_of_calls(top, seed)):
            run(top, Failure(at, code, is_late), seed)


@pytest.mark.parametrize(("code", "is_late"), KINDS, ids=IDS)
def test_the_real_disk_tells_of_every_system_call_that_fails(
    code: int, is_late: bool, top: Path, is_long: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for what is below: which errors of Linux mean a full disk, and what is tidied up after them."""
    step = 1 if is_long else 8
    at = seed % step
    while True:
        data_dir = top / f"{at}"
        data_dir.mkdir()
        system = FailingSystem(Failure(at, code, is_late))
        monkeypatch.setattr("etcdz.store.disk.os", system)
        run_dir = top / "run"
        run_dir.mkdir(exist_ok=True)
        wal = Wal(RealDisk(), run_dir, system.end_process, str(data_dir))
        wal.live()
        if system.counted.failed is None:
            break
        assert not wal.reason or wal.reason.startswith(REASONS)
        wal.go_on()
        assert wal.reason == ""
        check(wal, RealDisk())
        system.end_process()
        shutil.rmtree(data_dir)
        at += step
    assert at > 100
