"""`snapshot restore`: a data directory of etcdz for one member of a new cluster, out of a snapshot of etcd or etcdz.

Keys, leases, users and alarms stay; the members are forgotten, and the first entries of a new log name them anew.
Everything is built in `member.restoring`, which gets its name when it is whole and synced; a log elsewhere is built in
`<wal-dir>.restoring`. No member starts on what a killed restore has left, and the next restore removes it
(unfinished_restore.py).
Source: etcd 3.5 etcdutl snapshot restore: order of checks, texts, and what the new log and .snap hold.
"""

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from etcdz.bbolt import BoltCorrupt, BoltFile
from etcdz.cli.command_tree import CommandError
from etcdz.cli.utl import unfinished_restore
from etcdz.cli.utl.files import open_file
from etcdz.cli.utl.unfinished_restore import wal_building
from etcdz.cluster.founding import found
from etcdz.cluster.membership import Membership, bootstrap_entries
from etcdz.config import bootstrap
from etcdz.config.member import parse_initial_cluster
from etcdz.config.urls import parse_urls
from etcdz.migration.errors import MigrationError
from etcdz.migration.files import fill, identity_row, sync_tree
from etcdz.migration.inventory import RESTORING
from etcdz.mvcc.bolt_rows import file_rows
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.store import buckets
from etcdz.store.disk import RealDisk
from etcdz.store.leveldb import LevelStore
from etcdz.v2 import snapshot
from etcdz.v2.cluster_nodes import store_of
from etcdz.wal import record as rec
from etcdz.wal import snap as snaps
from etcdz.wal.files import File
from etcdz.wal.log import Log
from etcdz.wal.snap import Snap

SUM_BYTES = 32
SECTOR_BYTES = 512
"""A file that is longer than a multiple of it by SUM_BYTES ends in its SHA-256. Source: etcd 3.5 hasChecksum"""
TERM = 1
_READ_BYTES = 1 << 20
_FORGOTTEN = (buckets.MEMBERS, buckets.MEMBERS_REMOVED)


class Options(NamedTuple):
    """The command line. peer_urls: comma-separated, of this member"""

    path: str
    data_dir: str
    wal_dir: str
    name: str
    initial_cluster: str
    token: str
    peer_urls: str
    skip_hash_check: bool


def run(options: Options) -> int:
    """raises CommandError"""
    members = _check(options)
    data_dir = Path(options.data_dir)
    member_dir = data_dir / "member"
    told = {
        "path": options.path,
        "wal-dir": options.wal_dir or str(member_dir / "wal"),
        "data-dir": options.data_dir,
        "snap-dir": str(member_dir / "snap"),
    }
    _say("restoring snapshot", told)
    file, source = open_file(options.path)
    building = data_dir / RESTORING
    try:
        _check_sum(source, options.skip_hash_check)
        with unfinished_restore.begin(data_dir, options.wal_dir):
            _build(file, options, members, building)
            sync_tree(building)
            unfinished_restore.end(data_dir, options.wal_dir)
    except (MigrationError, BoltCorrupt, ValueError, OSError) as error:
        raise CommandError(str(error)) from None
    finally:
        source.close()
    _say("restored snapshot", told)
    return 0


def _say(text: str, fields: dict[str, str]) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError):  # what cannot be told is done all the same
        sys.stderr.write(f"{now}\tinfo\tutl/restore.py\t{text}\t{json.dumps(fields)}\n")


# ---- checks ----


def _check(options: Options) -> dict[str, tuple[str, ...]]:
    """Peer URLs by name. raises CommandError"""
    try:
        advertised = parse_urls(options.peer_urls)
        members = parse_initial_cluster(options.initial_cluster)
    except ValueError as error:
        raise CommandError(str(error)) from None
    if error_text := bootstrap.members_error(options.name, members, advertised, bootstrap.resolve):
        raise CommandError(error_text)
    data_dir = Path(options.data_dir)
    if data_dir.exists() and not (data_dir.is_dir() and unfinished_restore.is_all(data_dir)):
        raise CommandError(f'data-dir "{options.data_dir}" not empty or could not be read')
    if options.wal_dir and Path(options.wal_dir).exists() and not unfinished_restore.wrote(data_dir, options.wal_dir):
        raise CommandError(f'wal-dir "{options.wal_dir}" exists')
    return members


def _check_sum(source: File, skip: bool) -> None:
    """Of the file, if it has one. raises CommandError"""
    size = source.size()
    has_sum = size % SECTOR_BYTES == SUM_BYTES
    if skip:
        return
    if not has_sum:
        raise CommandError("snapshot missing hash but --skip-hash-check=false")
    wanted = source.read(size - SUM_BYTES, SUM_BYTES)
    found = hashlib.sha256()
    for at in range(0, size - SUM_BYTES, _READ_BYTES):
        found.update(source.read(at, min(_READ_BYTES, size - SUM_BYTES - at)))
    if found.digest() != wanted:
        raise CommandError(f"expected sha256 {_listed(wanted)}, got {_listed(found.digest())}")


def _listed(data: bytes) -> str:
    """As Go prints bytes."""
    return f"[{' '.join(map(str, data))}]"


# ---- building ----


def _build(file: BoltFile, options: Options, members: dict[str, tuple[str, ...]], building: Path) -> None:
    """The whole of a member directory. raises BoltCorrupt, ValueError, OSError"""
    founding = found(members, options.token, options.name)
    peers = founding.bootstrap_peers()
    member_id, cluster_id = founding.member_id, founding.cluster_id
    entries = bootstrap_entries(peers)
    membership = Membership(member_id, cluster_id)
    for entry in entries:
        membership.apply_conf_change(raftpb.Entry.FromString(entry).Data)
    own = [(bucket + key, value) for bucket, key, value in membership.take_rows() if value is not None]
    own.append((buckets.CONSISTENT_INDEX, len(entries).to_bytes(8, "big")))
    own.append((buckets.TERM, TERM.to_bytes(8, "big")))
    own.append(identity_row(member_id, cluster_id))
    snap_dir = building / "snap"
    store = LevelStore(snap_dir / "leveldb")
    try:
        fill(store, _rows(file, own))
    finally:
        store.close()
    metadata = pb.Metadata(NodeID=member_id, ClusterID=cluster_id).SerializeToString()
    hard_state = rec.encode_hard_state(rec.HardState(TERM, peers[0][0], len(entries)))
    wal_dir = wal_building(options.wal_dir) if options.wal_dir else str(building / "wal")
    _write_log(wal_dir, metadata, entries, hard_state, membership, snap_dir)


def _rows(file: BoltFile, own: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in file_rows(file):
        if not key.startswith(_FORGOTTEN):
            yield key, value
    yield from own


def _write_log(
    wal_dir: str, metadata: bytes, entries: list[bytes], hard_state: bytes, membership: Membership, snap_dir: Path
) -> None:
    """A log that begins with the members, all of it committed, and the .snap that stands for it."""
    disk = RealDisk()
    log = Log.create(disk, wal_dir, metadata)
    try:
        log.append(entries, 1, hard_state)
        log.sync()
        snap = Snap(len(entries), TERM, membership.conf_state(), snapshot.encode(store_of(membership)))
        snaps.save(disk, str(snap_dir), snap)
        log.save_snapshot_marker(snap.index, snap.term, snap.conf_state)
    finally:
        log.close()
