"""The log on both disks: what is appended, rewritten, cut, released and read back."""

import stat
from pathlib import Path

import pytest

from etcdz.store.disk import RealDisk
from etcdz.wal.files import SyncFailed, WalExists, WalFull, WalInUse, WalMismatch
from etcdz.wal.log import Log, LogOptions, has_log
from etcdz.wal.record import Marker
from etcdz.wal.segment import Segment, list_segments
from tests.wal.conftest import Case
from tests.wal.fake_disk import FakeDisk
from tests.wal.samples import entries, entry, hard_state

SMALL = LogOptions(segment_bytes=4096)


def test_a_new_log_is_one_segment_with_a_head(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    assert case.disk.list(case.root) == ["wal"]
    assert case.disk.list(case.wal) == ["0000000000000000-0000000000000000.wal"]
    content = case.read(case.disk.list(case.wal)[0])
    assert len(content) == 4096
    assert content.rstrip(b"\0").hex().startswith("04000000000000840804100000000000")
    assert (log.last_index, log.first_index, log.read_entries(1)) == (0, 1, [])


def test_segments_are_preallocated_to_what_etcd_takes(tmp_path: Path) -> None:
    Log.create(RealDisk(), f"{tmp_path}/wal", b"meta").close()
    file = tmp_path / "wal" / "0000000000000000-0000000000000000.wal"
    assert file.stat().st_size == 64_000_000
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_there_is_a_log_or_there_is_none(case: Case) -> None:
    assert not has_log(case.disk, case.wal)
    with pytest.raises(FileNotFoundError):
        Log.open(case.disk, case.wal)
    case.disk.make_directory(case.wal)
    assert not has_log(case.disk, case.wal)
    with pytest.raises(WalMismatch, match="file not found"):
        Log.open(case.disk, case.wal)
    Log.create(case.disk, case.wal, b"meta", SMALL).close()
    assert has_log(case.disk, case.wal)
    with pytest.raises(WalExists):
        Log.create(case.disk, case.wal, b"meta", SMALL)


def test_leftovers_of_an_unfinished_start_are_no_obstacle(case: Case) -> None:
    case.disk.make_directory(f"{case.root}/wal.tmp")
    case.disk.create(f"{case.root}/wal.tmp/0000000000000000-0000000000000000.wal").close()
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.close()
    case.write("1.tmp", b"half a segment")
    log, _ = Log.open(case.disk, case.wal, options=SMALL)
    assert case.disk.list(case.wal) == ["0000000000000000-0000000000000000.wal"]


def test_what_was_synced_is_there_after_reopening(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 4), 1, hard_state(commit=0))
    log.append(entries(4, 6, term=3), 4, hard_state(term=3, commit=3))
    log.sync()
    log.append(entries(6, 8), 6)
    log.close()
    log, recovered = Log.open(case.disk, case.wal, options=SMALL)
    assert recovered.metadata == b"meta"
    assert recovered.hard_state == log.hard_state == hard_state(term=3, commit=3)
    assert (recovered.first_index, recovered.last_index, recovered.last_term) == (1, 5, 3)
    assert recovered.markers == [Marker(0, 0)]
    assert recovered.torn is None
    assert log.read_entries(1) == entries(1, 4) + entries(4, 6, term=3)


def test_a_sync_is_one_write_for_all_that_waited() -> None:
    disk = FakeDisk()
    log = Log.create(disk, "/wal", b"meta")
    before = disk.syncs
    for index in range(1, 101):
        log.append([entry(index)], index, hard_state(commit=index - 1))
    log.sync()
    assert disk.syncs == before + 1
    log.sync()
    assert disk.syncs == before + 1, "nothing new, nothing to sync"


def test_no_fsync_syncs_nothing() -> None:
    disk = FakeDisk()
    log = Log.create(disk, "/wal", b"meta", LogOptions(4096, no_fsync=True))
    log.append(entries(1, 200), 1)
    log.sync()
    assert len(log.segments) == 2
    assert disk.syncs == 0
    assert log.read_entries(1) == entries(1, 200)


