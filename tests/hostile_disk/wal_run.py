"""The wal actor alone, driven through all that it does to a disk. Raft, the backend and a listener are the test's.

Everything is small: a segment is cut every few entries, and with every .snap file something is released.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from actors.wal.actor import WalActor
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    Append,
    Appended,
    Delegate,
    Durable,
    RecallDelegation,
    SaveSnapshot,
    WalHello,
    Write,
)
from etcdz.proto import raftpb
from etcdz.raft import HardState, codec, make_entry
from etcdz.wal.files import Disk
from etcdz.wal.log import LogOptions
from etcdz.wal.start import Start, open_newest
from tests.actors.raft.restarted import RecordedLinks

SMALL: Final = LogOptions(segment_bytes=4096)
RAFT, BACKEND, TERM = 7, 5, 3
CONF_STATE: Final[bytes] = raftpb.ConfState(voters=[1], auto_leave=False).SerializeToString()


class Links(RecordedLinks):
    def incarnation_of(self, name: str) -> int:
        return BACKEND


def data_of(index: int) -> bytes:
    return b"%d." % index + bytes(index * 397 % 900)


def entry_of(index: int) -> bytes:
    return make_entry(0, TERM, index, data_of(index)).encoded


@contextmanager
def smallness() -> Iterator[None]:
    """Segments of 4 KiB, and room as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actors.wal.actor.LogOptions", lambda no_fsync: SMALL)
        patch.setattr("etcdz.wal.log.CUT_RETRY_BYTES", 1024)
        patch.setattr("etcdz.store.ballast.free_bytes", lambda directory: 1 << 40)
        yield


class Wal:
    """One wal process after another on a disk. acknowledged: the last entry that raft or a listener heard of.

    reason: why the member has ended, "" if it has not
    """

    def __init__(self, disk: Any, top: Path, end_process: Callable[[], None], data_dir: str = "/data") -> None:
        """top: for run directories. end_process: closes what is open"""
        self.disk = disk
        self._end_process = end_process
        self.acknowledged = 0
        self.next_index = 1
        self.reason = ""
        self._top = top
        self._config = MemberConfig(data_dir=data_dir, max_wals=2, max_snapshots=2)
        self._incarnation = 9
        self._delegation = 0
        self._commit = 0
        self.links = Links()

    @property
    def wal_dir(self) -> str:
        return self._config.wal_path

    def open(self, disk: Disk) -> Start:
        """The log as the next start of the member finds it on this disk. raises as open_newest"""
        return open_newest(disk, self._config.wal_path, self._config.snap_dir, SMALL)

    def process(self, work: Callable[[], None]) -> None:
        """A wal process that does this work; a resume point in top is used. An error that ends the member is `reason`
        then."""
        self._incarnation += 1
        name = f"wal.{self._incarnation}"
        ipc = f"ipc://{self._top}/"
        boot = Boot(
            "wal", "wal", 0, self._incarnation, str(self._top), ipc + name, f"{ipc}s", [], self._config.to_dict(), {}
        )
        self.actor = WalActor(boot)
        self.actor.links.close(0)
        self.links = Links()
        self.actor.links = self.links  # type: ignore[assignment]
        self.actor.disk = self.disk
        try:
            self.actor.on_start()
            work()
        except Exception as error:
            reason = self.actor.fatal_reason(error)
            if reason is None:
                raise
            self.reason = reason
        finally:
            self._end_process()
            self.actor.mailbox.close()
            self.actor.context.term()

    def turn(self, *messages: Any) -> None:
        """One turn. On a full disk it is tried again until there is space, which is at once."""
        for message in messages:
            self.actor.handlers[type(message)](message)
        self.actor.on_turn_end()
        while self.actor.retry_at is not None:
            self.actor.on_deadline(time.monotonic() + 2)
        self._take_acknowledgements()

    def _take_acknowledgements(self) -> None:
        for _, message in self.links.sent:
            if isinstance(message, Appended):
                self.acknowledged = max(self.acknowledged, message.seq)
            elif isinstance(message, Durable):
                self.acknowledged = max(self.acknowledged, message.first_index + len(message.entries) - 1)
        self.links.sent.clear()

    # ---- what it is told ----

    def append(self, count: int) -> None:
        """By raft. Sequence numbers are indexes."""
        first, self.next_index = self.next_index, self.next_index + count
        state = codec.encode_hard_state(HardState(TERM, 1, self.acknowledged))
        entries = [entry_of(index) for index in range(first, self.next_index)]
        self.turn(Append(RAFT, self.next_index - 1, first, entries, state, True))

    def write(self, count: int) -> None:
        """By a listener, on a delegation that is recalled then."""
        self._delegation += 1
        self.turn(Delegate(RAFT, self._delegation, TERM, self.actor.log_file.last_index, BACKEND))
        for _ in range(count):
            self.turn(Write(0, self._delegation, [(self.next_index, data_of(self.next_index))]))
            self.next_index += 1
        self.turn(RecallDelegation(self._delegation))

    def save_snapshot(self) -> None:
        index = self.acknowledged
        self.turn(SaveSnapshot(RAFT, index, TERM, CONF_STATE, b"{}", keep_index=index))

    def live(self) -> None:
        """A life of the member, with two wal processes."""
        self._begin()
        self.process(self._first)
        if not self.reason:
            self.process(self._second)

    def _first(self) -> None:
        self.turn(WalHello(RAFT, 1))
        for _ in range(4):
            self.append(3)
        self.save_snapshot()
        self.write(6)

    def _second(self) -> None:
        self.turn(WalHello(RAFT, 1))
        self.append(4)
        self.save_snapshot()
        self.append(2)
        self.actor.on_stop()

    def go_on(self) -> None:
        """Another start of the member, and more work."""
        self._begin()
        self.process(self._more)

    def _begin(self) -> None:
        """A member's own start: its run directory is new."""
        self.reason = ""
        for path in self._top.glob("*"):
            path.unlink(missing_ok=True)

    def _more(self) -> None:
        self.turn(WalHello(RAFT, 1))
        self.next_index = self.actor.log_file.last_index + 1
        self.append(2)
        self.append(1)
        self.actor.on_stop()
