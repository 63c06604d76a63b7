"""What a member writes down is for its own user alone, whatever the umask is, as with etcd."""

import itertools
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etcdz.cli.utl import main as etcdzutl
from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import until
from tests.etcd_process import Member, free_port
from tests.process import damage
from tests.process.load import open_channel
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120)]


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(top: Path) -> list[str]:
    """Of all that lies in a directory, and itself."""
    found = {path: mode for path in everything_in(top) if (mode := mode_of(path)) & 0o077}
    return [f"{path} {stat.filemode(mode)}" for path, mode in found.items()]


def everything_in(top: Path) -> list[Path]:
    """NB: a member that runs takes some of it away meanwhile."""
    return [top, *[Path(where, name) for where, *names in os.walk(top) for name in itertools.chain(*names)]]


def mode_of(path: Path) -> int:
    """0: it is gone."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def save_snapshot(target: str, path: Path) -> None:
    with open_channel(target) as channel:
        stream = channel.unary_stream("/etcdserverpb.Maintenance/Snapshot")(b"", wait_for_ready=True)
        path.write_bytes(b"".join([pb.SnapshotResponse.FromString(message).blob for message in stream]))


def test_files_and_directories_are_the_members_own(
    no_umask: None, make_member: Callable[..., Member], tmp_path: Path
) -> None:
    socket, port = tmp_path / "s", free_port()
    member = make_member("--snapshot-count=5", f"--listen-client-urls=http://127.0.0.1:{port},unix://{socket}")
    member.client_port, member.peer_port = port, free_port()
    trial = Trial(member.start(), 0)
    for number in range(12):
        trial.put(b"k%d" % number)
    save_snapshot(trial.member.target, tmp_path / "saved")
    data_dir = trial.member.data_dir
    until(lambda: damage.newest_snapshot(data_dir), 60, lambda: "no snapshot was taken")
    actors = trial.actors()
    for name in ("backend", "raft", "wal"):
        os.kill(int(actors[name]["pid"]), signal.SIGKILL)
    trial.put(b"after")
    assert open_to_others(data_dir) == []
    names = [path.name for path in everything_in(data_dir)]
    assert any(name.endswith(".snap") for name in names) and any(name.endswith(".log") for name in names)
    assert stat.S_IMODE(socket.stat().st_mode) == 0o777, "who may connect is the operator's to say"
    assert etcdzutl(["snapshot", "restore", str(tmp_path / "saved"), f"--data-dir={tmp_path / 'restored'}"]) == 0
    assert open_to_others(tmp_path / "restored") == []
