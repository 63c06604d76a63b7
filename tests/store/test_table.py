"""A damaged table is found, wherever the damage is; and what LevelDB reads is checked."""

import shutil
from contextlib import closing
from pathlib import Path
from random import Random

import plyvel
import pytest

from etcdz.store.leveldb import DAMAGED, LevelStore
from etcdz.store.table import find_bad_block, find_bad_table


@pytest.fixture(params=[b"compressible " * 20, None], ids=["snappy", "plain"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    random = Random(1)
    with closing(plyvel.DB(str(tmp_path / "db"), create_if_missing=True)) as db:
        for number in range(300):
            db.put(b"%08d" % number, request.param or random.randbytes(200))
        db.compact_range()
    (path,) = (tmp_path / "db").glob("*.ldb")
    return path


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def test_a_whole_table_is_whole(table: Path) -> None:
    assert find_bad_block(table) is None
    assert find_bad_table(table.parent) is None


def test_a_table_that_a_compaction_removes_meanwhile_is_passed_over(table: Path) -> None:
    (table.parent / "000001.ldb").symlink_to("gone")  # listed, and not there when it is read
    assert find_bad_table(table.parent) is None
    flip(table, 100)
    found = find_bad_table(table.parent)
    assert found is not None and found.path == table


def test_a_flipped_bit_is_found_and_never_gives_other_rows(table: Path, tmp_path: Path) -> None:
    """NB: LevelDB skips over a bad block and says so by the way; at the end of a range nobody may have asked."""
    random = Random(2)
    with closing(LevelStore(table.parent)) as store:
        rows = list(store.iterate(b"", b"\xff"))
    size = table.stat().st_size
    for at in [0, *range(size - 60, size, 7), size - 1, *[random.randrange(size) for _ in range(40)]]:
        copy = tmp_path / f"{at}"
        shutil.copytree(table.parent, copy)
        flip(copy / table.name, at)
        found = find_bad_block(copy / table.name)
        try:
            with closing(LevelStore(copy)) as store:
                assert list(store.iterate(b"", b"\xff", verify=at % 2 == 0)) == rows, at
        except DAMAGED:
            assert found is not None, at


def test_single_reads_are_checked(table: Path) -> None:
    flip(table, 50)
    with closing(LevelStore(table.parent)) as store:
        with pytest.raises(DAMAGED):
            store.get(b"%08d" % 3)


def test_no_time_means_no_search(table: Path) -> None:
    flip(table, 50)
    assert find_bad_table(table.parent) is not None
    assert find_bad_table(table.parent, seconds=-1) is None
