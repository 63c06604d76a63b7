"""Maintenance.Snapshot while things die, clients stall, and writes go on."""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import psutil
import pytest

from etcdz.bbolt import BoltFile
from etcdz.proto import etcdserverpb as pb
from tests.bbolt.files import Bytes
from tests.etcd_process import Member
from tests.offline.members import hash_kv, keys_of, put, put_many
from tests.process.conftest import MemberMaker
from tests.supervisor.harness import wait_dead

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors")]

BLOB_BYTES = 32 << 10
LARGE = 1 << 20


@contextmanager
def snapshot(member: Member, window: int = 1 << 16) -> Iterator[Any]:
    """The stream of answers. window: what the client takes unasked; grpc would widen it by itself."""
    options = [("grpc.http2.lookahead_bytes", window), ("grpc.http2.bdp_probe", 0)]
    with grpc.insecure_channel(member.target, options) as channel:
        stream = channel.unary_stream(
            "/etcdserverpb.Maintenance/Snapshot",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=pb.SnapshotResponse.FromString,
        )
        yield stream(pb.SnapshotRequest(), timeout=240, wait_for_ready=True)


def file_of(answers: list[Any]) -> BoltFile:
    """The file out of all answers, checked as etcdctl does, and page by page."""
    *blobs, last = [answer.blob for answer in answers]
    data = b"".join(blobs)
    assert last == hashlib.sha256(data).digest() and answers[-1].remaining_bytes == 0
    file = BoltFile(Bytes(data))
    file.check()
    return file


def revisions_of(file: BoltFile) -> list[int]:
    bucket = file.find(b"key")
    assert bucket is not None
    return [int.from_bytes(key[:8], "big") for key, _ in file.rows(bucket)]


def senders(member: Member) -> list[psutil.Process]:
    """Those that live."""
    found = []
    for process in member.processes():
        with suppress(psutil.NoSuchProcess):  # a zombie is one of them
            if "actors.listener.snapshot_process" in process.cmdline():
                found.append(process)
    return found


def wait_senders_end(member: Member) -> None:
    """Each ends by itself once its stream has ended, and its checkpoint is gone then."""
    wait_dead([sender.pid for sender in senders(member)])


def test_blobs_are_etcds_and_count_down(make_member: MemberMaker) -> None:
    member = make_member().start()
    put_many(member, 1000, 100)
    with snapshot(member) as stream:
        answers = list(stream)
    total = sum(len(answer.blob) for answer in answers) - 32
    left = total
    for answer in answers[:-1]:
        assert len(answer.blob) == min(BLOB_BYTES, left)
        left -= len(answer.blob)
        assert answer.remaining_bytes == left
    file = file_of(answers)
    assert revisions_of(file) == sorted([2 + n // 100 for n in range(1000)])
    names = b" ".join(name for name, _ in file.buckets())
    assert names == b"alarm auth authRoles authUsers cluster key lease members members_removed meta"
    wait_senders_end(member)
    assert not list((member.data_dir / "member" / "snap").glob("checkpoint-*"))


def test_writes_go_on_and_the_snapshot_is_a_prefix_of_them(make_member: MemberMaker, is_long: bool) -> None:
    member = make_member().start()
    put_many(member, 2000, 200)
    done = threading.Event()
    written = []

    def write() -> None:
        while not done.is_set():
            put(member, b"during", b"%d" % len(written))
            written.append(hash_kv(member)[2])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20 if is_long else 1):
            before = len(written)
            with snapshot(member) as stream:
                revisions = sorted(set(revisions_of(file_of(list(stream)))))
            assert revisions == list(range(2, revisions[-1] + 1))
            assert revisions[-1] >= (written[before - 1] if before else 21)
    finally:
        done.set()
        thread.join()


def test_a_killed_sender_ends_the_stream_with_an_error_and_a_killed_backend_does_not(make_member: MemberMaker) -> None:
    member = make_member().start()
    for number in range(24):
        put(member, b"large/%d" % number, bytes([number]) * LARGE)
    before = hash_kv(member)
    with snapshot(member) as stream:
        next(stream)
        (sender,) = senders(member)
        sender.kill()
        with pytest.raises(grpc.RpcError) as failed:
            list(stream)
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert failed.value.details() == "snapshot failed: its process was killed"
    with snapshot(member) as stream:
        first = next(stream)
        (backend,) = [p for p in member.processes() if p.name() == "etcdz:backend"]
        os.kill(backend.pid, signal.SIGKILL)
        put(member, b"after", b"1")
        answers = [first, *stream]
    assert len(revisions_of(file_of(answers))) == 24
    assert hash_kv(member, before[2])[0] == before[0]
    snap = member.data_dir / "member" / "snap"
    wait_senders_end(member)
    assert not list(snap.glob("checkpoint-*"))


def test_a_client_that_stalls_or_goes_costs_nothing_that_lasts(make_member: MemberMaker) -> None:
    member = make_member("--listeners=1").start()
    for number in range(40):
        put(member, b"large/%d" % number, bytes([number]) * LARGE)
    (listener,) = [p for p in member.processes() if p.name().startswith("etcdz:listener")]
    with snapshot(member) as stream:
        next(stream)
        put(member, b"other", b"calls go on")
        assert keys_of(member)[-1][0] == b"other"
        (sender,) = senders(member)
        resident = listener.memory_info().rss
        assert resident < 200 << 20
        stream.cancel()
        psutil.wait_procs([sender], timeout=60)
    assert not senders(member)
    with snapshot(member) as stream:
        file_of(list(stream))
    snap = member.data_dir / "member" / "snap"
    wait_senders_end(member)
    assert not list(snap.glob("checkpoint-*"))


def test_clients_that_do_not_read_give_way_to_one_that_waits(make_member: MemberMaker) -> None:
    member = make_member("--listeners=1").start()
    for number in range(24):
        put(member, b"large/%d" % number, bytes([number]) * LARGE)
    with snapshot(member) as a, snapshot(member) as b, snapshot(member) as c, snapshot(member) as d:
        firsts = [next(stream) for stream in (a, b, c, d)]
        assert len({first.remaining_bytes for first in firsts}) == 1
        assert len(senders(member)) == 4
        with snapshot(member) as fifth:
            file_of(list(fifth))
        outcomes = [_end_of(stream) for stream in (a, b, c, d)]
    given_up = "etcdserver: snapshot given up: its client does not read, and others wait"
    assert sorted(filter(None, outcomes)) == [given_up], "one of them, and the others are whole"
    wait_senders_end(member)


def _end_of(stream: Any) -> str:
    """Reads the rest; the text of the error that it ends with, or nothing."""
    try:
        for _ in stream:
            pass
    except grpc.RpcError as error:
        return str(error.details())
    return ""


def test_no_sender_outlives_its_member(make_member: MemberMaker) -> None:
    member = make_member().start()
    for number in range(24):
        put(member, b"large/%d" % number, bytes([number]) * LARGE)
    with snapshot(member) as stream:
        next(stream)
        (sender,) = senders(member)
        member.kill9()
        assert psutil.wait_procs([sender], timeout=60)[1] == []
    member.start()
    assert not list((member.data_dir / "member" / "snap").glob("checkpoint-*"))
    assert len(keys_of(member)) == 24
