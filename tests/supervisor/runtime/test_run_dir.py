"""The directory with the sockets: where it lies, and that only its own data directory's lock lets anybody remove it."""

import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from supervisor.runtime import run_dir
from supervisor.runtime.data_dir import DataDir, DataDirError, read_record, take


@pytest.fixture(autouse=True)
def no_runtime_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def killed(data_dir: Path) -> Path:
    """What a member leaves that was killed -9. return its run directory"""
    data = take(str(data_dir))
    data.publish()
    (data.run_dir / "wal.123").touch()
    os.close(data.lock_fd)
    return data.run_dir


def record(data_dir: Path, path: Path) -> None:
    (data_dir / "etcdz.json").write_text(json.dumps({"pid": 1, "run_dir": str(path), "control": "ipc:///x"}))


def test_a_killed_members_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    left = killed(tmp_path / "data")
    take(str(tmp_path / "data")).release()
    assert not left.exists()


def test_that_of_one_that_was_killed_before_it_was_written_down_is_removed(tmp_path: Path) -> None:
    begun, other = take(str(tmp_path / "data")), take(str(tmp_path / "other"))
    os.close(begun.lock_fd)
    take(str(tmp_path / "data")).release()
    assert not begun.run_dir.exists() and other.run_dir.is_dir()
    other.release()


def test_that_of_a_moved_data_directory_is_removed(tmp_path: Path) -> None:
    left = killed(tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    take(str(tmp_path / "after")).release()
    assert not left.exists()


def test_a_copy_of_a_live_members_data_directory_touches_nothing_of_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    live = take(str(tmp_path / "live"))
    live.publish()
    (live.run_dir / "wal.123").write_text("in use")
    shutil.copytree(tmp_path / "live", tmp_path / "copy")
    assert read_record(str(tmp_path / "live")) is not None
    assert read_record(str(tmp_path / "copy")) is None, "orders for the copy would reach the live member"
    copy = take(str(tmp_path / "copy"))
    copy.publish()
    assert (live.run_dir / "wal.123").read_text() == "in use"
    assert f'left alone","actor":"supervisor","path":"{live.run_dir}"' in capfd.readouterr().err
    copy.release()
    assert live.run_dir.is_dir()
    live.release()


@pytest.mark.parametrize("name", ["etcdz-victim", "etcdz-1-2-abcdefgh", "plain"])
def test_no_other_directory_is_touched_whatever_its_name(name: str, tmp_path: Path) -> None:
    take(str(tmp_path / "data")).release()
    victim = tmp_path / name
    victim.mkdir()
    (victim / "file").write_text("mine")
    record(tmp_path / "data", victim)
    take(str(tmp_path / "data")).release()
    assert (victim / "file").read_text() == "mine"


def test_a_link_with_the_right_name_is_not_followed(tmp_path: Path) -> None:
    left = killed(tmp_path / "data")
    other = tmp_path / "other"
    left.rename(other)
    left.symlink_to(other)
    take(str(tmp_path / "data")).release()
    assert (other / "wal.123").exists()
    left.unlink()


def test_directories_in_it_are_never_descended_into(tmp_path: Path) -> None:
    left = killed(tmp_path / "data")
    (left / "deep").mkdir()
    (left / "deep" / "file").touch()
    take(str(tmp_path / "data")).release()
    assert (left / "deep" / "file").exists()
    shutil.rmtree(left)


def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory but the data directory can be written."""
    monkeypatch.setattr(run_dir, "_parents", lambda: [Path("/proc")])


def bound(data: DataDir) -> bool:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connected:
        listening.bind(f"{data.run_dir}/{'x' * run_dir.NAME_BYTES_MAX}")
        listening.listen()
        connected.connect(f"{data.run_dir}/{'x' * run_dir.NAME_BYTES_MAX}")
        return True


def test_where_nothing_else_can_be_written_it_lies_in_the_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere_else(monkeypatch)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        data = take(short)
        assert data.run_dir.parent == Path(short) and bound(data)
        data.release()
        assert [path.name for path in Path(short).iterdir()] == ["etcdz.lock"]


@pytest.mark.parametrize("name", ["long" * 30, os.fsdecode(b"no \xff utf-8")], ids=["long", "not UTF-8"])
def test_a_data_directory_that_no_socket_can_be_bound_in_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere_else(monkeypatch)
    data = take(str(tmp_path / name))
    data.publish()
    assert bound(data) and str(data.run_dir).startswith("/proc/")
    assert read_record(str(tmp_path / name)) is not None
    data.release()
    assert [path.name for path in (tmp_path / name).iterdir()] == ["etcdz.lock"]


def test_nowhere_at_all_is_said_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(run_dir.tempfile, "mkdtemp", fail)
    with pytest.raises(DataDirError, match=r"no directory for sockets can be made in any of .*Read-only file system"):
        take(str(tmp_path))
