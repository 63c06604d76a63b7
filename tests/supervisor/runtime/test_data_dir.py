"""The hold on the data directory: private, exclusive, found by tools, cleaned up after a kill."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.runtime import data_dir
from supervisor.runtime.data_dir import DataDirError, read_record, take


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too long a path for sockets is passed over, so that run directories of these tests lie in TMPDIR or /tmp."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_created_private_and_left_without_traces_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    data = take(str(path))
    data.publish()
    assert (mode(path), mode(data.run_dir)) == (0o700, 0o700)
    record = read_record(str(path))
    assert record == {"pid": os.getpid(), "run_dir": str(data.run_dir), "control": f"ipc://{data.run_dir}/control"}
    data.release()
    assert not data.run_dir.exists()
    assert [found.name for found in path.iterdir()] == ["etcdz.lock"]
    assert read_record(str(path)) is None


def test_wider_permissions_are_warned_about_as_etcd_does(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wide"
    path.mkdir()
    path.chmod(0o755)
    take(str(path)).release()
    (line,) = [json.loads(text) for text in capfd.readouterr().err.splitlines() if text.startswith("{")]
    assert (line["level"], line["msg"]) == ("warn", "check file permission")
    assert 'exist, but the permission is "drwxr-xr-x"' in line["error"]
    assert mode(path) == 0o755


def test_one_in_use_is_refused_with_its_name_and_who_holds_it(tmp_path: Path) -> None:
    data = take(str(tmp_path))
    with pytest.raises(DataDirError, match=f"{tmp_path} is in use by process {os.getpid()}$"):
        take(str(tmp_path))
    data.release()
    take(str(tmp_path)).release()


def test_processes_of_a_dead_member_are_waited_for(tmp_path: Path) -> None:
    data = take(str(tmp_path))
    heir = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=(data.lock_fd,), stdin=subprocess.PIPE)
    data.release()
    (tmp_path / "etcdz.lock").write_text(json.dumps({"pid": 0, "incarnation": 5}))
    script = "import sys; from supervisor.runtime.data_dir import take; take(sys.argv[1]).release()"
    taker = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    assert heir.stdin is not None
    heir.stdin.close()
    heir.wait()
    assert taker.wait() == 0


def test_a_dead_members_process_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_dir, "DYING_S", 0.0)
    data = take(str(tmp_path))
    (tmp_path / "etcdz.lock").write_text("not json")
    with pytest.raises(DataDirError, match="in use by another process"):
        take(str(tmp_path))
    data.release()


def test_the_run_directory_of_a_killed_member_is_removed_but_nothing_else(tmp_path: Path) -> None:
    data = take(str(tmp_path / "data"))
    data.publish()
    os.close(data.lock_fd)  # as by kill -9
    other = tmp_path / "keep"
    other.mkdir()
    again = take(str(tmp_path / "data"))
    assert not data.run_dir.exists()
    (tmp_path / "data" / "etcdz.json").write_text(json.dumps({"run_dir": str(other)}))
    again.release()
    take(str(tmp_path / "data")).release()
    assert other.exists()


def test_incarnations_grow_over_restarts_also_when_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    firsts = []
    for now_s in (2_000_000_000, 2_000_000_000, 1_900_000_000, 2_100_000_000):
        monkeypatch.setattr("time.time", lambda now_s=now_s: float(now_s))
        data = take(str(tmp_path))
        firsts.append(data.first_incarnation)
        data.release()
    assert firsts == sorted(set(firsts))
    assert firsts[-1] < 1 << 53


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match=r"cannot access data directory: .*file"):
        take(str(tmp_path / "file"))


def test_one_that_cannot_be_created_is_refused() -> None:
    with pytest.raises(DataDirError, match=r"cannot access data directory: .*/proc/nowhere"):
        take("/proc/nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_one_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataDirError, match="not writable"):
        take(str(tmp_path))


def test_a_record_of_a_dead_process_is_no_member(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "etcdz.json").write_text(json.dumps({"pid": dead.pid, "control": "ipc:///nowhere"}))
    assert read_record(str(tmp_path)) is None
