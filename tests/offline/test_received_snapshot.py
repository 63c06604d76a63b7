"""The store made of a snapshot: the message says who the members are, and of which entry it is, the file the rest."""

from pathlib import Path

import pytest

from etcdz.auth.store import AuthStore
from etcdz.bbolt import PAGE_BYTES, BoltWriter
from etcdz.bbolt.writer import HEAD_PAGES
from etcdz.cluster.membership import Member, Membership
from etcdz.migration.received_snapshot import make_store
from etcdz.raft.messages import ConfState, Snapshot
from etcdz.store import buckets
from etcdz.store.leveldb import LevelStore
from etcdz.v2 import snapshot as v2_snapshot
from etcdz.v2.cluster_nodes import store_of

ME, OTHER, CLUSTER = 2, 1, 7
INDEX, TERM = 40, 3
Rows = dict[bytes, dict[bytes, bytes]]
"""By bucket, by key."""


def index_row(index: int) -> Rows:
    return {b"meta": {b"consistent_index": index.to_bytes(8, "big")}}


def write(path: Path, rows: Rows) -> Path:
    with path.open("wb") as file:
        file.write(bytes(HEAD_PAGES * PAGE_BYTES))
        writer = BoltWriter(file.write)
        for bucket in sorted(rows):
            writer.add_bucket(bucket, sorted(rows[bucket].items()))
        layout = writer.finish()
        file.seek(0)
        file.write(layout.head())
    return path


def message(conf_state: ConfState, learners: tuple[int, ...] = ()) -> Snapshot:
    """learners: those that the v2 store says are some."""
    membership = Membership(OTHER, CLUSTER)
    membership.by_id = {id_: Member(id_, [f"http://127.0.0.1:{id_}"], id_ in learners) for id_ in (OTHER, ME)}
    membership.removed = {9}
    membership.version = "3.5.0"
    return Snapshot(INDEX, TERM, conf_state, v2_snapshot.encode(store_of(membership)))


def made(tmp_path: Path, rows: Rows, snapshot: Snapshot) -> LevelStore:
    make_store(write(tmp_path / "db", rows), snapshot, ME, CLUSTER, tmp_path / "store")
    return LevelStore(tmp_path / "store")


def test_members_that_only_the_file_has_are_none(tmp_path: Path) -> None:
    """etcd takes members from the v2 store; a file may hold those of another time."""
    rows = index_row(INDEX) | {b"members": {b"5": b'{"id":5}'}, b"members_removed": {b"6": b"removed"}}
    store = made(tmp_path, rows, message(ConfState((OTHER, ME))))
    membership = Membership.load(store, ME, CLUSTER)
    assert (sorted(membership.by_id), membership.removed, membership.version) == ([OTHER, ME], {9}, "3.5.0")
    store.close()


@pytest.mark.parametrize("index", [INDEX, INDEX - 3])
def test_a_file_that_has_not_counted_every_entry_is_of_the_messages_index(index: int, tmp_path: Path) -> None:
    """As of etcd 3.4, which has no row for the term either."""
    store = made(tmp_path, index_row(index), message(ConfState((OTHER, ME))))
    assert store.get(buckets.CONSISTENT_INDEX) == INDEX.to_bytes(8, "big")
    assert store.get(buckets.TERM) == TERM.to_bytes(8, "big")
    store.close()


def test_who_votes_is_what_rafts_configuration_says(tmp_path: Path) -> None:
    """etcd 3.5.1 takes a learner whose URLs were updated for a voter, and its raft does not."""
    store = made(tmp_path, index_row(INDEX), message(ConfState((OTHER,), (ME,)), learners=()))
    assert Membership.load(store, ME, CLUSTER).is_learner
    store.close()


def test_users_and_roles_come_with_it(tmp_path: Path) -> None:
    rows = {b"auth": {b"authEnabled": b"\1", b"authRevision": bytes(7) + b"\5"}}
    store = made(tmp_path, index_row(INDEX) | rows, message(ConfState((OTHER, ME))))
    access = AuthStore(store).access
    assert (access.enabled, access.revision) == (True, 5)
    store.close()


REFUSED = [
    (index_row(INDEX + 1), message(ConfState((OTHER, ME))), "has applied entry 41, and its message says 40"),
    (index_row(INDEX), message(ConfState((OTHER, ME, 3))), "configuration has members 1 2 3, its v2 store 1 2"),
    (index_row(INDEX), Snapshot(INDEX, TERM, ConfState((OTHER, ME)), b"{}"), "no members"),
    (
        index_row(INDEX) | {b"meta": {**index_row(INDEX)[b"meta"], b"storageVersion": b"3.9.0"}},
        message(ConfState((OTHER, ME))),
        "is of storage version 3.9.0, newer than 3.8",
    ),
]


@pytest.mark.parametrize(("rows", "snapshot", "text"), REFUSED)
def test_what_this_member_cannot_serve_is_refused(rows: Rows, snapshot: Snapshot, text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=text):
        made(tmp_path, rows, snapshot)
