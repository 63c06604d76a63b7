"""A real member meets damage, at its start and while it serves. What can befall every file is in test_every_file.py."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, MemberFailed
from tests.hostile_disk.life import hashes
from tests.process.damage import leveldb_dir, segments
from tests.process.load import open_channel, unary
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120)]

KEYS = 120


def put_all(member: Member) -> None:
    with open_channel(member.target) as channel:
        put = unary(channel, "KV/Put", pb.PutResponse)
        requests = [pb.PutRequest(key=b"k%04d" % number, value=os.urandom(300)) for number in range(KEYS)]
        for call in [put.future(request, timeout=60, wait_for_ready=True) for request in requests]:
            call.result()


def read_all(member: Member) -> tuple[int, list[tuple[bytes, bytes, int]]]:
    with open_channel(member.target) as channel:
        read = unary(channel, "KV/Range", pb.RangeResponse)
        found = read(pb.RangeRequest(key=b"\0", range_end=b"\0"), timeout=60, wait_for_ready=True)
        return found.header.revision, [(kv.key, kv.value, kv.mod_revision) for kv in found.kvs]


def flip_in_table(member: Member) -> Path:
    """In place: LevelDB maps tables into memory."""
    path = max(leveldb_dir(member.data_dir).glob("*.ldb"), key=lambda table: table.stat().st_size)
    with path.open("r+b") as file:
        data = file.read()
        at = len(data) // 3
        file.seek(at)
        file.write(bytes([data[at] ^ 4]))
    return path


@pytest.fixture
def restarted(make_trial: Callable[..., Trial]) -> Member:
    """What it was told is in tables, and its log holds all of history."""
    member = make_trial("--snapshot-count=50").member
    put_all(member)
    member.stop()
    return member.start()


def test_a_damaged_table_is_made_again_or_named(restarted: Member) -> None:
    member = restarted
    contents = read_all(member)
    member.stop()
    shutil.copytree(member.data_dir, original := member.data_dir.with_name("original"))
    damaged = flip_in_table(member)
    member.start()
    assert read_all(member) == contents
    (kept,) = damaged.parent.parent.glob("leveldb.damaged-*")
    assert (kept / damaged.name).exists()
    member.stop()

    shutil.rmtree(member.data_dir)
    shutil.copytree(original, member.data_dir)
    flip_in_table(member)
    (segment,) = segments(member.data_dir)
    segment.rename(segment.with_name(segment.name.replace("-0000000000000000.", "-0000000000000100.")))
    before = hashes(member.data_dir)
    with pytest.raises(MemberFailed) as caught:
        member.start()
    last = str(caught.value).rstrip().splitlines()[-1]
    for said in (str(damaged), "position", "Nothing has been changed", "etcdzutl snapshot restore"):
        assert said in last, str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert hashes(member.data_dir) == before


def test_a_member_that_reads_damaged_data_stops_and_the_next_start_mends_it(restarted: Member) -> None:
    contents = read_all(restarted)
    restarted.stop()
    restarted.start()  # nothing is cached
    path = flip_in_table(restarted)
    with pytest.raises(grpc.RpcError):
        read_all(restarted)
    assert restarted.wait() == 1
    last = restarted.log_tail(1)
    assert str(path) in last and "Start the member again" in last, last
    assert "Traceback" not in restarted.log_tail(40)
    restarted.start()
    assert read_all(restarted) == contents


def test_a_junk_lock_or_record_is_no_reason_not_to_start(make_trial: Callable[..., Trial]) -> None:
    member = make_trial().member
    member.stop()
    (member.data_dir / "etcdz.lock").write_bytes(b'{"pid":[],"incarnation":1e999}')
    (member.data_dir / "etcdz.json").write_bytes(b"[" * 40_000)
    member.start()
