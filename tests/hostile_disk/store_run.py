"""A process that works on a LevelDB store and says how far it has come, so that strace can make its calls fail.

    python -m tests.hostile_disk.store_run <directory>

    stdout   a line for each batch that was written, and one for how it ended: "ended <type of the error>: <text>", or
             "closed"

NB: what it says leaves by writev(2), which LevelDB does not use: only LevelDB's calls are made to fail.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from etcdz.store.leveldb import LevelStore, StoreBroken

BATCHES: Final = 40
VALUE_BYTES: Final = 1500
SYNC_EVERY: Final = 7
SWITCH_BYTES: Final = 12_000
"""So that the log is switched, and a table written, every seven batches."""
SECOND_HALF: Final = BATCHES // 2
"""With this batch the store is opened anew."""


def rows_of(number: int) -> dict[bytes, bytes | None]:
    return {b"row-%04d" % number: b"%d." % number + bytes(VALUE_BYTES), b"last": b"%d" % number}


def say(text: str) -> None:
    os.writev(1, [text.encode() + b"\n"])


def work(directory: Path) -> None:
    store = LevelStore(directory, switch_bytes=SWITCH_BYTES, sync_ahead_bytes=SWITCH_BYTES // 3)
    for number in range(BATCHES):
        if number == SECOND_HALF:
            store.close()
            store = LevelStore(directory, switch_bytes=SWITCH_BYTES)
        store.write(rows_of(number), sync=number % SYNC_EVERY == SYNC_EVERY - 1)
        say(str(number))
    store.close()


def found_in(directory: Path) -> int:
    """How many batches a store holds. raises AssertionError: not the first so many, or not as they were written"""
    store = LevelStore(directory)
    try:
        count = int(store.get(b"last") or b"-1") + 1
        rows = dict(store.iterate(b"row-", b"row.", verify=True))
        assert rows == {key: value for number in range(count) for key, value in _row(number)}
        return count
    finally:
        store.close()


def _row(number: int) -> Iterator[tuple[bytes, bytes]]:
    for key, value in rows_of(number).items():
        if value is not None and key != b"last":
            yield key, value


if __name__ == "__main__":
    try:
        work(Path(sys.argv[1]))
    except StoreBroken as error:
        say(f"ended {type(error).__name__}: {error}")
        os._exit(1)  # as an actor does: nothing is closed
    say("closed")
