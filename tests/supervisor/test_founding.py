"""What is decided before the first start stays decided, and is decided anew as long as there is no log."""

import os
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from etcdz.bootstrap.errors import BootstrapError
from etcdz.config import MemberConfig
from supervisor.runtime.founding import settle

BAD_ID = '{"member_id": "1", "cluster_id": 2, "is_join": false, "members": []}'
THREE = "a=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3"


def config(directory: Path, cluster: str = THREE) -> MemberConfig:
    return MemberConfig(name="a", data_dir=str(directory), initial_cluster_text=cluster)


def begin_log(directory: Path) -> None:
    (directory / "member" / "wal").mkdir()
    (directory / "member" / "wal" / f"{0:016x}-{0:016x}.wal").touch()


def test_with_a_log_the_flags_say_nothing_any_more(tmp_path: Path) -> None:
    first = settle(config(tmp_path))
    assert first.founding is not None and len(first.founding.members) == 3
    begin_log(tmp_path)
    assert settle(config(tmp_path, "")) == first


def test_without_a_log_it_is_decided_anew(tmp_path: Path) -> None:
    settle(config(tmp_path))
    again = settle(config(tmp_path, "a=http://127.0.0.1:1")).founding
    assert again is not None and len(again.members) == 1


def test_a_log_of_a_member_that_kept_no_decision_is_enough(tmp_path: Path) -> None:
    (tmp_path / "member").mkdir()
    begin_log(tmp_path)
    assert settle(config(tmp_path)) == (None, 0)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"members": [[1]]}', '{"members": 1}', "\xff", BAD_ID])
def test_a_damaged_decision_is_no_decision(tmp_path: Path, text: str) -> None:
    settle(config(tmp_path))
    begin_log(tmp_path)
    (tmp_path / "member" / "founding.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BootstrapError, match=r"founding.json is damaged. If this member has been part"):
        settle(config(tmp_path))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_one_who_does_not_answer(tmp_path: Path, signum: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cluster = f"a=http://127.0.0.1:1,b=http://127.0.0.1:{silent.getsockname()[1]}"
        joining = replace(config(tmp_path, cluster), initial_cluster_state="existing")
        asked: list[socket.socket] = []  # kept: it is not to be closed

        def stop_when_asked() -> None:
            asked.append(silent.accept()[0])
            os.kill(os.getpid(), signum)

        threading.Thread(target=stop_when_asked, daemon=True).start()
        assert settle(joining) == (None, signum)
        asked[0].close()
    assert not (tmp_path / "member").exists()
