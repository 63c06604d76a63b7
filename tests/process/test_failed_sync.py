"""A disk that fails to sync: the member ends with the reason, as etcd does. strace makes the system call fail."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable

import grpc
import pytest

from tests.process.trial import Trial

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("needs_actors"),
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


def test_a_write_whose_sync_failed_ends_the_member_and_is_not_acknowledged(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial()
    member = trial.member
    trial.put(b"before")
    pid = trial.actors()["wal"]["pid"]
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tracer.stderr is not None
        if "attached" not in tracer.stderr.readline():
            pytest.skip("strace may not trace here")
        with pytest.raises(grpc.RpcError):
            trial.put(b"unsynced")
        assert member.wait(timeout_s=30) == 1
    finally:
        if tracer.poll() is None:
            os.kill(tracer.pid, signal.SIGTERM)
        tracer.wait()
    last = member.log_tail(1)
    assert "failed to save Raft hard state and entries" in last
    assert "Input/output error" in last
    member.start()
    assert trial.get(b"before").count == 1
