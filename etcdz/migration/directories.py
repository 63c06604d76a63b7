"""The order of renames by which a new member directory takes the place of the old one.

    member.building    while it is built; removed by the next try
    member.migrated    whole and synced; then it and `member` change names, in one step where the system can
    member.was-etcd    what was migrated (or .was-etcdz, .was-etcd.2, ..), to go back to it

After a kill at any moment `settle` finishes or takes back what was begun.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from etcdz.migration.conversion import Built
from etcdz.migration.errors import MigrationError
from etcdz.migration.exchange import exchange
from etcdz.migration.files import sync_directory
from etcdz.migration.inventory import BUILDING, ETCD, MARK, MIGRATED, OLD, kind_of


def settle(top: Path) -> str:
    """Finishes or takes back what an earlier try has left. return what was done, "" if there is all to do."""
    shutil.rmtree(top / BUILDING, ignore_errors=True)
    member, migrated, old = top / "member", top / MIGRATED, top / OLD
    if not member.is_dir() and (migrated / MARK).exists():  # between two renames
        migrated.rename(member)
    if old.is_dir():
        old.rename(migrated)
    if not migrated.is_dir():
        (member / MARK).unlink(missing_ok=True)
        return ""
    if (migrated / MARK).exists():
        # Whole, but its turn never came. NB: under another name first: half removed, without MARK, it would be taken
        # for the old one.
        migrated.rename(top / BUILDING)
        shutil.rmtree(top / BUILDING)
        return ""
    kept = _set_aside(top, kind_of(migrated))
    return f"{top}: the migration to {kind_of(member)} is finished now; kept: {kept}"


def replace_member(top: Path, build: Callable[[Path], Built]) -> tuple[Built, Path]:
    """Has a new member directory built, and puts it in the place of the old one.

    build    makes the directory that it is given, whole and synced, with MARK in it
    return   (what it said, where the old one is now)
    raises   whatever build raises: then all is as it was
    Requires: settle() has said that there is all to do
    """
    kind = kind_of(top / "member")
    building = top / BUILDING
    with _hold_backend(top / "member", kind):
        try:
            built = build(building)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        building.rename(top / MIGRATED)
        sync_directory(top)
        exchange(top / "member", top / MIGRATED)
        sync_directory(top)
    return built, _set_aside(top, kind)


def _set_aside(top: Path, kind: str) -> Path:
    """Gives the old member directory its last name."""
    number = 1
    kept = top / f"member.was-{kind}"
    while kept.exists():
        number += 1
        kept = top / f"member.was-{kind}.{number}"
    (top / MIGRATED).rename(kept)
    sync_directory(top)
    (top / "member" / MARK).unlink()
    return kept


@contextlib.contextmanager
def hold(top: Path) -> Iterator[None]:
    """The lock of an etcdz member. raises MigrationError: one runs"""
    fd = os.open(top / "etcdz.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock(fd, f"data directory {top} is in use by a running etcdz")
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _hold_backend(member: Path, kind: str) -> Iterator[None]:
    """etcd's lock is on its database file; LevelDB has its own."""
    if kind != ETCD:
        yield
        return
    fd = os.open(member / "snap" / "db", os.O_RDWR | os.O_CLOEXEC)
    try:
        lock(fd, f"{member / 'snap' / 'db'} is in use by a running etcd")
        yield
    finally:
        os.close(fd)


def lock(fd: int, refusal: str) -> None:
    """Until fd is closed. raises MigrationError: with this text, another process has it"""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MigrationError(refusal) from None