def test_an_entry_rewrites_all_entries_of_the_same_or_higher_index(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 11), 1)
    log.append(entries(5, 7, term=2), 5)
    log.sync()
    expected = entries(1, 5) + entries(5, 7, term=2)
    assert log.read_entries(1) == expected
    log.append(entries(4, 5, term=3), 4)
    log.sync()
    assert (log.last_index, log.last_term) == (4, 3)
    expected = entries(1, 4) + entries(4, 5, term=3)
    assert log.read_entries(1) == expected
    log.close()
    log, _ = Log.open(case.disk, case.wal, options=SMALL)
    assert log.read_entries(1) == expected
    assert log.read_entries(5) == []


def test_a_rewrite_may_be_of_a_lower_term(case: Case) -> None:
    """Figure 8 of the Raft paper, (b) to (c): entry 2 of term 3 gives way to one of term 2."""
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append([entry(1, 1), entry(2, 3)], 1)
    log.append([entry(2, 2), entry(3, 4)], 2)
    log.sync()
    log.close()
    log, recovered = Log.open(case.disk, case.wal, options=SMALL)
    assert log.read_entries(1) == [entry(1, 1), entry(2, 2), entry(3, 4)]
    assert recovered.last_term == 4


def test_an_entry_must_follow_the_last(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    with pytest.raises(ValueError, match="entry 2 cannot follow entry 0"):
        log.append([entry(2)], 2)


def test_reading_from_anywhere_to_anywhere(case: Case) -> None:
    """Batches that are larger and smaller than the distance of the offsets that are kept, over several segments."""
    options = LogOptions(segment_bytes=10_000)
    log = Log.create(case.disk, case.wal, b"meta", options)
    log.append(entries(1, 3501), 1)
    log.sync()
    for index in range(3501, 4001):
        log.append([entry(index)], index)
        log.sync()
    log.append(entries(3800, 4500, term=2), 3800)
    log.sync()
    expected = entries(1, 3800) + entries(3800, 4500, term=2)
    for _ in range(2):
        assert len(log.segments) > 2
        for lo in (1, 2, 999, 1000, 1001, 2000, 3500, 3501, 3799, 3800, 3801, 4499):
            assert log.read_entries(lo) == expected[lo - 1 :]
            assert log.read_entries(lo, lo + 1) == expected[lo - 1 : lo]
            assert log.read_entries(lo, lo + 1700) == expected[lo - 1 : lo + 1699]
        assert log.read_entries(4500) == log.read_entries(3000, 3000) == log.read_entries(9000) == []
        with pytest.raises(WalMismatch, match="begins at 1"):
            log.read_entries(0)
        log.close()
        log, _ = Log.open(case.disk, case.wal, options=options)


def test_reading_stops_before_max_bytes_but_gives_one_entry() -> None:
    log = Log.create(FakeDisk(), "/wal", b"meta")
    some = entries(1, 100, data=bytes(100))
    log.append(some, 1)
    log.sync()
    size = len(some[0])
    assert log.read_entries(1, max_bytes=0) == some[:1]
    assert log.read_entries(1, max_bytes=3 * size) == some[:3]
    assert log.read_entries(1, max_bytes=4 * size - 1) == some[:3]


def test_a_full_segment_is_cut_and_the_next_goes_on(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 30, data=bytes(200)), 1, hard_state(commit=0))
    log.sync()
    assert case.disk.list(case.wal) == [
        "0000000000000000-0000000000000000.wal",
        "0000000000000001-000000000000001e.wal",
    ]
    log.append(entries(30, 60, data=bytes(200)), 30, hard_state(commit=29))
    log.sync()
    log.append(entries(60, 63), 60)
    log.sync()
    assert [s.first_index for s in log.segments] == [0, 30, 60]
    first, _, last = case.disk.list(case.wal)
    assert len(case.read(first)) % 8 == 0 and len(case.read(last)) == 4096
    log.close()
    log, recovered = Log.open(case.disk, case.wal, options=SMALL)
    assert recovered.hard_state == hard_state(commit=29)
    assert log.read_entries(1) == entries(1, 60, data=bytes(200)) + entries(60, 63)


