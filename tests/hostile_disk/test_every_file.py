"""Damage in every kind of file of a data directory, at a member's own start, in this process.

Either all data is served, the same as before, or the member does not start: then a reason is given, and no byte in
`member/` is another one. Data that the damage has not touched is there afterwards in either case.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from etcdz.mvcc import index_pages
from etcdz.store.inspection import is_new
from etcdz.store.leveldb import LevelStore, StoreBroken
from tests.hostile_disk import damages
from tests.hostile_disk.life import Lives, Refused, Served, fill, fill_on, hashes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KINDS = {
    "CURRENT": "member/snap/leveldb/CURRENT",
    "manifest": "member/snap/leveldb/MANIFEST-*",
    "store's log": "member/snap/leveldb/*.log",
    "table": "member/snap/leveldb/*.ldb",
    "LOCK": "member/snap/leveldb/LOCK",
    "LOG": "member/snap/leveldb/LOG*",
    "segment": "member/wal/*.wal",
    ".snap": "member/snap/*.snap",
    "ballast": "member/snap/reserve",
    "lock": "etcdz.lock",
    "record": "etcdz.json",
}
OF_THE_STORE = ("CURRENT", "manifest", "store's log", "table")
HARMLESS = ("LOCK", "LOG", "ballast", "lock", "record")
"""Whatever is in these files: the member starts."""


class Original(NamedTuple):
    """A killed member's directory. reaches_back: whether its log begins at entry 1."""

    lives: Lives
    path: Path
    contents: Served
    reaches_back: bool

    def copy(self, target: Path) -> Path:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.path, target)
        return target


@pytest.fixture(scope="module", params=[0, 3], ids=["whole log", "released log"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Original:
    lives = Lives(max_wals=request.param)
    path = tmp_path_factory.mktemp("original") / "data"
    lives.start(path, fill)
    contents = lives.start(path, fill_on)
    assert isinstance(contents, Served) and len(contents.rows) > 40
    (path / "etcdz.json").write_text('{"pid": 1, "run_dir": "/nowhere", "control": "ipc:///nowhere/control"}\n')
    segments = sorted((path / "member" / "wal").glob("*.wal"))
    assert len(segments) > 1 and segments[0].name.startswith("0" * 16) == (request.param == 0)
    tables, logs = list(path.glob(KINDS["table"])), list(path.glob(KINDS["store's log"]))
    assert len(tables) > 1 and max(log.stat().st_size for log in logs) > 5000
    return Original(lives, path, contents, request.param == 0)


def assert_served_or_refused(original: Original, data: Path, what: str) -> Served | Refused:
    """After the damage, at a start and at the next one."""
    before, rows_before = hashes(data), rows(data)
    found = original.lives.start(data)
    if isinstance(found, Served):
        assert found == original.contents, f"{what}: other data is served"
        assert original.lives.start(data) == original.contents, f"{what}: at the second start"
        return found
    assert found.reason and "Traceback" not in found.reason, what
    assert "snapshot restore" in found.reason, f"{what}: {found.reason}"
    others = changed(before, hashes(data))
    if rows_before is not None:  # a whole store is opened before the log has been judged
        assert rows(data) == rows_before, f"{what}: {found.reason}"
        others = [name for name in others if not name.startswith("member/snap/leveldb/")]
    assert others == [], f"{what}: {found.reason}"
    return found


def rows(data: Path) -> list[tuple[bytes, bytes]] | None:
    """Of the store, read from a copy, but for lists of its records, which any start may add; None: it is not whole."""
    copy = data.with_name("rows")
    shutil.rmtree(copy, ignore_errors=True)
    store = data / "member" / "snap" / "leveldb"
    if is_new(store):
        return None
    shutil.copytree(store, copy)
    try:
        with closing(LevelStore(copy)) as store:
            every = store.iterate(b"", b"\xff", verify=True)
            return [row for row in every if not row[0].startswith(index_pages.BUCKET)]
    except StoreBroken:
        return None


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Files that are others now. A .snap that cannot be read is set aside by a new name, as etcd does."""
    for name in [name for name in after if name.endswith(".snap.broken")]:
        after[name.removesuffix(".broken")] = after.pop(name)
    return [name for name in sorted(before | after) if before.get(name) != after.get(name)]


def files(data: Path, kind: str) -> list[Path]:
    return sorted(path for path in data.glob(KINDS[kind]))


def cases(is_long: bool, kind: str) -> Iterator[Random]:
    """NB: seeds are fixed, so that what fails fails again; --long has more of them."""
    for seed in range(40 if is_long else 1):
        yield Random(f"{kind} {seed}")


@pytest.mark.parametrize("damage", damages.ALL, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_all_is_served_or_nothing_is_touched(
    kind: str, damage: damages.Damage, original: Original, tmp_path: Path, is_long: bool
) -> None:
    for random in cases(is_long, f"{kind} {damage.__name__}"):
        data = original.copy(tmp_path / "data")
        path = random.choice(files(data, kind))
        if not path.stat().st_size and damage not in (damages.lengthen, damages.remove):
            continue
        what = f"{path.relative_to(data)}: {damage(path, random)}"
        found = assert_served_or_refused(original, data, what)
        is_refused = isinstance(found, Refused)
        if kind in HARMLESS or kind == "CURRENT" or (kind in OF_THE_STORE and original.reaches_back):
            assert not is_refused, f"{what}: {found}"
        if isinstance(found, Refused) and kind in OF_THE_STORE:
            assert path.name in found.reason or "entries" in found.reason, f"{what}: {found.reason}"


MISSING = {
    "all segments": "member/wal/*",
    "all .snap files": "member/snap/*.snap",
    "all of the store": "member/snap/leveldb",
    "all in the store": "member/snap/leveldb/*",
    "the store's manifests": "member/snap/leveldb/MANIFEST-*",
    "the store's tables": "member/snap/leveldb/*.ldb",
    "the snap directory": "member/snap",
    "the first segment": "member/wal/00*",
}


@pytest.mark.parametrize("what", MISSING)
def test_where_more_than_a_file_is_missing(what: str, original: Original, tmp_path: Path) -> None:
    data = original.copy(tmp_path / "data")
    gone = sorted(data.glob(MISSING[what]))
    for path in gone[:1] if what == "the first segment" else gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = assert_served_or_refused(original, data, what)
    if (original.reaches_back and "segment" not in what) or what == "all .snap files":
        assert isinstance(found, Served), found


def test_the_end_of_the_store_is_not_cut_off_where_the_log_does_not_go_on_from_there(
    original: Original, tmp_path: Path
) -> None:
    data = original.copy(tmp_path / "data")
    log = max(files(data, "store's log"), key=lambda path: path.stat().st_size)
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size // 8)  # as a crash may leave it, but for what the log has
    for segment in files(data, "segment")[:-1]:
        segment.unlink()
    before = hashes(data)
    found = original.lives.start(data)
    assert isinstance(found, Refused) and "entries" in found.reason and "Nothing has been changed" in found.reason
    assert changed(before, hashes(data)) == []
