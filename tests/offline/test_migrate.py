"""Data directories of etcd become etcdz's and back, with the same HashKV, and nothing is lost whatever happens."""

import os
import shutil
from pathlib import Path

import pytest

from etcdz.cli.utl import main as etcdzutl
from etcdz.migration import directories
from etcdz.migration import exchange as exchanging
from etcdz.migration.inventory import MARK
from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.offline.members import OldEtcd, hash_kv, keys_of, members_of, put, put_many, write_history

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
FLAGS = ("--snapshot-count=20",)


def facts(member: Member) -> tuple[object, ...]:
    return hash_kv(member), keys_of(member), members_of(member)[0][0]


def moved(member: Member, kind: type[Member], directory: str) -> Member:
    """A member of another kind on the same data directory."""
    other = kind(member.tmp_dir / directory, *member.flags)
    other.data_dir = member.data_dir
    return other


def names(member: Member) -> list[str]:
    return sorted(p.name for p in member.data_dir.iterdir() if p.name.startswith("member"))


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        pytest.param(RealEtcd, FLAGS, id="etcd, snapshots"),
        pytest.param(OldEtcd, (), id="etcd 3.4, no snapshot"),
        pytest.param(RealEtcd, (), id="etcd, no snapshot", marks=pytest.mark.long),
        pytest.param(OldEtcd, FLAGS, id="etcd 3.4, snapshots", marks=pytest.mark.long),
    ],
)
def test_there_and_back(kind: type[Member], flags: tuple[str, ...], tmp_path: Path) -> None:
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))
    theirs = kind(tmp_path, *flags)
    with theirs:
        write_history(theirs)
        expected = facts(theirs)
    assert etcdzutl(["migrate", "--data-dir", str(theirs.data_dir)]) == 0
    assert names(theirs) == ["member", "member.was-etcd"]
    ours = moved(theirs, Etcdz, "ours")
    with ours:
        assert facts(ours) == expected
        put_many(ours, 300, 50)
        put(ours, b"ours", b"1")
        expected = facts(ours)
    assert etcdzutl(["migrate", "--data-dir", str(ours.data_dir)]) == 0
    assert names(ours) == ["member", "member.was-etcd", "member.was-etcdz"]
    # etcdz has raised the cluster's version, as etcd 3.5 does: there is no way back to 3.4 but by a snapshot.
    with moved(ours, RealEtcd, "again") as again:
        assert facts(again) == expected
        put(again, b"theirs", b"2")
        expected = facts(again)
    assert etcdzutl(["migrate", f"--data-dir={ours.data_dir}", "--to=etcdz"]) == 0
    assert names(ours) == ["member", "member.was-etcd", "member.was-etcd.2", "member.was-etcdz"]
    with moved(ours, Etcdz, "last") as last:
        assert facts(last) == expected


@pytest.mark.parametrize(("kind", "other"), [(RealEtcd, Etcdz), (Etcdz, RealEtcd)], ids=["to etcdz", "to etcd"])
def test_entries_beyond_the_consistent_index(kind: type[Member], other: type[Member], tmp_path: Path) -> None:
    """Killed: what a backend had not committed is in the log alone."""
    member = kind(tmp_path / "first")
    with member:
        put_many(member, 500, 100)
        for number in range(40):
            put(member, b"last/%d" % number, b"1")
        expected = facts(member)
        member.kill9()
    assert etcdzutl(["migrate", "--data-dir", str(member.data_dir)]) == 0
    with moved(member, other, "second") as second:
        assert facts(second) == expected
        put(second, b"goes on", b"1")


def test_a_log_elsewhere_stays_where_it_is(tmp_path: Path) -> None:
    wal_dir = tmp_path / "wal"
    theirs = RealEtcd(tmp_path, f"--wal-dir={wal_dir}")
    with theirs:
        put_many(theirs, 200, 50)
        expected = facts(theirs)
    assert etcdzutl(["migrate", f"--data-dir={theirs.data_dir}", f"--wal-dir={wal_dir}"]) == 0
    assert not (theirs.data_dir / "member" / "wal").exists()
    with moved(theirs, Etcdz, "ours") as ours:
        assert facts(ours) == expected


@pytest.fixture
def stopped(tmp_path: Path) -> RealEtcd:
    """An etcd with something in it that has ended."""
    member = RealEtcd(tmp_path)
    with member:
        put_many(member, 300, 100)
    return member