def test_snapshot_markers_tell_where_to_begin(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    for lo in range(1, 121, 20):
        log.append(entries(lo, lo + 20, data=bytes(200)), lo, hard_state(commit=lo - 1))
        log.sync()
        log.save_snapshot_marker(lo + 10, 1, b"\x08\x01")
    assert log.marker == (111, 1)
    log.close()
    log, recovered = Log.open(case.disk, case.wal, (91, 1), SMALL)
    assert recovered.first_index <= 92
    assert recovered.markers[-2:] == [(91, 1), (111, 1)]
    assert log.read_entries(92) == entries(92, 121, data=bytes(200))
    log.close()
    with pytest.raises(WalMismatch, match="not found: index 90"):
        Log.open(case.disk, case.wal, (90, 1), SMALL)
    with pytest.raises(WalMismatch, match="mismatch: index 91 has term 1, not 2"):
        Log.open(case.disk, case.wal, (91, 2), SMALL)
    log, recovered = Log.open(case.disk, case.wal, None, SMALL)
    assert (recovered.first_index, recovered.last_index) == (1, 120)


def test_a_marker_is_covered_by_the_commit_index(case: Case) -> None:
    """Or what lies before it could be released, and the marker then be passed over at the next start."""
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 5), 1, hard_state(term=2, vote=7, commit=2))
    log.save_snapshot_marker(4, 1, b"")
    assert log.hard_state == hard_state(term=2, vote=7, commit=4)
    log.save_snapshot_marker(9, 2, b"")
    log.close()
    log, recovered = Log.open(case.disk, case.wal, (9, 2), options=SMALL)
    assert recovered.hard_state == hard_state(term=2, vote=7, commit=9)
    assert recovered.markers == [(0, 0), (4, 1), (9, 2)]


def test_a_marker_beyond_the_last_index_begins_anew_after_it(case: Case) -> None:
    """A leader sent a snapshot to a member that was far behind."""
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 5), 1, hard_state(commit=4))
    log.sync()
    log.append([], 0, hard_state(term=2, commit=100))
    log.save_snapshot_marker(100, 2, b"")
    assert (log.last_index, log.last_term, log.first_index) == (100, 2, 101)
    log.append(entries(101, 103, term=2), 101)
    log.sync()
    for _ in range(2):
        assert log.read_entries(101) == entries(101, 103, term=2)
        with pytest.raises(WalMismatch):
            log.read_entries(4)
        log.close()
        log, recovered = Log.open(case.disk, case.wal, (100, 2), SMALL)
        assert recovered.first_index == 101
    log.close()
    with pytest.raises(WalMismatch, match="entries 1 to 100 are missing"):
        Log.open(case.disk, case.wal, (0, 0), SMALL)


