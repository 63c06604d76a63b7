"""A member of etcdz starts on the data directory of etcd: it is made one of etcdz first, and the log says so.

etcd's member directory stays as it was, under another name (directories.py), so that there is a way back as long as it
is kept; what etcdz has written since goes back by `etcdzutl migrate`.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from etcdz.migration import conversion
from etcdz.migration.conversion import Built, Tally
from etcdz.migration.directories import replace_member, settle
from etcdz.migration.inventory import Work, examine
from etcdz.telemetry import logs

PROGRESS_S: Final = 10.0
"""Between two lines that say how far it is."""

log = logs.get("takeover")


def take_over(top: Path, wal_dir: Path, may_take_over: bool = True) -> None:
    """Brings a data directory of etcd, and what an earlier try has left, to the state that etcdz starts from.

    wal_dir         where the log is: below top, then it is copied; elsewhere, then it stays and both use it
    may_take_over   False: only an earlier try is finished
    raises          MigrationError, BoltCorrupt, StoreBroken, ValueError, OSError: then all is as it was
    Requires: the lock of the data directory is held
    """
    done = settle(top)
    if done:
        log.info("finished what an earlier try has begun", data_dir=str(top), done=done)
    if examine(top, wal_dir, may_take_over) is Work.NONE:
        return
    source = top / "member"
    database = source / "snap" / "db"
    log.info(
        "taking over a data directory of etcd", data_dir=str(top), path=str(database), size=database.stat().st_size
    )
    began = time.monotonic()
    tally = Tally()
    with _progress(tally):
        built, kept = replace_member(top, lambda building: _build(source, wal_dir, building, tally))
    log.info(
        "took over a data directory of etcd",
        data_dir=str(top),
        keys=built.keys,
        revisions=built.revisions,
        bytes=built.data_bytes,
        applied_index=built.applied,
        took=f"{time.monotonic() - began:.3f}s",
        kept=str(kept),
    )


def _build(source: Path, wal_dir: Path, building: Path, tally: Tally) -> Built:
    copy_log = wal_dir.absolute() == (source / "wal").absolute()
    return conversion.to_etcdz(source, wal_dir, building, copy_log, tally)


@contextmanager
def _progress(tally: Tally) -> Iterator[None]:
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(PROGRESS_S):
            log.info("still taking over", revisions=tally.revisions, bytes=tally.data_bytes)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
