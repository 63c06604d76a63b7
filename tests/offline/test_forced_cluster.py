"""--force-new-cluster: a member of several goes on alone with what was committed; one alone is left as it is."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from etcdz.cluster.founding import bootstrap_peers
from etcdz.cluster.membership import Member, Membership, bootstrap_entries, conf_change
from etcdz.migration import forced_cluster
from etcdz.migration.errors import MigrationError
from etcdz.migration.files import fill, identity_row
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL, decode_entry, make_entry
from etcdz.store import buckets, received
from etcdz.store.disk import RealDisk
from etcdz.store.leveldb import LevelStore
from etcdz.wal import record as rec
from etcdz.wal import snap
from etcdz.wal.files import WalMismatch
from etcdz.wal.log import Log
from etcdz.wal.snap import Snap
from tests.etcd_process import Etcdz
from tests.offline.members import call, put

TERM = 3
KINDS = raftpb.ConfChangeType
ADD, REMOVE, LEARN = KINDS.ConfChangeAddNode, KINDS.ConfChangeRemoveNode, KINDS.ConfChangeAddLearnerNode
Change = tuple[int, bytes]


def urls(number: int) -> list[str]:
    return [f"http://127.0.0.1:{number}"]


def put_of(key: bytes) -> Change:
    header = pb.RequestHeader(ID=77)
    return ENTRY_NORMAL, pb.InternalRaftRequest(header=header, put=pb.PutRequest(key=key)).SerializeToString()


def add(id_: int, kind: int = ADD) -> Change:
    return ENTRY_CONF_CHANGE, conf_change(kind, id_, Member(id_, urls(id_), kind == LEARN).to_json().encode())


def remove(id_: int) -> Change:
    return ENTRY_CONF_CHANGE, conf_change(REMOVE, id_, None)


class Data:
    """The data directory of the first of some members. Their first entries are applied, `more` is in the log."""

    def __init__(self, top: Path, members: int, more: Sequence[Change] = (), commit: int | None = None) -> None:
        self.top, self.wal = top, top / "member" / "wal"
        peers = bootstrap_peers({chr(97 + n): urls(1 + n) for n in range(members)}, "token")
        self.id = next(id_ for id_, context in peers if b'"name":"a"' in context)
        self.others = [id_ for id_, _ in peers if id_ != self.id]
        entries = bootstrap_entries(peers)
        self._write_store(entries)
        indexed = enumerate(more, members + 1)
        entries += [make_entry(kind, TERM, index, data).encoded for index, (kind, data) in indexed]
        metadata = pb.Metadata(NodeID=self.id, ClusterID=5).SerializeToString()
        log = Log.create(RealDisk(), str(self.wal), metadata)
        hard_state = rec.HardState(TERM, self.id, members if commit is None else commit)
        log.append(entries, 1, rec.encode_hard_state(hard_state))
        log.sync()
        log.close()

    def _write_store(self, entries: list[bytes]) -> None:
        membership = Membership(self.id, 5)
        for entry in entries:
            membership.apply_conf_change(decode_entry(entry).data)
        store = LevelStore(self.top / "member" / "snap" / "leveldb")
        fill(store, [(bucket + key, value) for bucket, key, value in membership.take_rows() if value is not None])
        applied = [(buckets.CONSISTENT_INDEX, len(entries).to_bytes(8, "big")), (buckets.TERM, TERM.to_bytes(8, "big"))]
        fill(store, [identity_row(self.id, 5), *applied])
        store.close()

    def receive(self, index: int) -> None:
        """A leader's snapshot of the same members, which the log begins after and the store does not have yet."""
        store, term = self.top / "member" / "snap" / "leveldb", TERM
        made = store.with_name("made")
        shutil.copytree(store, made)
        level = LevelStore(made)
        fill(level, [(buckets.CONSISTENT_INDEX, index.to_bytes(8, "big"))])
        level.close()
        received.keep(made, store, index)
        conf_state = raftpb.ConfState(voters=[self.id, *self.others]).SerializeToString()
        snap.save(RealDisk(), str(store.parent), Snap(index, term, conf_state, b"{}"))
        log, _ = Log.open(RealDisk(), str(self.wal))
        log.save_received_marker(index, term, conf_state, b"")
        log.close()

    def force(self) -> tuple[list[Change], int]:
        """return (entries behind the first members, commit index)"""
        forced_cluster.force(self.top, self.wal, ("http://127.0.0.1:9",))
        return self.read()

    def read(self) -> tuple[list[Change], int]:
        log, recovered = Log.open(RealDisk(), str(self.wal))
        entries = [decode_entry(entry) for entry in log.read_entries(2 + len(self.others))]
        log.close()
        return [(entry.type, entry.data) for entry in entries], rec.decode_hard_state(recovered.hard_state).commit


def members_after(data: Data, entries: Sequence[Change]) -> list[int]:
    membership = Membership(data.id, 5)
    for id_ in [data.id, *data.others]:
        membership.apply_conf_change(add(id_)[1])
    for kind, change in entries:
        if kind == ENTRY_CONF_CHANGE:
            assert membership.apply_conf_change(change) is None
    return [id_ for id_, member in membership.by_id.items() if not member.is_learner]


def test_the_others_are_removed_and_that_is_committed(tmp_path: Path) -> None:
    data = Data(tmp_path, 3)
    entries, commit = data.force()
    assert entries == [remove(id_) for id_ in data.others]
    assert commit == 5 and members_after(data, entries) == [data.id]
    assert data.force() == (entries, commit), "once"


