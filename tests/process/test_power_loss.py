"""Power loss: of what was not synced, anything may be gone. The log and the store together must lose nothing.

Once on a real file system whose power is cut (needs root), and once by tearing the files of a killed member by hand.
"""

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.etcd_process import MemberFailed
from tests.process import damage
from tests.process.disks import ShakyDisk, why_no_mounts
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]


@pytest.mark.parametrize("adversary", ["as it comes", "pages written back in any order"])
def test_a_power_cut_loses_nothing_acknowledged(
    adversary: str, make_trial: Callable[..., Trial], tmp_path: Path, is_long: bool
) -> None:
    if why := why_no_mounts(ShakyDisk, tmp_path):
        pytest.skip(why)
    if adversary == "as it comes" and not is_long:
        pytest.skip("the other adversary only with --long")
    with ShakyDisk(tmp_path) as disk:
        trial = make_trial("--snapshot-count=700", data_dir=disk.path / "data")
        for number in range(20 if is_long else 2):
            with trial.load() as load:
                trial.random_moment(load, (300, 3_000 if is_long else 1_000))
                if adversary != "as it comes":
                    write_back_some(disk, trial)
                disk.cut_power()
                trial.crash(load)
            disk.come_back()
            trial.member.start()
            print(f"round {number + 1}: {trial.verify()}")
        trial.member.kill9()


def write_back_some(disk: ShakyDisk, trial: Trial) -> None:
    """What the kernel may do at any time: a few runs of pages of the newest files reach the disk before others do."""
    for directory in (damage.leveldb_dir(trial.member.data_dir), damage.wal_dir(trial.member.data_dir)):
        newest = sorted(directory.glob("*.log") if directory.name == "leveldb" else directory.glob("*.wal"))[-1:]
        for path in newest:
            with suppress(FileNotFoundError):  # it is released meanwhile
                pages = max(1, path.stat().st_size // 4096)
                for _ in range(4):
                    disk.write_back(path, trial.random.randrange(pages) * 4096, trial.random.randint(1, 8) * 4096)


@pytest.mark.usefixtures("needs_actors")
def test_torn_files_lose_nothing_acknowledged(make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial()
    for number in range(20 if is_long else 2):
        with trial.load() as load:
            trial.random_moment(load)
            trial.crash(load)
        data_dir = trial.member.data_dir
        done = [damage.tear_wal(data_dir, trial.record, trial.random), damage.tear_leveldb(data_dir, trial.random)]
        print(f"round {number + 1}: {done}")
        trial.member.start()
        print(trial.verify())


@pytest.mark.usefixtures("needs_actors")
def test_a_store_that_fell_back_is_recovered_from_the_log(make_trial: Callable[..., Trial]) -> None:
    """An older copy of the store, then none at all: the log still reaches back to the beginning."""
    trial = make_trial()
    with trial.load() as load:
        trial.random_moment(load)
    trial.member.stop()
    store = damage.leveldb_dir(trial.member.data_dir)
    shutil.copytree(store, store.with_name("older"))
    trial.member.start()
    with trial.load() as load:
        trial.random_moment(load)
        trial.crash(load)
    shutil.rmtree(store)
    store.with_name("older").rename(store)
    trial.member.start()
    print("older:", trial.verify())
    trial.member.kill9()
    shutil.rmtree(store)
    trial.member.start()
    print("none:", trial.verify())


@pytest.mark.usefixtures("needs_actors")
def test_a_lost_store_that_the_log_cannot_bring_back_is_no_empty_store(make_trial: Callable[..., Trial]) -> None:
    """Snapshots have been taken: what they stand for was in the store alone."""
    trial = make_trial("--snapshot-count=200")
    with trial.load() as load:
        load.wait_acknowledged(2_000)
    trial.member.stop()
    shutil.rmtree(damage.leveldb_dir(trial.member.data_dir))
    try:
        trial.member.start()
    except MemberFailed as error:
        assert "leveldb" in str(error) or "backend" in str(error), error
        assert not trial.member.running
    else:
        print(trial.verify())  # the log still held everything: then it must all be there


@pytest.mark.usefixtures("needs_actors")
def test_the_log_cut_at_every_byte_of_its_last_record_starts(make_trial: Callable[..., Trial], is_long: bool) -> None:
    """A file that ends early, as after a crash while it grew. In the short form one of the bytes.

    The store goes too, for it has seen the record: a crash never takes from the log what the store knows of.
    """
    trial = make_trial()
    with trial.load() as load:
        load.wait_acknowledged(300)
    trial.member.kill9()
    segment = damage.segments(trial.member.data_dir)[-1]
    whole = segment.read_bytes()
    last = damage.frames(whole)[-1]
    cuts = list(range(last.lo, last.hi))
    for cut in cuts if is_long else random.Random(trial.seed).sample(cuts, 1):
        segment.write_bytes(whole[:cut])
        shutil.rmtree(damage.leveldb_dir(trial.member.data_dir))
        trial.member.start()
        trial.put(b"put/after")
        trial.member.kill9()


@pytest.mark.usefixtures("needs_actors")
def test_a_log_that_lost_what_the_store_has_applied_is_refused(make_trial: Callable[..., Trial]) -> None:
    """No crash does that: part of the log is gone, or belongs to another store."""
    trial = make_trial()
    with trial.load() as load:
        load.wait_acknowledged(300)
    trial.member.stop()
    segment = damage.segments(trial.member.data_dir)[-1]
    whole = segment.read_bytes()
    walk = damage.frames(whole)
    segment.write_bytes(whole[: walk[len(walk) // 2].lo])
    with pytest.raises(
        MemberFailed, match=r"exit code [1-9](?s:.*)the backend has applied entry \d+, but the log ends"
    ):
        trial.member.start()
