"""Makes a store of etcdz out of a snapshot that another member has sent: etcd's database file, and raft's MsgSnap.

The database has the keys, leases, alarms and users; who the members are stands in the MsgSnap as well, and that is what
counts: the v2 store in its data, and the configuration in its metadata. So does the index: etcd 3.4 does not count
every entry in the database, and one without a row for the term is of 3.4 as well.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic_ns

from etcdz.bbolt import BoltFile
from etcdz.cluster.membership import CONF_STATE_KEY, Membership
from etcdz.migration.files import fill, identity_row, open_database, sync_tree
from etcdz.migration.v2_members import member_rows
from etcdz.mvcc.bolt_rows import file_rows
from etcdz.raft.messages import ConfState, Snapshot
from etcdz.store import buckets, storage_version
from etcdz.store.leveldb import LevelStore
from etcdz.v2 import rows as v2_rows
from etcdz.v2 import snapshot as v2_snapshot

_OF_THE_MESSAGE = (buckets.MEMBERS, buckets.MEMBERS_REMOVED)
_INDEX_BYTES = 8


def make_store(database: Path, snapshot: Snapshot, member_id: int, cluster_id: int, target: Path) -> int:
    """A whole store, synced, in a directory that does not exist yet.

    database    nothing in it is trusted
    return      for how many ns it was synced
    raises      MigrationError, BoltCorrupt, ValueError: it is no snapshot that this member can take. StoreBroken,
                OSError: the disk
    """
    file, source = open_database(str(database))
    try:
        store = LevelStore(target)
        try:
            fill(store, _rows(file, snapshot.index))
            fill(store, _rows_of_message(snapshot, member_id, cluster_id))
            _configure(store, snapshot.conf_state, member_id, cluster_id)
        finally:
            store.close()
    finally:
        source.close()
    began_ns = monotonic_ns()
    sync_tree(target)
    return monotonic_ns() - began_ns


def _rows(file: BoltFile, index: int) -> Iterator[tuple[bytes, bytes]]:
    """What the database has, but for what the message says.

    raises  ValueError: it is ahead of the message
    """
    for name, value in file_rows(file):
        if name == buckets.CONSISTENT_INDEX and int.from_bytes(value, "big") > index:
            applied = int.from_bytes(value, "big")
            raise ValueError(f"{file.path} has applied entry {applied}, and its message says {index}")
        if name == buckets.STORAGE_VERSION and (problem := storage_version.newer(value)):
            raise ValueError(f"{file.path} {problem}")
        if not name.startswith(_OF_THE_MESSAGE):
            yield name, value


def _rows_of_message(snapshot: Snapshot, member_id: int, cluster_id: int) -> Iterable[tuple[bytes, bytes]]:
    """raises ValueError: its data is no v2 store"""
    yield from member_rows(snapshot.data)
    yield identity_row(member_id, cluster_id)
    yield buckets.CONSISTENT_INDEX, snapshot.index.to_bytes(_INDEX_BYTES, "big")
    yield buckets.TERM, snapshot.term.to_bytes(_INDEX_BYTES, "big")
    yield from v2_rows.all_rows(v2_snapshot.decode(snapshot.data))


def _configure(store: LevelStore, configuration: ConfState, member_id: int, cluster_id: int) -> None:
    """Who votes is what raft's configuration says: etcd 3.5.1 may say of a learner that it is none.

    raises ValueError: the configuration has members that the v2 store does not have, or lacks some
    """
    membership = Membership.load(store, member_id, cluster_id)
    voters = {*configuration.voters, *configuration.voters_outgoing}
    learners = {*configuration.learners, *configuration.learners_next} - voters
    if membership.by_id.keys() != voters | learners:
        raise ValueError(
            f"the snapshot's configuration has members {_hex(voters | learners)}, its v2 store {_hex(membership.by_id)}"
        )
    changed = [member for member in membership.by_id.values() if member.is_learner != (member.id in learners)]
    for member in changed:
        member.is_learner = not member.is_learner
    rows = [(buckets.MEMBERS + b"%x" % member.id, member.to_json().encode()) for member in changed]
    fill(store, [*rows, (buckets.META + CONF_STATE_KEY, membership.conf_state_json())])


def _hex(ids: Iterable[int]) -> str:
    return " ".join(f"{id_:x}" for id_ in sorted(ids))
