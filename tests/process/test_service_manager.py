"""What an init system is told (Type=notify), and what it may hand down: blocked signals, and every signal there is."""

import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.etcd_process import Member

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

MemberMaker = Callable[..., Member]
TIMEOUT_S = 30


@pytest.mark.parametrize("is_abstract", [False, True], ids=["path", "abstract"])
def test_the_main_process_says_when_it_serves_and_when_it_ends(
    make_member: MemberMaker, tmp_path: Path, is_abstract: bool
) -> None:
    name = f"\0etcdz-test-{tmp_path}"[:100] if is_abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(TIMEOUT_S)
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.bind(name)
        member = make_member(env={"NOTIFY_SOCKET": name.replace("\0", "@")})
        member.start()
        assert received(manager) == (b"READY=1", member.pid)
        socket.create_connection(("127.0.0.1", member.client_port), timeout=TIMEOUT_S).close()
        pid = member.pid
        member.stop()
        assert received(manager) == (b"STOPPING=1", pid)
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def received(manager: socket.socket) -> tuple[bytes, int]:
    """The next datagram, and the pid that sent it."""
    text, ancillary, _, _ = manager.recvmsg(100, socket.CMSG_SPACE(12))
    pid, _, _ = struct.unpack("iii", ancillary[0][2])
    return text, int(pid)


def test_a_service_manager_that_is_gone_stops_nothing(make_member: MemberMaker, tmp_path: Path) -> None:
    make_member(env={"NOTIFY_SOCKET": str(tmp_path / "nobody")}).start()


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, marks=pytest.mark.long),
    ],
    ids=lambda how: how.name,
)
def test_a_parent_that_blocked_it_does_not_keep_a_signal_from_ending_the_member(
    make_member: MemberMaker, how: signal.Signals
) -> None:
    member = make_member()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {how})
    try:
        member.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    run_dir = Path(json.loads((member.data_dir / "etcdz.json").read_text())["run_dir"])
    os.kill(member.pid, how)
    assert member.wait() == -how
    assert not run_dir.exists()


def test_signals_that_do_not_end_etcd_do_not_end_the_member(make_member: MemberMaker) -> None:
    member = make_member()
    member.start()
    names = [
        "USR1",
        "USR2",
        "PIPE",
        "ALRM",
        "CHLD",
        "CONT",
        "URG",
        "XCPU",
        "XFSZ",
        "VTALRM",
        "PROF",
        "WINCH",
        "IO",
        "PWR",
    ]
    for signum in [*(signal.Signals[f"SIG{name}"] for name in names), signal.SIGRTMIN + 1, signal.SIGRTMAX]:
        os.kill(member.pid, signum)
    os.kill(member.pid, signal.SIGTERM)
    assert member.wait() == -signal.SIGTERM
