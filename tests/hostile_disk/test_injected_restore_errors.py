"""Each system call of a restore fails once: it says so, and leaves what is whole, or nothing, or refused at a start."""

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from etcdz.migration.errors import MigrationError
from etcdz.migration.inventory import Work, examine
from etcdz.store import buckets
from etcdz.store.disk import RealDisk
from etcdz.store.leveldb import LevelStore
from etcdz.wal.start import open_newest
from tests.etcd_process import Etcdz
from tests.offline.members import put_many
from tests.offline.test_snapshots import save
from tests.process.injected import needs_strace, run_traced

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(900), needs_strace]

CALLS = ("write", "pwrite64", "fallocate", "fdatasync", "fsync", "rename", "mkdir", "ftruncate")
KEYS = 500


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("snapshot")
    with Etcdz(top) as member:
        put_many(member, KEYS, 100)
        save(member, top / "snap")
    return top / "snap"


def restore(snapshot: Path, top: Path, *inject: str) -> tuple[int, str, str]:
    """return (exit status, what it said, what strace says)"""
    top.mkdir()
    trace = top / "strace"
    order = ["snapshot", "restore", str(snapshot), f"--data-dir={top}/data", f"--wal-dir={top}/wal"]
    done = run_traced(trace, CALLS, inject, ["-m", "etcdz.cli.utl", *order])
    return done.returncode, done.stderr, trace.read_text()


def is_whole(top: Path) -> bool:
    """Whether a member would start here with all keys. False: it is refused, or there is nothing"""
    data, wal = top / "data", top / "wal"
    if not (data / "member").exists():
        return False
    try:
        assert examine(data, wal, True) is Work.NONE
    except MigrationError:
        return False
    start = open_newest(RealDisk(), str(wal), str(data / "member" / "snap"))
    start.log.close()
    assert start.snap is not None
    store = LevelStore(data / "member" / "snap" / "leveldb")
    try:
        return len(list(store.iterate(buckets.KEY, buckets.bucket_end(buckets.KEY)))) == KEYS
    finally:
        store.close()


@pytest.mark.parametrize("code", ["EIO", pytest.param("ENOSPC", marks=pytest.mark.long)])
def test_a_restore_that_fails_leaves_nothing_half_done(
    code: str, snapshot: Path, tmp_path: Path, is_long: bool, seed: int
) -> None:
    status, said, trace = restore(snapshot, tmp_path / "whole")
    assert status == 0 and is_whole(tmp_path / "whole"), said
    for call in CALLS:
        count = max(Counter(re.findall(rf"^(\d+) +{call}\(", trace, re.MULTILINE)).values(), default=0)
        chosen = range(1, count + 1)
        for at in chosen if is_long else random.Random(f"{seed}{call}").sample(chosen, min(count, 1)):
            top = tmp_path / f"{call}-{at}"
            status, said, _ = restore(snapshot, top, "-e", f"inject={call}:error={code}:when={at}")
            what = f"{code} of {call} number {at}, seed {seed}: {status}, {said}"
            assert "Traceback" not in said, what
            assert is_whole(top) or (status != 0 and not (top / "data" / "member").exists()), what
