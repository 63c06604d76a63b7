"""Checks of the data by the backend: what was there must be there still; and what is done before a member serves."""

from typing import Any

import pytest

from actors.backend.upkeep import Upkeep, check_at_start, defragment_at_start
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets
from etcdz.store.interface import MemoryStore

EVERY_S = 10.0


class Log:
    """Remembers lines as (level, message, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda message, **fields: self.lines.append((level, message, fields))


class Host:
    """A backend with some history, and what it was told to raise."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.mvcc = Mvcc(self.store, 1, 2)
        self.log = Log()
        self.links: Any = None
        self.answers: list[tuple[int, int, int, bytes]] = []
        self.alarms = 0
        self.upkeep = Upkeep(self, lambda *answer: self.answers.append(answer), EVERY_S)  # type: ignore[arg-type]
        for number in range(20):
            self.put(b"k%d" % (number % 4), b"%d" % number)

    def put(self, key: bytes, value: bytes) -> None:
        self.mvcc.put(pb.PutRequest(key=key, value=value))
        self.commit_pending()

    def compact(self, revision: int) -> None:
        assert self.mvcc.compact(pb.CompactionRequest(revision=revision))[0] == 0
        self.commit_pending()
        while not self.mvcc.compaction.step(100):
            pass

    def commit_pending(self) -> None:
        self.mvcc.state.commit(self.mvcc.state.consistent_index + 1, 1)

    def raise_corrupt(self) -> None:
        self.alarms += 1

    def check(self) -> None:
        """The next one is due, and runs to its end."""
        assert self.upkeep.next_at is not None
        now = self.upkeep.next_at
        self.upkeep.work(now)
        while self.upkeep._jobs:
            now += 1.0
            self.upkeep.work(now)

    def tamper(self, number: int) -> None:
        """A record of the past changes by itself."""
        rows = list(self.store.iterate(buckets.KEY, buckets.bucket_end(buckets.KEY)))
        key, value = rows[number]
        self.store.write({key: value[:-1] + bytes([value[-1] ^ 1])})


def test_data_that_only_grows_is_never_an_alarm() -> None:
    host = Host()
    for number in range(5):
        host.check()
        host.put(b"new", b"%d" % number)
    assert (host.alarms, host.log.lines) == (0, [])


def test_a_record_that_has_changed_since_the_last_check_is_one() -> None:
    host = Host()
    host.check()
    host.put(b"new", b"")
    host.tamper(3)
    host.check()
    assert host.alarms == 1
    [(level, message, fields)] = host.log.lines
    assert (level, message) == ("warn", "found hash mismatch")
    assert fields["revision-1"] == fields["revision-2"] == 21
    assert fields["hash-1"] != fields["hash-2"]


def test_what_changed_before_the_first_check_is_not_seen_by_it() -> None:
    """A member alone has nobody to compare with: this is what the checksums of the store are for."""
    host = Host()
    host.tamper(3)
    host.check()
    host.check()
    assert host.alarms == 0


def test_a_compaction_between_two_checks_is_no_alarm_and_the_next_check_begins_anew() -> None:
    host = Host()
    host.check()
    host.compact(15)
    host.check()
    assert host.alarms == 0
    host.tamper(-1)
    host.check()
    assert host.alarms == 1


def test_a_record_that_cannot_be_read_is_an_alarm_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()

    def iterate(*args: Any, **options: Any) -> Any:
        raise OSError("Corruption: block checksum mismatch")

    monkeypatch.setattr(host.store, "iterate", iterate)
    host.check()
    assert host.alarms >= 1
    assert host.log.lines[0][:2] == ("error", "found data that cannot be read")


def test_the_check_at_start_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    found = check_at_start(host.mvcc, 5.0, host.log)
    assert (found.revision, found.compact_revision) == (21, -1)
    assert [message for _, message, _ in host.log.lines] == ["starting initial corruption check"]

    def iterate(*args: Any, **options: Any) -> Any:
        raise OSError("Corruption: block checksum mismatch")

    monkeypatch.setattr(host.store, "iterate", iterate)
    with pytest.raises(OSError, match="checksum"):
        check_at_start(host.mvcc, 5.0, host.log)


class Sized(MemoryStore):
    """A store that says how large it is."""

    defragmented = 0

    def size(self) -> int:
        return 100 << 20

    def size_in_use(self) -> int:
        return 90 << 20

    def defragment(self) -> None:
        self.defragmented += 1


@pytest.mark.parametrize(("threshold_mb", "expected"), [(0, 0), (9, 1), (10, 1), (11, 0)])
def test_a_start_defragments_if_the_threshold_would_come_free(threshold_mb: int, expected: int) -> None:
    store, log = Sized(), Log()
    defragment_at_start(store, threshold_mb, log)
    assert store.defragmented == expected
    if threshold_mb == 11:
        [(_, message, fields)] = log.lines
        assert message == "Skipping defragmentation"
        assert fields["experimental-bootstrap-defrag-threshold-bytes"] == 11 << 20