def files_of(top: Path) -> dict[str, bytes]:
    return {str(p.relative_to(top)): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


def test_a_try_that_fails_changes_nothing(stopped: RealEtcd, capsys: pytest.CaptureFixture[str]) -> None:
    member = stopped.data_dir / "member"
    database = member / "snap" / "db"
    data = bytearray(database.read_bytes())
    data[3 * 4096 : 40 * 4096] = bytes(37 * 4096)
    database.write_bytes(data)
    before = files_of(member)
    assert etcdzutl(["migrate", "--data-dir", str(stopped.data_dir)]) == 1
    assert f"in file '{database}' at position: " in capsys.readouterr().err
    assert files_of(member) == before and names(stopped) == ["member"]
    (wal,) = (member / "wal").glob("*.wal")
    wal.write_bytes(wal.read_bytes()[:5000] + b"damage" + wal.read_bytes()[5006:])
    assert etcdzutl(["migrate", "--data-dir", str(stopped.data_dir)]) == 1
    assert f"in file '{wal}' at position: " in capsys.readouterr().err
    assert names(stopped) == ["member"]


def test_the_source_is_kept_as_it_was(stopped: RealEtcd) -> None:
    before = files_of(stopped.data_dir / "member")
    assert etcdzutl(["migrate", "--data-dir", str(stopped.data_dir)]) == 0
    assert files_of(stopped.data_dir / "member.was-etcd") == before
    assert sorted(p.name for p in (stopped.data_dir / "member").iterdir()) == ["snap", "wal"]
    assert etcdzutl(["migrate", "--data-dir", str(stopped.data_dir), "--to", "etcdz"]) == 0
    assert names(stopped) == ["member", "member.was-etcd"]


class Killed(BaseException):
    """As if the power had gone: nothing is tidied up."""


@pytest.mark.parametrize("with_exchange", [True, False], ids=["one step", "three renames"])
def test_a_kill_between_any_two_renames(
    with_exchange: bool, stopped: RealEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment the directory either still is etcd's, or the next try brings it to its end."""
    pristine = stopped.data_dir.with_name("pristine")
    shutil.copytree(stopped.data_dir, pristine)
    if not with_exchange:
        monkeypatch.setattr(exchanging, "_libc", object())
    real_rename = Path.rename
    for allowed in range(6):
        shutil.rmtree(stopped.data_dir)
        shutil.copytree(pristine, stopped.data_dir)
        left = [allowed]

        def rename(self: Path, target: Path, left: list[int] = left) -> Path:
            if self.parent == stopped.data_dir:
                if not left[0]:
                    raise Killed
                left[0] -= 1
            return real_rename(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", rename)
            patch.setattr(directories.shutil, "rmtree", lambda *_, **__: None)
            try:
                status = etcdzutl(["migrate", "--data-dir", str(stopped.data_dir)])
            except Killed:
                status = None
        if status is None:
            assert etcdzutl(["migrate", "--data-dir", str(stopped.data_dir), "--to", "etcdz"]) == 0
        assert names(stopped) == ["member", "member.was-etcd"]
        assert (stopped.data_dir / "member" / "snap" / "leveldb" / "CURRENT").is_file()
        assert not (stopped.data_dir / "member" / MARK).exists()
        kept = files_of(stopped.data_dir / "member.was-etcd")
        assert kept == files_of(pristine / "member")
        if status == 0:
            break
    assert allowed == (2 if with_exchange else 5)


def test_refusals(stopped: RealEtcd, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refusal(*arguments: str) -> str:
        capsys.readouterr()
        assert etcdzutl(["migrate", *arguments]) == 1
        return capsys.readouterr().err.splitlines()[0]

    data_dir = f"--data-dir={stopped.data_dir}"
    assert refusal(data_dir, "--to=consul") == 'Error: --to must be etcd or etcdz, not "consul"'
    assert refusal(f"--data-dir={tmp_path}/none") == f"Error: stat {tmp_path}/none: no such directory"
    (tmp_path / "empty").mkdir()
    assert "holds neither db (etcd) nor leveldb (etcdz)" in refusal(f"--data-dir={tmp_path}/empty")
    with stopped:
        assert refusal(data_dir).endswith("snap/db is in use by a running etcd")
    shutil.copytree(stopped.data_dir / "member" / "wal", tmp_path / "wal")
    shutil.rmtree(stopped.data_dir / "member" / "wal")
    assert "no log to start from in" in refusal(data_dir)
    os.makedirs(stopped.data_dir / "member" / "snap" / "leveldb")
    assert "holds both db and leveldb" in refusal(data_dir)


def test_a_running_etcdz_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Etcdz(tmp_path) as ours:
        put(ours, b"k", b"v")
        assert etcdzutl(["migrate", "--data-dir", str(ours.data_dir)]) == 1
        assert "is in use by a running etcdz" in capsys.readouterr().err
        assert keys_of(ours)[0][0] == b"k"
