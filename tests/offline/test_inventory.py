"""What a start makes of a data directory, by the names in it: it starts, takes over, or says why not and what to do."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from etcdz.migration.directories import settle
from etcdz.migration.errors import MigrationError
from etcdz.migration.inventory import Work, examine
from etcdz.migration.takeover import take_over

FIRST = "0000000000000000-0000000000000000.wal"
LATER = "0000000000000003-0000000000000072.wal"
DB = "member/snap/db"
LEVELDB = "member/snap/leveldb/CURRENT"
WAL = f"member/wal/{FIRST}"


def laid_out(top: Path, *names: str) -> Path:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return top


def work(top: Path, takeover: bool = True) -> Work:
    return examine(top, top / "member" / "wal", takeover)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("etcdz.lock",),
        (WAL, LEVELDB),
        (LEVELDB,),
        (WAL,),
        ("member/wal.tmp/x", LEVELDB),
        (WAL, LEVELDB, f"member.was-etcd/{DB}"),
        (WAL, LEVELDB, "member.was-etcdz/snap/leveldb/CURRENT"),
    ],
    ids=str,
)
def test_nothing_is_to_be_done(names: tuple[str, ...], tmp_path: Path) -> None:
    """A new member, one that has run, one whose first start was cut short, one whose log says everything."""
    assert work(laid_out(tmp_path, *names)) is Work.NONE


@pytest.mark.parametrize(
    "names",
    [
        (WAL, DB),
        (WAL, DB, "member.building/wal/x"),
        (WAL, DB, "member.migrated/migrated", "member.migrated/snap/leveldb/CURRENT"),
        (WAL, LEVELDB, "member/migrated", "member.migrated/snap/db"),
        ("member.migrated/migrated", "member.migrated/snap/leveldb/CURRENT", "member.migrated.old/snap/db"),
        (WAL, LEVELDB, "member/migrated", "member.migrated.old/snap/db"),
    ],
    ids=str,
)
def test_etcds_data_is_taken_over_and_an_unfinished_takeover_goes_on(names: tuple[str, ...], tmp_path: Path) -> None:
    assert work(laid_out(tmp_path, *names)) is Work.TAKE_OVER


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((WAL, DB, LEVELDB), ["member/snap holds both db and leveldb", "move away the one"]),
        ((DB,), ["member/snap/db is etcd's data, but there is no log in", "--wal-dir", "snapshot restore"]),
        (("member.restoring/snap/x",), ["member.restoring is what a `snapshot restore`", "run it again", "remove"]),
        ((WAL, LEVELDB, "member.restoring/snap/x"), ["member.restoring is what a `snapshot restore`"]),
        ((WAL, LEVELDB, "member.building/x"), ["member.building is what a `migrate`", "etcdzutl migrate"]),
        (
            (WAL, LEVELDB, "member.migrated/migrated", "member.migrated/snap/db"),
            ["member.migrated is what a `migrate`", "etcdzutl migrate", "go on with etcdz"],
        ),
        ((f"member/wal/{LATER}",), ["begins at entry 114", "no store", "etcdzutl snapshot restore"]),
    ],
    ids=str,
)
def test_what_is_unfinished_or_ambiguous_is_refused_with_the_way_out(
    names: tuple[str, ...], words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(MigrationError) as refused:
        work(laid_out(tmp_path, *names))
    assert [word for word in words if word not in str(refused.value)] == []


def test_without_takeover_etcds_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=f"--takeover is false: `etcdzutl migrate --data-dir {tmp_path}`"):
        work(laid_out(tmp_path, WAL, DB), takeover=False)
    assert work(laid_out(tmp_path / "other", WAL, LEVELDB), takeover=False) is Work.NONE


def test_a_way_back_to_etcd_is_finished_and_without_takeover_not_turned_round(tmp_path: Path) -> None:
    """Killed between the last two renames of `migrate --to=etcd`, then etcdz is started."""
    laid_out(tmp_path, WAL, DB, "member/migrated", "member.migrated/snap/leveldb/CURRENT")
    with pytest.raises(MigrationError, match="--takeover is false"):
        take_over(tmp_path, tmp_path / "member" / "wal", may_take_over=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["member", "member.was-etcdz"]
    assert (tmp_path / DB).exists() and not (tmp_path / "member/migrated").exists()


def test_a_kill_while_what_never_had_its_turn_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mark goes first: what is left must not be taken for the member directory that was migrated."""
    new = ("member.migrated/migrated", "member.migrated/snap/leveldb/CURRENT")
    top = laid_out(tmp_path, WAL, DB, *new)

    def remove_mark(path: Path, *args: Any, **kwargs: Any) -> None:
        if path.is_dir():
            (path / "migrated").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", remove_mark)
        settle(top)
    assert settle(top) == ""
    assert (top / DB).exists() and sorted(path.name for path in top.iterdir()) == ["member"]
