"""`migrate`: the data directory of a stopped etcd becomes one of etcdz, or the other way round.

How that is done, and what survives a kill at any moment, stands in etcdz/migration.
"""

from pathlib import Path

from etcdz.bbolt import BoltCorrupt
from etcdz.cli.command_tree import CommandError
from etcdz.migration import conversion
from etcdz.migration.conversion import Built, Tally
from etcdz.migration.directories import hold, replace_member, settle
from etcdz.migration.errors import MigrationError
from etcdz.migration.inventory import ETCD, ETCDZ, kind_of
from etcdz.store.leveldb import StoreBroken


def run(data_dir: str, wal_dir: str, to: str) -> int:
    """to: etcd, etcdz or "". raises CommandError"""
    if to not in (ETCD, ETCDZ, ""):
        raise CommandError(f'--to must be {ETCD} or {ETCDZ}, not "{to}"')
    top = Path(data_dir)
    if not top.is_dir():
        raise CommandError(f"stat {data_dir}: no such directory")
    try:
        with hold(top):
            print(_migrate(top, Path(wal_dir) if wal_dir else None, to))
    except (MigrationError, BoltCorrupt, StoreBroken, ValueError, OSError) as error:
        raise CommandError(str(error)) from None
    return 0


def _migrate(top: Path, wal_dir: Path | None, to: str) -> str:
    """return what was done, in words."""
    done = settle(top)
    if done:
        return done
    source = top / "member"
    kind = kind_of(source)
    target = to or (ETCDZ if kind == ETCD else ETCD)
    if kind == target:
        return f"{top} is a data directory of {kind} already"

    def build(building: Path) -> Built:
        log, copy_log = wal_dir or source / "wal", wal_dir is None
        if target == ETCDZ:
            return conversion.to_etcdz(source, log, building, copy_log, Tally())
        return conversion.to_etcd(source, log, building, copy_log)

    built, kept = replace_member(top, build)
    return f"{top}: from {kind} to {target} at index {built.applied}; kept: {kept}"
