"""A real etcd's log read and written again byte by byte, and logs of ours read by a real etcd."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from etcdz.cluster.founding import bootstrap_peers
from etcdz.cluster.membership import (
    Membership,
    attributes_request,
    bootstrap_entries,
    version_request,
)
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.store.disk import RealDisk
from etcdz.v2 import snapshot
from etcdz.v2.cluster_nodes import store_of
from etcdz.wal import record as rec
from etcdz.wal import snap as snaps
from etcdz.wal.log import Log
from etcdz.wal.record import HardState
from etcdz.wal.snap import Snap
from etcdz.wal.start import Start, open_newest
from tests.etcd_process import CLUSTER_ID, MEMBER_ID, PEER_URL, RealEtcd

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
METADATA: bytes = pb.Metadata(NodeID=MEMBER_ID, ClusterID=CLUSTER_ID).SerializeToString()


def call(member: RealEtcd, method: str, request: object, answer: type) -> object:
    with grpc.insecure_channel(member.target) as channel:
        unary = channel.unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return unary(request, timeout=10, wait_for_ready=True)


def put(member: RealEtcd, key: bytes, value: bytes) -> None:
    call(member, "KV/Put", pb.PutRequest(key=key, value=value), pb.PutResponse)


def get(member: RealEtcd, key: bytes) -> bytes:
    answer = call(member, "KV/Range", pb.RangeRequest(key=key), pb.RangeResponse)
    (kv,) = answer.kvs
    return bytes(kv.value)


def wal_of(member: RealEtcd) -> Path:
    return member.data_dir / "member" / "wal"


def snap_of(member: RealEtcd) -> Path:
    return member.data_dir / "member" / "snap"


def start_of(member: RealEtcd) -> Start:
    return open_newest(RealDisk(), str(wal_of(member)), str(snap_of(member)))


def records_of(directory: Path) -> Iterator[tuple[int, bytes]]:
    """(type, data) of every record but those that open a segment."""
    for path in sorted(directory.glob("*.wal")):
        buf = path.read_bytes()
        at = 0
        is_head = True
        while at < len(buf) and buf[at : at + 8] != bytes(8):
            frame = rec.decode_frame(buf, at)
            is_head = is_head and (frame.kind in (rec.CRC, rec.METADATA) or (frame.kind == rec.HARD_STATE and at < 100))
            if not is_head:
                yield frame.kind, buf[frame.start : frame.stop]
            at = frame.after


def written_again(source: Path, target: Path) -> None:
    """The same records through a log of ours. etcd looks whether to cut after entries and their hard state."""
    log = Log.create(RealDisk(), str(target), METADATA)
    records = list(records_of(source))[1:]  # the first snapshot marker is part of a new log
    for (kind, data), (next_kind, _) in zip(records, [*records[1:], (0, b"")], strict=True):
        if kind == rec.ENTRY:
            log.append([data], rec.decode_position(data)[1])
        elif kind == rec.HARD_STATE:
            log.append([], 0, data)
        else:
            marker = rec.decode_marker(data)
            log.save_snapshot_marker(*marker, conf_state=data[len(rec.encode_marker(marker, None)) + 2 :])
        if kind == rec.HARD_STATE or next_kind not in (rec.ENTRY, rec.HARD_STATE):
            log.sync()
    log.close()


def same_files(left: Path, right: Path) -> bool:
    names = sorted(p.name for p in left.glob("*.wal"))
    return names == sorted(p.name for p in right.glob("*.wal")) and all(
        (left / name).read_bytes() == (right / name).read_bytes() for name in names
    )


def replayed(start: Start) -> Membership:
    membership = Membership(MEMBER_ID, CLUSTER_ID)
    for data in start.log.read_entries(1):
        entry = raftpb.Entry.FromString(data)
        if entry.Type == raftpb.EntryType.EntryConfChange:
            assert membership.apply_conf_change(entry.Data) is None
        elif entry.Data:
            membership.apply_entry(entry.Data)
    return membership


def test_etcds_log_and_snapshots_are_read_and_written_again_byte_by_byte(tmp_path: Path) -> None:
    with RealEtcd(tmp_path, "--snapshot-count=5") as etcd:
        etcd.wait_for_log("set initial cluster version")  # an entry of its own, which may come later than the first put
        for number in range(13):
            put(etcd, b"key%d" % number, b"value%d" % number)
        etcd.stop()
        start = start_of(etcd)
        assert start.skipped == [] and start.recovered.torn is None
        assert start.recovered.metadata == METADATA
        assert start.snap is not None
        assert snaps.encode_snap(start.snap) == (snap_of(etcd) / start.snap.name).read_bytes()
        membership = replayed(start)
        assert membership.conf_state() == start.snap.conf_state
        root = snapshot.encode(store_of(membership)).partition(b',"WatcherHub"')[0]
        assert start.snap.data.startswith(root + b',"WatcherHub"')
        last = raftpb.Entry.FromString(start.log.read_entries(start.log.last_index)[0])
        assert pb.InternalRaftRequest.FromString(last.Data).put.key == b"key12"
        start.log.close()
        written_again(wal_of(etcd), tmp_path / "again")
        assert same_files(wal_of(etcd), tmp_path / "again")


def test_a_segment_is_cut_where_etcd_cuts_it(tmp_path: Path) -> None:
    with RealEtcd(tmp_path, "--unsafe-no-fsync") as etcd:
        for number in range(46):
            put(etcd, b"key%d" % (number % 3), bytes([number]) * 1_500_000)
        etcd.stop()
        assert len(list(wal_of(etcd).glob("*.wal"))) == 2
        written_again(wal_of(etcd), tmp_path / "again")
        assert same_files(wal_of(etcd), tmp_path / "again")


def entry(index: int, term: int, data: bytes, kind: int = 0) -> bytes:
    made = raftpb.Entry(Type=kind, Term=term, Index=index)
    if data:
        made.Data = data
    encoded: bytes = made.SerializeToString()
    return encoded


def put_data(number: int) -> bytes:
    header = pb.RequestHeader(ID=1000 + number)
    request = pb.PutRequest(key=b"key%d" % number, value=b"ours%d" % number)
    data: bytes = pb.InternalRaftRequest(header=header, put=request).SerializeToString()
    return data


def test_etcd_starts_from_a_log_of_ours(tmp_path: Path) -> None:
    etcd = RealEtcd(tmp_path)
    wal_of(etcd).parent.mkdir(parents=True)
    log = Log.create(RealDisk(), str(wal_of(etcd)), METADATA)
    log.append(bootstrap_entries(bootstrap_peers({"default": [PEER_URL]}, "etcd-cluster")), 1)
    log.append([entry(2, 2, b"")], 2, rec.encode_hard_state(HardState(2, MEMBER_ID, 1)))
    log.append([entry(3, 2, attributes_request(7, MEMBER_ID, "default", ["http://ours:1"]))], 3)
    log.append([entry(4, 2, version_request(8, "3.5.0"))], 4)
    log.append(
        [entry(n, 2, put_data(n)) for n in range(5, 2005)], 5, rec.encode_hard_state(HardState(2, MEMBER_ID, 2004))
    )
    log.sync()
    log.close()
    with etcd:
        assert get(etcd, b"key5") == b"ours5" and get(etcd, b"key2004") == b"ours2004"
        put(etcd, b"theirs", b"1")
        etcd.stop()
        # And back again.
        start = start_of(etcd)
        assert start.log.read_entries(5, 2005) == [entry(n, 2, put_data(n)) for n in range(5, 2005)]
        assert start.log.last_index > 2005
        start.log.close()


def test_etcd_starts_from_a_snapshot_of_ours_and_a_log_that_both_wrote(tmp_path: Path) -> None:
    with RealEtcd(tmp_path, "--snapshot-count=5") as etcd:
        etcd.wait_for_log("set initial cluster version")  # an entry of its own, which may come later than the first put
        for number in range(13):
            put(etcd, b"key%d" % number, b"theirs")
        etcd.stop()
        start = start_of(etcd)
        theirs = start.snap
        assert theirs is not None
        for path in snap_of(etcd).glob("*.snap"):
            path.unlink()
        data = snapshot.encode(store_of(replayed(start)))
        ours = Snap(theirs.index, theirs.term, theirs.conf_state, data)
        snaps.save(RealDisk(), str(snap_of(etcd)), ours)
        last, term = start.log.last_index, start.log.last_term
        start.log.append(
            [entry(last + 1, term, put_data(1))], last + 1, rec.encode_hard_state(HardState(term, MEMBER_ID, last + 1))
        )
        start.log.sync()
        start.log.close()
        etcd.start()
        assert get(etcd, b"key1") == b"ours1" and get(etcd, b"key12") == b"theirs"
        members = call(etcd, "Cluster/MemberList", pb.MemberListRequest(), pb.MemberListResponse).members
        assert [(m.ID, m.name, list(m.peerURLs)) for m in members] == [(MEMBER_ID, "default", [PEER_URL])]
        etcd.wait_for_log("recovered v2 store from snapshot", 0)
