"""A log that is opened at a resume point is the log that was read whole."""

import pytest

from etcdz.wal.files import WalCorrupt, WalMismatch
from etcdz.wal.log import Log, LogOptions
from etcdz.wal.resume_point import ResumePoint, decode_resume_point, encode_resume_point
from etcdz.wal.start import open_newest
from tests.wal.conftest import Case
from tests.wal.samples import entries, hard_state

SMALL = LogOptions(segment_bytes=4096)
BIG = LogOptions(segment_bytes=1 << 20)


def filled(case: Case, options: LogOptions, batches: int) -> tuple[Log, list[ResumePoint]]:
    """A log of some segments, and where it stood after each batch; every fifth rewrites the one before."""
    log = Log.create(case.disk, case.wal, b"meta", options)
    points = [log.resume_point()]
    for number in range(batches):
        first = max(1, log.last_index + (-2 if number % 5 == 4 else 1))
        log.append(entries(first, first + 6, term=number // 5 + 1), first, hard_state(number // 5 + 1, first))
        log.sync()
        points.append(log.resume_point())
    return log, points


def state(log: Log) -> tuple[object, ...]:
    return (*log.resume_point(), log.first_index, log.read_entries(log.first_index))


@pytest.mark.parametrize("options", [SMALL, BIG], ids=["many-segments", "one"])
def test_it_is_the_same_wherever_one_begins(case: Case, options: LogOptions) -> None:
    log, points = filled(case, options, 40)
    log.close()
    whole, recovered = Log.open(case.disk, case.wal, options=options)
    expected = state(whole)[: ResumePoint._fields.index("indexes")], whole.read_entries(1)
    whole.close()
    for point in points:
        found, again = Log.open(
            case.disk, case.wal, options=options, resume=decode_resume_point(encode_resume_point(point))
        )
        assert (state(found)[: ResumePoint._fields.index("indexes")], found.read_entries(1)) == expected
        assert again == recovered._replace(markers=again.markers)
        found.close()


def test_damage_behind_it_is_found(case: Case) -> None:
    log, points = filled(case, BIG, 10)
    file = log._segments[-1].file
    at = points[5].offset + 30
    file.write(at, bytes([file.read(at, 1)[0] ^ 1]))
    log.close()
    for point in points[:6]:
        with pytest.raises(WalCorrupt):
            Log.open(case.disk, case.wal, options=BIG, resume=point)


def test_what_a_kill_has_torn_is_cut_off(case: Case) -> None:
    log, points = filled(case, BIG, 10)
    end, last = log.position[1], log.last_index
    log.append(entries(last + 1, last + 40, term=9, data=b"of no even size" * 7), last + 1)
    data = b"".join(log._pending)
    log._segments[-1].file.write(end, data[: 1024 - end % 512])  # up to the end of a sector, within an entry
    log.close()
    found, recovered = Log.open(case.disk, case.wal, options=BIG, resume=points[8])
    assert recovered.torn is not None
    assert last <= found.last_index < last + 39
    found.close()
    assert Log.open(case.disk, case.wal, options=BIG)[0].last_index == found.last_index


def test_one_of_another_log_is_passed_over(case: Case) -> None:
    log, points = filled(case, BIG, 10)
    expected = log.read_entries(1)
    log.close()
    case.disk.make_directory(f"{case.root}/snap")
    last = points[-1]
    for point in (
        points[5]._replace(crc=1),
        points[5]._replace(sequence=7),
        points[5]._replace(offset=1 << 21),
        last._replace(offset=last.offset + 8),
        last._replace(before=bytes(64)),
    ):
        with pytest.raises((WalCorrupt, WalMismatch)):
            Log.open(case.disk, case.wal, options=BIG, resume=point)
        start = open_newest(case.disk, case.wal, f"{case.root}/snap", BIG, point)
        assert start.log.read_entries(1) == expected
        start.log.close()


def test_half_of_one_is_none(case: Case) -> None:
    _, points = filled(case, SMALL, 3)
    data = encode_resume_point(points[-1])
    assert decode_resume_point(data) == points[-1]
    assert [cut for cut in range(len(data)) if decode_resume_point(data[:cut]) is not None] == []
