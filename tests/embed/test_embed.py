"""Members in the hands of a program: their life, their host's end, orders to their actors."""

import asyncio
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from etcdz.embed import Cluster, Member, MemberFailed, Refused, aio
from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import patiently
from tests.etcd_process import RealEtcd
from tests.process.load import open_channel, unary

pytestmark = pytest.mark.process

_ROOT = Path(__file__).parents[2]
HOST = """
import sys, threading
from etcdz.embed import Member
started = []
thread = threading.Thread(target=lambda: started.append(Member().start()))  # a thread that is over long before the host
thread.start()
thread.join()
print(started[0].pid, started[0].data_dir, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def member() -> Iterator[Member]:
    with Member(logger=logging.getLogger("tests.embedded")) as made:
        yield made


def put(member: Member, key: bytes) -> int:
    """return the revision. NB: not again, as it counts revisions"""
    with open_channel(member.endpoints[0], long_running=True) as channel:
        request = pb.PutRequest(key=key, value=b"value")
        answer = unary(channel, "KV/Put", pb.PutResponse)(request, timeout=60, wait_for_ready=True)
    return int(answer.header.revision)


def get(member: Member, key: bytes) -> bytes:
    with open_channel(member.endpoints[0], long_running=True) as channel:
        request = pb.RangeRequest(key=key)
        call = unary(channel, "KV/Range", pb.RangeResponse)
        answer = patiently(lambda: call(request, timeout=60, wait_for_ready=True))
    return bytes(answer.kvs[0].value)


def test_actors_are_restarted_from_code(member: Member) -> None:
    before = member.actors.pid("wal")
    revision = put(member, b"before")
    member.actors.restart("wal")
    assert member.actors.pid("wal") != before
    assert put(member, b"after") == revision + 1
    with pytest.raises(Refused, match="nobody"):
        member.actors.restart("nobody")


def test_a_fork_of_the_host_leaves_the_member_alone(member: Member) -> None:
    process = multiprocessing.get_context("fork").Process(target=member.close)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert member.running and Path(member.data_dir).is_dir()
    put(member, b"still")


def test_the_log_goes_into_logging(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """With the fields that a line has beside its message."""
    exits: list[int] = []
    is_over = threading.Event()

    def note(code: int) -> None:
        exits.append(code)
        is_over.set()

    with caplog.at_level(logging.INFO, "etcdz.embed.other"):
        made = Member(data_dir=tmp_path / "kept", name="other", on_exit=note, unsafe_no_fsync=True)
        made.start()
        revision = put(made, b"key")
        os.kill(made.pid, signal.SIGKILL)  # nobody has told the Member
        assert is_over.wait(60)
    assert exits == [-signal.SIGKILL] and not made.running
    records = {record.getMessage(): record for record in caplog.records if record.name == "etcdz.embed.other"}
    assert records["ready to serve client requests"].fields["caller"]  # type: ignore[attr-defined]
    made.start()
    assert put(made, b"key") == revision + 1, "its data were not kept"
    assert made.stop() in (0, -signal.SIGTERM)
    made.close()
    assert exits == [-signal.SIGKILL], "a stop was taken for an end of its own"
    assert (tmp_path / "kept").is_dir()
    with pytest.raises(RuntimeError, match="is closed"):
        made.start()


def test_a_member_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = Member(data_dir=tmp_path / "file")
    with pytest.raises(MemberFailed, match="cannot access data directory"), made:
        pass


def test_a_member_ends_with_its_host() -> None:
    """However that ends: nothing in it is left to run then. The thread that has started the member may end before."""
    with subprocess.Popen(
        [sys.executable, "-c", HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as host:
        assert host.stdout is not None
        pid, _, data_dir = host.stdout.readline().strip().partition(" ")
        supervisor = psutil.Process(int(pid))
        family = [supervisor, *supervisor.children(recursive=True)]
        host.kill()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert not (Path(data_dir) / "etcdz.json").exists(), "it was killed, and did not stop"
    shutil.rmtree(data_dir)


def test_asyncio_has_the_same() -> None:
    async def story() -> bytes:
        async with aio.Member(unsafe_no_fsync=True) as member:
            await asyncio.to_thread(put, member.blocking, b"key")
            before = await member.actors.pid("backend")
            await member.actors.restart("backend")
            assert await member.actors.pid("backend") != before
            return await asyncio.to_thread(get, member.blocking, b"key")

    assert asyncio.run(story()) == b"value"


@pytest.mark.parity
def test_a_cluster_of_both_kinds() -> None:
    """One dies, and the others go on."""
    program = RealEtcd.program()
    if program is None:
        pytest.skip(str(RealEtcd.why_absent()))
    with Cluster(3, programs=[None, program[0]], unsafe_no_fsync=True) as cluster:
        revision = put(cluster["m1"], b"key")
        cluster["m0"].kill()
        for name in ("m1", "m2"):  # each of them knows of a leader then
            assert get(cluster[name], b"key") == b"value"
        assert put(cluster["m1"], b"key") == revision + 1
        cluster["m0"].start()
        assert get(cluster["m0"], b"key") == b"value"
        directories = [Path(member.data_dir) for member in cluster]
    assert not any(directory.exists() for directory in directories)
