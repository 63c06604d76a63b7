"""Data directories and roots as containers and users have them: nothing else can be written, and names are bytes."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, Member
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120)]
ODD = os.fsdecode(b"a\xff b")
UNSHARED = """
set -e
mount --make-rprivate /
mount --bind "$0" "$0"
mount -o remount,bind,ro /
mount -t tmpfs -o ro none /dev/shm
touch "$0/probe" && rm "$0/probe"
if touch /tmp/probe 2>/dev/null; then echo "/tmp can be written" >&2; exit 9; fi
exec "$@"
"""


class OnReadOnlyRoot(Etcdz):
    """In a mount namespace in which its data directory, but for pipes, is all that can be written."""

    def _spawn(self) -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        super()._spawn()

    def program(self) -> list[str]:  # type: ignore[override]
        return ["unshare", "--mount", "sh", "-c", UNSHARED, str(self.data_dir), *(Etcdz.program() or [])]


def why_no_namespaces() -> str | None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "only root can make mount namespaces, with unshare(1)"
    probe = "mount --make-rprivate / && mount --bind /mnt /mnt && mount -o remount,bind,ro / && mount -t tmpfs x /mnt"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", probe], capture_output=True, text=True)
    return f"no mount namespaces here: {done.stderr}" if done.returncode else None


def check_works(trial: Trial) -> None:
    """Writes, restarts of each actor, what tools ask, and a snapshot."""
    trial.put(b"a", b"1")
    names = ("backend", "wal", "raft", "listener-1")
    before = trial.actors()
    for name in names:
        os.kill(int(before[name]["pid"]), signal.SIGKILL)
    for name in names:
        trial.wait_restarted(before, name)
    assert trial.get(b"a").kvs[0].value == b"1"
    with grpc.insecure_channel(trial.member.target) as channel:
        stream = channel.unary_stream("/etcdserverpb.Maintenance/Snapshot", bytes, pb.SnapshotResponse.FromString)
        assert sum([len(piece.blob) for piece in stream(b"", timeout=60, wait_for_ready=True)]) > 8192


def left_in(member: Member) -> set[str]:
    """What is in its data directory, but for crash reports."""
    return {path.name for path in member.data_dir.iterdir()} - {"crash"}


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory in which sockets can be bound by name."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


@pytest.mark.parametrize(
    "path",
    [pytest.param("d", id="short path", marks=pytest.mark.long), pytest.param("long" * 20, id="long path")],
)
def test_a_read_only_root(path: str, tmp_path: Path, short: Path, seed: int) -> None:
    if why := why_no_namespaces():
        pytest.skip(why)
    member = OnReadOnlyRoot(tmp_path, env={"XDG_RUNTIME_DIR": "", "TMPDIR": ""})
    member.data_dir = short / path
    try:
        check_works(Trial(member.start(), seed))
        member.kill9()
        assert any(name.startswith("etcdz-") for name in left_in(member))
        assert Trial(member.start(), seed).get(b"a").kvs[0].value == b"1"
        member.stop()
    finally:
        member.discard()
    assert left_in(member) == {"etcdz.lock", "member"}


def test_names_that_are_not_utf_8(make_member: Callable[..., Member], tmp_path: Path, seed: int) -> None:
    """etcd's member is called so, too: U+FFFD for each such byte."""
    peers = "http://127.0.0.1:1"
    flags = [f"--name={ODD}", f"--initial-cluster={ODD}={peers}", f"--initial-advertise-peer-urls={peers}"]
    member = make_member(*flags, f"--wal-dir={tmp_path}/wal{ODD}", data_dir=tmp_path / ODD)
    check_works(Trial(member.start(), seed))
    with grpc.insecure_channel(member.target) as channel:
        ask = channel.unary_unary("/etcdserverpb.Cluster/MemberList", bytes, pb.MemberListResponse.FromString)
        assert [one.name for one in ask(b"", timeout=60, wait_for_ready=True).members] == ["a\ufffd b"]
    member.restart()
    assert Trial(member, seed).get(b"a").kvs[0].value == b"1"
    wal = next((tmp_path / f"wal{ODD}").iterdir())
    wal.write_bytes(wal.read_bytes()[:600] + b"damage" + wal.read_bytes()[606:])
    member.stop()
    member._spawn()
    assert member.wait() == 1
    assert "crc mismatch" in member.log_tail(1) or "in file" in member.log_tail(1)
