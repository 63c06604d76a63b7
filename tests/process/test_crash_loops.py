"""What no restart can help: the member ends soon, says why, and has lost nothing."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from etcdz.cli.actors import main as actors
from etcdz.control.client import ask
from etcdz.limits import READ_AGAIN_MAX
from etcdz.proto import etcdserverpb as pb
from supervisor.telemetry import crash_reports
from tests.etcd_process import Member
from tests.process.altered import altered
from tests.process.load import open_channel, unary
from tests.process.trial import Trial, wait_gone

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", ["wal", pytest.param("listener-1", marks=pytest.mark.long)])
def test_an_actor_that_fails_at_each_start_ends_the_member_with_the_reason(
    name: str, make_trial: Callable[..., Trial]
) -> None:
    """No more file descriptors for whoever starts from now on; what runs goes on."""
    trial = make_trial(f"--actor-rules={name.partition('-')[0]}:intensity=10/500s")  # however long its starts take
    member = trial.member
    trial.put(b"before")
    family = {process.pid for process in member.processes()} - {member.pid}
    zygote = ask(str(member.data_dir), "ps", {})["zygote"]["pid"]
    resource.prlimit(zygote, resource.RLIMIT_NOFILE, (8, 8))
    os.kill(trial.actors()[name]["pid"], signal.SIGKILL)
    assert member.wait(timeout_s=180) == 1
    last = member.log_tail(1)
    assert "the member has stopped" in last and f"{name}: more than 10 restarts within 500 s needed" in last
    assert wait_gone(family, timeout_s=0) == set()
    member.kill9()
    member.start()
    assert trial.get(b"before").count == 1


# ---- a poison message ----

BUG = """
from etcdz.mvcc.mvcc import Mvcc
from etcdz.mvcc.state import KvState

def poisoned(plain):
    def method(self, key, *rest):
        if key == b"users-key":
            raise RuntimeError("what nobody has thought of")
        return plain(self, key, *rest)
    return method

KvState.write_put = poisoned(KvState.write_put)
Mvcc.put_plain = poisoned(Mvcc.put_plain)
"""


READ_BUG = """
from etcdz.mvcc.mvcc import Mvcc

plain = Mvcc.get_bytes

def get_bytes(self, body):
    if b"users-key" in body:
        raise RuntimeError("what nobody has thought of")
    return plain(self, body)

Mvcc.get_bytes = get_bytes
"""


def test_a_poison_read_is_given_up_and_the_member_goes_on(tmp_path: Path, make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(env=altered(tmp_path, READ_BUG))
    trial.put(b"users-key")
    with pytest.raises(grpc.RpcError) as failed:
        trial.get(b"users-key")
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert "read given up, the backend ended each time it was asked" in failed.value.details()
    trial.put(b"another")
    assert trial.get(b"another").count == 1
    assert trial.actors()["backend"]["restarts"] == READ_AGAIN_MAX + 1


def test_a_poison_message_does_not_loop_unnoticed_and_waits_for_better_code(
    tmp_path: Path, make_member: Callable[..., Member], capsys: pytest.CaptureFixture[str]
) -> None:
    rules = "--actor-rules=backend:intensity=10/500s"  # however long a start takes
    buggy = make_member(rules, env=altered(tmp_path, BUG)).start()
    with open_channel(buggy.target) as channel:
        put = unary(channel, "KV/Put", pb.PutResponse)
        put(pb.PutRequest(key=b"before"), timeout=60, wait_for_ready=True)
        with pytest.raises(grpc.RpcError):
            put(pb.PutRequest(key=b"users-key"), timeout=60)
        assert buggy.wait(timeout_s=180) == 1
    last = buggy.log_tail(1)
    assert "backend: more than 10 restarts within 500 s needed" in last and "RuntimeError" in last
    reports = crash_reports.read_all(str(buggy.data_dir), "backend")
    assert len(reports) == 11, "each death has left one"
    assert all("write_put" in report["stack"] or "put_plain" in report["stack"] for report in reports)
    assert all("users-key" not in str(report) for report in reports), "keys are the users'"
    buggy.kill9()
    assert actors(["postmortem", "backend", f"--data-dir={buggy.data_dir}"]) == 0
    assert "RuntimeError" in capsys.readouterr().out
    healed = make_member(data_dir=buggy.data_dir).start()
    with open_channel(healed.target) as channel:
        get = unary(channel, "KV/Range", pb.RangeResponse)
        found = get(pb.RangeRequest(key=b"\0", range_end=b"\0"), timeout=60, wait_for_ready=True)
        assert [kv.key for kv in found.kvs] == [b"before", b"users-key"], "it was in the log"