def test_what_was_not_committed_is_dropped_and_what_the_store_knows_to_be_is_not(tmp_path: Path) -> None:
    data = Data(tmp_path, 3, [put_of(b"committed"), put_of(b"not"), add(7)], commit=4)
    entries, commit = data.force()
    assert entries == [put_of(b"committed"), *[remove(id_) for id_ in data.others]]
    assert commit == 6
    behind = Data(tmp_path / "behind", 3, [put_of(b"not")], commit=0)
    assert behind.force() == ([remove(id_) for id_ in behind.others], 5)


def test_changes_of_the_members_that_are_not_applied_yet_count(tmp_path: Path) -> None:
    data = Data(tmp_path, 3, [add(7), add(8, LEARN)], commit=5)
    entries, _ = data.force()
    removed = {raftpb.ConfChange.FromString(change).node_id for _, change in entries[2:]}
    assert removed == {*data.others, 7, 8}
    assert members_after(data, entries) == [data.id]


def test_a_member_alone_keeps_its_whole_log_since_nobody_else_had_to_agree(tmp_path: Path) -> None:
    data = Data(tmp_path, 1, [put_of(b"acknowledged")], commit=1)
    assert data.force() == ([put_of(b"acknowledged")], 1)
    grown = Data(tmp_path / "grown", 1, [put_of(b"acknowledged"), add(7), put_of(b"never")], commit=1)
    entries, commit = grown.force()
    assert entries == [put_of(b"acknowledged"), add(7), remove(7)] and commit == 4


@pytest.mark.parametrize("name", ["leveldb.before", "leveldb.mended"])
def test_a_store_that_a_killed_start_has_left_under_another_name_counts(name: str, tmp_path: Path) -> None:
    data = Data(tmp_path, 3, [put_of(b"applied")], commit=0)
    store = tmp_path / "member" / "snap" / "leveldb"
    level = LevelStore(store)
    level.write({buckets.CONSISTENT_INDEX: (4).to_bytes(8, "big")}, sync=True)
    level.close()
    store.rename(store.with_name(name))
    entries, _ = data.force()
    assert entries == [put_of(b"applied"), *[remove(id_) for id_ in data.others]]


def test_a_damaged_store_is_none_of_a_first_start_and_the_way_out_is_named(tmp_path: Path) -> None:
    data = Data(tmp_path, 3, [put_of(b"kept")])
    before = data.read()
    (tmp_path / "member" / "snap" / "leveldb" / "CURRENT").unlink()
    with pytest.raises(MigrationError, match=r"CURRENT: is missing.* without --force-new-cluster first"):
        data.force()
    assert data.read() == before


def test_a_learner_is_given_a_vote_first() -> None:
    own, other = 9, 7
    membership = Membership(own, 5)
    membership.apply_conf_change(add(other)[1])
    membership.apply_conf_change(add(own, LEARN)[1])
    changes = forced_cluster.changes(membership, ())
    assert [raftpb.ConfChange.FromString(change).type for change in changes] == [ADD, REMOVE]
    for change in changes:
        assert membership.apply_conf_change(change) is None
    assert [(member.id, member.is_learner) for member in membership.sorted_members()] == [(own, False)]


def test_a_member_that_its_cluster_does_not_know_is_added_and_a_removed_one_refused(tmp_path: Path) -> None:
    membership = Membership(9, 5)
    changes = forced_cluster.changes(membership, ("http://127.0.0.1:9",))
    assert changes == [add(9)[1]]
    data = Data(tmp_path, 3)
    removed = Data(tmp_path / "removed", 3, [remove(data.id)], commit=4)
    with pytest.raises(MigrationError, match="was removed from its cluster"):
        removed.force()


@pytest.mark.process
def test_a_member_of_three_starts_alone_and_flags_of_the_first_start_do_not_matter_later(tmp_path: Path) -> None:
    member = Etcdz(tmp_path, "--force-new-cluster", "--initial-cluster-state=existing", "--strict-reconfig-check=false")
    data = Data(member.data_dir, 3)
    with member:
        put(member, b"k", b"1")
        listed = call(member, "Cluster/MemberList", pb.MemberListRequest(), pb.MemberListResponse).members
        assert [one.ID for one in listed] == [data.id]
    text = member.log_path.read_text()
    assert text.count('"removed member"') == 2 and '"forcing restart member"' in text
    with member:  # the flag is still there, as in a unit that was never changed back
        put(member, b"k", b"2")
    assert member.log_path.read_text().count('"removed member"') == 2


def test_a_leaders_snapshot_that_the_log_has_taken_up_is_installed_first(tmp_path: Path) -> None:
    data = Data(tmp_path, 3)
    data.receive(50)
    forced_cluster.force(data.top, data.wal, ("http://127.0.0.1:9",))
    log, recovered = Log.open(RealDisk(), str(data.wal), None)
    entries = [decode_entry(entry) for entry in log.read_entries(51)]
    log.close()
    removed = [raftpb.ConfChange.FromString(entry.data).node_id for entry in entries]
    assert (removed, recovered.first_index) == (sorted(data.others), 51)
    store = LevelStore(tmp_path / "member" / "snap" / "leveldb")
    assert store.get(buckets.CONSISTENT_INDEX) == (50).to_bytes(8, "big")
    store.close()


def test_one_that_is_gone_is_refused(tmp_path: Path) -> None:
    data = Data(tmp_path, 3)
    data.receive(50)
    shutil.rmtree(received.whole(tmp_path / "member" / "snap" / "leveldb", 50))
    with pytest.raises(WalMismatch, match="entry 4 is not in the log any more"):
        data.force()
