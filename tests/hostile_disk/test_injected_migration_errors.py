"""Each system call of a migration fails once: it says so, and the next start has all keys, whichever store it finds."""

import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from etcdz.migration.takeover import take_over
from etcdz.store import buckets
from etcdz.store.leveldb import LevelStore
from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.offline.members import put_many
from tests.process.injected import needs_strace, run_traced

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
    needs_strace,
]

CALLS = ("write", "pwrite64", "fallocate", "fdatasync", "fsync", "rename", "mkdir", "ftruncate", "unlink", "link")
KEYS = 300
TAKEOVER = "import sys, pathlib; from etcdz.migration.takeover import take_over; top = pathlib.Path(sys.argv[1]); "
TAKEOVER += "take_over(top, top / 'member' / 'wal')"
WORK = {
    "a takeover": (RealEtcd, ["-c", TAKEOVER]),
    "a migration to etcdz": (RealEtcd, ["-m", "etcdz.cli.utl", "migrate", "--to=etcdz", "--data-dir"]),
    "a migration to etcd": (Etcdz, ["-m", "etcdz.cli.utl", "migrate", "--to=etcd", "--data-dir"]),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[type[Member], Path]:
    """A data directory of each."""
    found: dict[type[Member], Path] = {}
    for kind in (RealEtcd, Etcdz):
        with kind(tmp_path_factory.mktemp(kind.kind)) as member:
            put_many(member, KEYS, 100)
        found[kind] = member.data_dir
    return found


def keys_after_the_next_start(top: Path) -> int:
    """A start takes over what it finds to be etcd's."""
    take_over(top, top / "member" / "wal")
    store = LevelStore(top / "member" / "snap" / "leveldb")
    try:
        return len(list(store.iterate(buckets.KEY, buckets.bucket_end(buckets.KEY))))
    finally:
        store.close()


@pytest.mark.parametrize("code", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("work", WORK)
def test_a_migration_that_fails_loses_nothing(
    work: str, code: str, made: dict[type[Member], Path], tmp_path: Path, is_long: bool, seed: int
) -> None:
    if not is_long and (code == "EIO") != (work == "a takeover"):
        pytest.skip("the other error only with --long")
    kind, arguments = WORK[work]

    def run(name: str, *inject: str) -> tuple[Path, int, str, str]:
        top = tmp_path / name
        shutil.copytree(made[kind], top)
        done = run_traced(tmp_path / f"{name}.strace", CALLS, inject, [*arguments, str(top)])
        return top, done.returncode, done.stderr, (tmp_path / f"{name}.strace").read_text()

    top, status, said, trace = run("whole")
    assert (status, keys_after_the_next_start(top)) == (0, KEYS), said
    tried = 0
    for call in CALLS if is_long else random.Random(seed).sample(CALLS, 5):
        count = max(Counter(re.findall(rf"^(\d+) +{call}\(", trace, re.MULTILINE)).values(), default=0)
        chosen = range(1, count + 1)
        for at in chosen if is_long else random.Random(f"{seed}{call}").sample(chosen, min(count, 1)):
            top, status, said, _ = run(f"{call}-{at}", "-e", f"inject={call}:error={code}:when={at}")
            what = f"{code} of {call} number {at}, seed {seed}: {status}, {said}"
            assert "-m" not in arguments or "Traceback" not in said, what
            assert keys_after_the_next_start(top) == KEYS, what
            shutil.rmtree(top)
            tried += 1
    assert tried >= (5 if is_long else 1)
