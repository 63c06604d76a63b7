"""--force-new-cluster: one member of several goes on alone, as a new cluster of the same id, with its data.

The log is given what makes it so, before the member starts: what was not committed is rewritten by changes of the
configuration that remove every other member, committed at once. They are written and synced together, so that a kill
leaves all of it or nothing. A member that is alone already is left as it is.

Entries count as committed if the hard state says so, or the store has applied them, or nobody else had a vote.
Source: etcd 3.5 etcdserver restartAsStandaloneNode; that the store's word counts: etcd 3.6.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from etcdz.cluster.membership import Member, Membership, conf_change, promotion_context
from etcdz.migration.errors import MigrationError
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL, Entry, decode_entry, make_entry
from etcdz.store import buckets, received, way_back
from etcdz.store.disk import RealDisk
from etcdz.store.inspection import is_new
from etcdz.store.leveldb import LevelStore, StoreDamaged
from etcdz.telemetry import logs
from etcdz.wal import record as rec
from etcdz.wal.log import Log
from etcdz.wal.start import open_newest

_READ_BYTES = 4 << 20

log = logs.get("force-new-cluster")


class Applied(NamedTuple):
    """What the store says: the entry up to which it has applied the log, and the members as they were then."""

    upto: int
    membership: Membership


def force(top: Path, wal_dir: Path, peer_urls: tuple[str, ...]) -> None:
    """Requires: the lock of the data directory is held, there is a log, and it is of etcdz.

    peer_urls   of this member, should its cluster not know it
    raises      MigrationError: it was removed from its cluster, or its store is damaged: what that has applied counts
                as committed, so nothing may be dropped without it. WalCorrupt, WalMismatch, StoreBroken, ValueError,
                OSError: log or store cannot be read
    """
    disk = RealDisk()
    start = open_newest(disk, str(wal_dir), str(top / "member" / "snap"))
    try:
        metadata = pb.Metadata.FromString(start.log.metadata)
        store = top / "member" / "snap" / "leveldb"
        applied = _applied(store, metadata.NodeID, metadata.ClusterID)
        snapshot_index = start.snap.index if start.snap else 0
        is_pending = applied.upto < snapshot_index and applied.upto + 1 < start.log.first_index
        if is_pending and received.begin(
            store, snapshot_index
        ):  # the leader's last word, killed before it was installed
            applied = _applied(store, metadata.NodeID, metadata.ClusterID)
        _force(start.log, applied, peer_urls)
    finally:
        start.log.close()


def _applied(path: Path, member_id: int, cluster_id: int) -> Applied:
    received.finish(path)
    way_back.finish(path)  # a start that was killed may have left the store under another name
    if is_new(path):  # killed in its first start: the log has everything
        return Applied(0, Membership(member_id, cluster_id))
    try:
        store = LevelStore(path)
    except StoreDamaged as error:
        raise MigrationError(
            f"the store is damaged: {error}. Start the member without --force-new-cluster first: it says what can be "
            "done"
        ) from error
    try:
        index = int.from_bytes(store.get(buckets.CONSISTENT_INDEX) or b"", "big")
        return Applied(index, Membership.load(store, member_id, cluster_id))
    finally:
        store.close()


def _force(wal: Log, applied: Applied, peer_urls: tuple[str, ...]) -> None:
    membership = applied.membership
    hard_state = rec.decode_hard_state(wal.hard_state) if wal.hard_state else rec.HardState(0, 0, 0)
    committed = _commit(wal, applied, hard_state.commit)
    todo = changes(membership, peer_urls)
    if todo:
        if committed < wal.last_index:
            log.info(
                "discarding uncommitted WAL entries",
                entry_index=committed + 1,
                commit_index_from_wal=hard_state.commit,
                number_of_discarded_entries=wal.last_index - committed,
            )
        _append(wal, committed + 1, todo, hard_state)
        committed = wal.last_index
    log.info(
        "forcing restart member",
        cluster_id=f"{membership.cluster_id:x}",
        local_member_id=f"{membership.member_id:x}",
        commit_index=committed,
    )


def _commit(wal: Log, applied: Applied, known: int) -> int:
    """Brings the membership to where the committed entries end. return the index of the last of them"""
    index, membership = applied
    for entry in _entries(wal, index + 1):
        if entry.index > known and not _is_alone(membership):
            break
        index = entry.index
        if entry.type != ENTRY_NORMAL:
            membership.apply_conf_change(entry.data, v2=entry.type != ENTRY_CONF_CHANGE)
    return index


def _entries(wal: Log, at: int) -> Iterator[Entry]:
    while at <= wal.last_index:
        entries = wal.read_entries(at, max_bytes=_READ_BYTES)
        yield from map(decode_entry, entries)
        at += len(entries)


def _is_alone(membership: Membership) -> bool:
    return [id_ for id_, member in membership.by_id.items() if not member.is_learner] == [membership.member_id]


def changes(membership: Membership, peer_urls: tuple[str, ...]) -> list[bytes]:
    """Encoded ConfChanges that leave this member alone, and give it a vote: first, since there must always be a voter.

    raises  MigrationError
    """
    kinds, own = raftpb.ConfChangeType, membership.member_id
    if own in membership.removed:
        raise MigrationError(
            f"member {own:x} was removed from its cluster, and --force-new-cluster cannot bring it back: restore a "
            "snapshot of its data with `etcdzutl snapshot restore`"
        )
    found = []
    member = membership.by_id.get(own)
    if member is None:
        context = Member(own, sorted(peer_urls)).to_json().encode()
        found.append(conf_change(kinds.ConfChangeAddNode, own, context))
    elif member.is_learner:
        found.append(conf_change(kinds.ConfChangeAddNode, own, promotion_context(own)))
    for other in membership.sorted_members():
        if other.id != own:
            _tell_removed(membership, other)
            found.append(conf_change(kinds.ConfChangeRemoveNode, other.id, None))
    return found


def _tell_removed(membership: Membership, other: Member) -> None:
    log.info(
        "removed member",
        cluster_id=f"{membership.cluster_id:x}",
        local_member_id=f"{membership.member_id:x}",
        removed_remote_peer_id=f"{other.id:x}",
        removed_remote_peer_urls=other.peer_urls,
    )


def _append(wal: Log, first_index: int, changes: list[bytes], before: rec.HardState) -> None:
    entries = [
        make_entry(ENTRY_CONF_CHANGE, before.term, index, data).encoded
        for index, data in enumerate(changes, first_index)
    ]
    commit = first_index + len(changes) - 1
    wal.append(entries, first_index, rec.encode_hard_state(before._replace(commit=commit)))
    wal.sync()
