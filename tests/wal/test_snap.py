"""`.snap` files, and what a member starts with."""

import pytest

from etcdz.proto import raftpb
from etcdz.wal import snap as snaps
from etcdz.wal.files import WalFull, WalMismatch
from etcdz.wal.log import Log, LogOptions
from etcdz.wal.snap import Snap, SnapBroken
from etcdz.wal.start import open_newest
from tests.wal.conftest import Case, fake_case
from tests.wal.fake_disk import FakeDisk
from tests.wal.samples import entries, hard_state

SMALL = LogOptions(segment_bytes=4096)
CONF_STATE: bytes = raftpb.ConfState(voters=[0x8E9E05C52164694D], auto_leave=False).SerializeToString()


def snap_of(index: int, term: int = 1, data: bytes = b"{}") -> Snap:
    return Snap(index, term, CONF_STATE, data)


def test_a_snap_is_read_back_and_cut_anywhere_it_is_broken() -> None:
    file = snaps.encode_snap(snap_of(18, 2, b'{"Root":{}}'))
    assert snaps.decode_snap(file) == snap_of(18, 2, b'{"Root":{}}')
    for length in range(len(file)):
        with pytest.raises(SnapBroken):
            snaps.decode_snap(file[:length])
    for at in range(len(file)):
        with pytest.raises(SnapBroken):
            snaps.decode_snap(file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :])


def test_snaps_are_listed_by_term_then_index_newest_first(case: Case) -> None:
    directory = f"{case.root}/snap"
    assert snaps.list_snaps(case.disk, directory) == []
    case.disk.make_directory(directory)
    for index, term in ((5, 1), (20, 1), (11, 2)):
        snaps.save(case.disk, directory, snap_of(index, term))
    assert snaps.list_snaps(case.disk, directory) == [
        "0000000000000002-000000000000000b.snap",
        "0000000000000001-0000000000000014.snap",
        "0000000000000001-0000000000000005.snap",
    ]


def test_a_file_that_cannot_be_read_is_set_aside_as_broken(case: Case) -> None:
    directory = f"{case.root}/snap"
    case.disk.make_directory(directory)
    name = snaps.save(case.disk, directory, snap_of(11, 2))
    path = f"{directory}/{name}"
    assert snaps.load(case.disk, path) == snap_of(11, 2)
    file = case.disk.open(path, write=True)
    file.write(30, b"?")
    file.close()
    with pytest.raises(SnapBroken):
        snaps.load(case.disk, path)
    assert case.disk.list(directory) == [f"{name}.broken"]


def test_the_newest_five_are_kept(case: Case) -> None:
    directory = f"{case.root}/snap"
    case.disk.make_directory(directory)
    for index in range(1, 9):
        snaps.save(case.disk, directory, snap_of(index))
    case.disk.create(f"{directory}/left.snap.tmp").close()
    assert snaps.purge(case.disk, directory, keep=0) == ["left.snap.tmp"]
    assert snaps.purge(case.disk, directory) == [snap_of(i).name for i in (3, 2, 1)]
    assert snaps.list_snaps(case.disk, directory) == [snap_of(i).name for i in (8, 7, 6, 5, 4)]


def test_a_snap_that_does_not_fit_leaves_nothing(case: Case) -> None:
    directory = f"{case.root}/snap"
    case.disk.make_directory(directory)
    case.set_free(20)
    with pytest.raises(WalFull):
        snaps.save(case.disk, directory, snap_of(1))
    assert case.disk.list(directory) == []


def test_a_snap_has_its_name_only_once_it_is_durable() -> None:
    disk = FakeDisk()
    disk.sync_fails = True
    with pytest.raises(OSError):
        snaps.save(disk, "/", snap_of(1))
    assert disk.list("/") == []


# ---- start ----


def a_member(case: Case, snapshots: tuple[int, ...]) -> str:
    """A log of 120 entries in several segments, with a .snap and a marker at each of these indexes."""
    directory = f"{case.root}/snap"
    case.disk.make_directory(directory)
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    for lo in range(1, 121, 20):
        log.append(entries(lo, lo + 20, data=bytes(200)), lo, hard_state(commit=lo + 19))
        log.sync()
        for index in snapshots:
            if lo <= index < lo + 20:
                snaps.save(case.disk, directory, snap_of(index))
                log.save_snapshot_marker(index, 1, CONF_STATE)
    log.close()
    return directory


def test_a_start_is_the_newest_snap_and_the_log_from_there(case: Case) -> None:
    directory = a_member(case, (30, 90))
    start = open_newest(case.disk, case.wal, directory, SMALL)
    assert (start.snap, start.skipped) == (snap_of(90), [])
    assert start.log.read_entries(91) == entries(91, 121, data=bytes(200))
    start.log.close()


def test_a_snap_that_the_log_does_not_know_is_passed_over(case: Case) -> None:
    """The crash came after the .snap and before its marker."""
    directory = a_member(case, (30,))
    snaps.save(case.disk, directory, snap_of(90))
    start = open_newest(case.disk, case.wal, directory, SMALL)
    assert start.snap == snap_of(30)
    assert start.skipped == [(snap_of(90).name, "wal: snapshot not found: index 90, term 1")]
    assert start.log.read_entries(31) == entries(31, 121, data=bytes(200))


def test_a_snap_that_is_not_committed_is_passed_over(case: Case) -> None:
    """A leader sent it, and the power went between its marker and the hard state that commits it."""
    directory = a_member(case, (30,))
    snaps.save(case.disk, directory, snap_of(500, term=4))
    log = open_newest(case.disk, case.wal, directory, SMALL).log
    tail = f"{case.wal}/{log.segments[-1].name}"
    log.save_snapshot_marker(500, 4, CONF_STATE)
    log.close()
    file = case.disk.open(tail, write=True)
    file.truncate(len(file.read(0, file.size()).rstrip(b"\0")) - 10)
    file.close()
    start = open_newest(case.disk, case.wal, directory, SMALL)
    assert start.recovered.torn is not None
    assert start.skipped == [(snap_of(500, term=4).name, "wal: snapshot 500 is not committed")]
    assert start.snap == snap_of(30)
    for _ in range(2):
        assert start.log.read_entries(31) == entries(31, start.log.last_index + 1, data=bytes(200))
        start.log.append(entries(121, 130, data=bytes(200)), 121)
        start.log.sync()
        start.log.close()
        start = open_newest(case.disk, case.wal, directory, SMALL)


def test_a_broken_snap_is_passed_over() -> None:
    case = fake_case()
    directory = a_member(case, (30, 90))
    file = case.disk.open(f"{directory}/{snap_of(90).name}", write=True)
    file.truncate(0)
    start = open_newest(case.disk, case.wal, directory, SMALL)
    assert start.snap == snap_of(30)
    assert start.skipped == [(snap_of(90).name, "empty snapshot")]


def test_without_a_snap_the_log_must_begin_at_the_first_entry(case: Case) -> None:
    directory = a_member(case, ())
    start = open_newest(case.disk, case.wal, directory, SMALL)
    assert start.snap is None
    assert start.log.read_entries(1) == entries(1, 121, data=bytes(200))
    start.log.release(60, keep=1)
    start.log.close()
    with pytest.raises(WalMismatch, match="file not found"):
        open_newest(case.disk, case.wal, directory, SMALL)
