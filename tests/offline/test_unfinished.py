"""A restore or a migration that was killed: no member starts as an empty cluster on what it has left."""

import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from etcdz.cli.utl import main as etcdzutl
from etcdz.migration.inventory import BUILDING, RESTORING
from tests.etcd_process import Etcdz, Member, MemberFailed, RealEtcd
from tests.offline.members import hash_kv, put_many
from tests.offline.test_snapshots import save

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.timeout(600),
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
KEYS = 8_000
SIZE = 200


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, int, int]]:
    """(a file of some 2 MB, its HashKV)"""
    top = tmp_path_factory.mktemp("snapshot")
    with Etcdz(top) as member:
        put_many(member, KEYS, SIZE)
        save(member, top / "snap")
        return top / "snap", hash_kv(member)


def killed(arguments: list[str], building: Path, after_s: float) -> bool:
    """Runs etcdzutl and kills it so long after it has begun to build, unless it has ended. return if it was killed"""
    process = subprocess.Popen(
        [sys.executable, "-m", "etcdz.cli.utl", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not building.exists() and process.poll() is None:
        pass
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() != 0


def restore(path: Path, member: Member, wal_dir: Path | None) -> list[str]:
    return ["snapshot", "restore", str(path), f"--data-dir={member.data_dir}"] + (
        [f"--wal-dir={wal_dir}"] if wal_dir else []
    )


def took_s(arguments: list[str], building: Path) -> float:
    """How long it builds when nothing disturbs it."""
    process = subprocess.Popen([sys.executable, "-m", "etcdz.cli.utl", *arguments])
    while not building.exists():
        assert process.poll() is None
    began = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - began


@pytest.mark.parametrize(
    "elsewhere",
    [pytest.param(False, id="log inside", marks=pytest.mark.long), pytest.param(True, id="log elsewhere")],
)
def test_a_killed_restore(
    elsewhere: bool, snapshot: tuple[Path, tuple[int, int, int]], tmp_path: Path, seed: int, is_long: bool
) -> None:
    """The start is refused with the way out, or all keys are there; and the way out leads to all keys."""
    path, expected = snapshot
    rng = random.Random(seed)
    first = Etcdz(tmp_path / "whole")
    limit_s = took_s(restore(path, first, None), first.data_dir / RESTORING)
    refused = 0
    for number in itertools.count():
        if refused and number >= (20 if is_long else 2):
            break
        wal_dir = tmp_path / f"{number}.wal" if elsewhere else None
        member = Etcdz(tmp_path / str(number), *([f"--wal-dir={wal_dir}"] if wal_dir else []))
        after_s = rng.uniform(0, 1.1) * limit_s if refused else 0  # on a busy machine even that may be too late
        killed(restore(path, member, wal_dir), member.data_dir / RESTORING, after_s)
        if (member.data_dir / RESTORING).exists():
            with pytest.raises(MemberFailed, match=r"member\.restoring is what a `snapshot restore`"):
                member.start()
            refused += 1
        if not (member.data_dir / "member").exists():
            assert etcdzutl(restore(path, member, wal_dir)) == 0
        with member:
            assert hash_kv(member) == expected


def test_a_restore_goes_nowhere_near_one_that_is_at_work(
    snapshot: tuple[Path, tuple[int, int, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, expected = snapshot
    for number in itertools.count():
        member = Etcdz(tmp_path / str(number))
        at_work = subprocess.Popen([sys.executable, "-m", "etcdz.cli.utl", *restore(path, member, None)])
        while not (member.data_dir / RESTORING / "snap").exists() and at_work.poll() is None:
            pass
        at_work.send_signal(signal.SIGSTOP)
        if (member.data_dir / RESTORING).exists():
            break
        at_work.send_signal(signal.SIGCONT)  # it was done before it was stopped
        assert at_work.wait() == 0
    assert etcdzutl(restore(path, member, None)) == 1
    assert "another restore is at work in" in capsys.readouterr().err
    at_work.send_signal(signal.SIGCONT)
    assert at_work.wait() == 0
    with member:
        assert hash_kv(member) == expected


def test_a_killed_migration(tmp_path: Path, seed: int, is_long: bool) -> None:
    """To etcdz: the start finishes it. Back to etcd: the start says how to finish it."""
    rng = random.Random(seed)
    theirs = RealEtcd(tmp_path)
    with theirs:
        put_many(theirs, KEYS, SIZE)
        expected = hash_kv(theirs)
    migrate = ["migrate", f"--data-dir={theirs.data_dir}"]
    limit_s = took_s(migrate, theirs.data_dir / BUILDING)
    ours = Etcdz(tmp_path / "ours")
    ours.data_dir = theirs.data_dir
    for _ in range(10 if is_long else 1):
        killed([*migrate, "--to=etcd"], theirs.data_dir / BUILDING, rng.uniform(0, 1.1) * limit_s)
        try:
            ours.start()
        except MemberFailed as refused:
            assert "is what a `migrate` that did not come to its end has left" in str(refused)
            assert etcdzutl([*migrate, "--to=etcd"]) == 0
            killed([*migrate, "--to=etcdz"], theirs.data_dir / BUILDING, rng.uniform(0, 1.1) * limit_s)
            ours.start()
        assert hash_kv(ours) == expected
        ours.stop()