def test_segments_wholly_below_are_released_but_for_the_newest(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    for lo in range(1, 161, 20):
        log.append(entries(lo, lo + 20, data=bytes(200)), lo, hard_state(commit=lo - 1))
        log.sync()
    assert [s.first_index for s in log.segments] == [0, 21, 41, 61, 81, 101, 121, 141, 161]
    assert log.release(80, keep=0) == []
    assert log.release(80, keep=9) == []
    assert len(log.release(80, keep=7)) == 2
    assert len(log.release(80, keep=2)) == 1, "the one that begins at 61 holds 80"
    assert log.first_index == 61
    assert log.read_entries(70) == entries(70, 161, data=bytes(200))
    log.save_snapshot_marker(100, 1, b"")
    log.append([], 0, hard_state(commit=160))
    log.sync()
    log.close()

    log, recovered = Log.open(case.disk, case.wal, (100, 1), SMALL)
    assert recovered.first_index == 81
    assert len(log.segments) == 6, "older ones are still known"
    assert len(log.release(100, keep=1)) == 1
    assert len(log.release(140, keep=1)) == 2
    assert [s.first_index for s in log.segments] == [121, 141, 161]
    assert len(case.disk.list(case.wal)) == 3
    log.close()
    with pytest.raises(WalMismatch, match="file not found"):
        Log.open(case.disk, case.wal, (0, 0), SMALL)


def test_a_log_is_held_by_one_process(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    with pytest.raises(WalInUse, match="0000000000000000-0000000000000000"):
        Log.open(case.disk, case.wal, options=SMALL)
    log.append(entries(1, 30, data=bytes(200)), 1)
    log.sync()
    with pytest.raises(WalInUse):
        Log.open(case.disk, case.wal, options=SMALL)
    log.close()
    log, _ = Log.open(case.disk, case.wal, options=SMALL)
    log.append([entry(30)], 30)
    log.sync()
    with pytest.raises(WalInUse):
        Log.open(case.disk, case.wal, options=SMALL)


# ---- a full disk ----


def test_a_full_disk_leaves_the_log_as_it_was(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", LogOptions(segment_bytes=2000))
    log.append(entries(1, 5), 1, hard_state(commit=0))
    log.sync()
    case.set_free(100)
    before = (log.last_index, log.last_term, log.hard_state, log.marker)
    for _ in range(3):
        log.append(entries(3, 100, term=2, data=bytes(100)), 3, hard_state(term=2, commit=4))
        with pytest.raises(WalFull):
            log.sync()
        assert (log.last_index, log.last_term, log.hard_state, log.marker) == before
        assert log.read_entries(1) == entries(1, 5)
    with pytest.raises(WalFull):
        log.append(entries(5, 50, data=bytes(100)), 5)
        log.save_snapshot_marker(40, 1, b"")
    assert (log.last_index, log.last_term, log.hard_state, log.marker) == before
    log.append([entry(5)], 5)
    log.sync()
    case.set_free(None)
    log.append(entries(6, 100, term=2, data=bytes(100)), 6)
    log.sync()
    expected = entries(1, 6) + entries(6, 100, term=2, data=bytes(100))
    assert log.read_entries(1) == expected
    log.close()
    log, recovered = Log.open(case.disk, case.wal, options=SMALL)
    assert log.read_entries(1) == expected
    assert recovered.torn is None


def test_no_space_for_the_next_segment_fails_no_write(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    case.set_free(4000)
    log.append(entries(1, 30, data=bytes(200)), 1)
    log.sync()
    assert isinstance(log.cut_failure, WalFull)
    assert len(log.segments) == 1 and len(case.disk.list(case.wal)) == 1
    assert log.read_entries(1) == entries(1, 30, data=bytes(200))
    case.set_free(None)
    log.append(entries(30, 31, data=bytes(2 << 20)), 30)
    log.sync()
    assert log.cut_failure is None
    assert [s.first_index for s in log.segments] == [0, 31]


def test_a_new_log_on_a_full_disk_leaves_nothing(case: Case) -> None:
    case.set_free(100)
    with pytest.raises(WalFull):
        Log.create(case.disk, case.wal, b"meta", SMALL)
    assert case.disk.list(case.root) == []
    case.set_free(None)
    Log.create(case.disk, case.wal, b"meta", SMALL)


def test_a_full_disk_does_not_keep_a_log_from_opening(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 10), 1)
    log.sync()
    log.close()
    name = case.disk.list(case.wal)[0]
    file = case.disk.open(f"{case.wal}/{name}", write=True)
    file.truncate(len(case.read(name).rstrip(b"\0")) // 8 * 8)
    file.close()
    case.set_free(0)
    log, recovered = Log.open(case.disk, case.wal, options=SMALL)
    assert log.read_entries(1) == entries(1, recovered.last_index + 1)
    log.append(entries(log.last_index + 1, 100), log.last_index + 1)
    with pytest.raises(WalFull):
        log.sync()


def test_a_failed_fdatasync_is_the_end() -> None:
    disk = FakeDisk()
    log = Log.create(disk, "/wal", b"meta", SMALL)
    disk.sync_fails = True
    log.append(entries(1, 3), 1)
    with pytest.raises(SyncFailed):
        log.sync()


def test_names_that_are_no_segments_are_ignored() -> None:
    names = ["0.tmp", "0000000000000001-000000000000001e.wal", "0000000000000000-0000000000000000.wal.broken", "x.wal"]
    assert list_segments(names) == [Segment(1, 30)]
