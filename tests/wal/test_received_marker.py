"""A leader's snapshot in the log: it takes the place of all entries at once, or it never came."""

import pytest

from etcdz.wal.log import Log, LogOptions
from etcdz.wal.reach import read_reach
from etcdz.wal.record import Marker
from etcdz.wal.resume_point import decode_resume_point, encode_resume_point
from tests.wal.conftest import Case, fake_case
from tests.wal.samples import entries, hard_state

SMALL = LogOptions(segment_bytes=4096)
CONF_STATE = b"\x08\x01"


def a_log(case: Case, last: int = 9) -> Log:
    """Entries 1 to last of term 1, of which 3 are committed."""
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, last + 1), 1, hard_state(commit=3))
    log.sync()
    return log


@pytest.mark.parametrize("index", [5, 9, 10, 100])
def test_the_log_goes_on_after_it_and_has_no_earlier_entry(case: Case, index: int) -> None:
    log = a_log(case)
    log.save_received_marker(index, 2, CONF_STATE, hard_state(term=2, commit=index))
    for _ in range(2):
        assert (log.last_index, log.last_term, log.first_index) == (index, 2, index + 1)
        assert log.marker == Marker(index, 2)
        log.close()
        log, recovered = Log.open(case.disk, case.wal, (index, 2), SMALL)
        assert (recovered.first_index, recovered.last_index) == (index + 1, index)
        assert recovered.hard_state == hard_state(term=2, commit=index)
    log.append(entries(index + 1, index + 4, term=2), index + 1)
    log.sync()
    log.close()
    log, _ = Log.open(case.disk, case.wal, (index, 2), SMALL)
    assert log.read_entries(index + 1) == entries(index + 1, index + 4, term=2)
    reach = read_reach(case.disk, case.wal)
    assert reach is not None and (reach.first_index, reach.last_index) == (index + 1, index + 3)


def test_the_hard_state_commits_it_even_if_the_one_that_came_with_it_does_not(case: Case) -> None:
    log = a_log(case)
    log.save_received_marker(50, 2, CONF_STATE, b"")
    assert log.hard_state == hard_state(commit=50)
    log.close()
    _, recovered = Log.open(case.disk, case.wal, (50, 2), SMALL)
    assert recovered.hard_state == hard_state(commit=50)


def test_a_log_without_a_hard_state_takes_none(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    with pytest.raises(ValueError, match="no hard state"):
        log.save_received_marker(50, 2, CONF_STATE, b"")
    log.save_received_marker(50, 2, CONF_STATE, hard_state(term=2, commit=50))
    assert log.last_index == 50


@pytest.mark.parametrize("index", [5, 9, 100])
def test_cut_anywhere_the_log_is_as_before_or_as_after(index: int) -> None:
    """And what is written next is found again."""
    case = fake_case()
    log = a_log(case)
    begin = log.position[1]
    log.save_received_marker(index, 2, CONF_STATE, hard_state(term=2, commit=index))
    end = log.position[1]
    whole = case.read(log.segments[-1].name)
    name = log.segments[-1].name
    log.close()
    states = set()
    for cut in range(begin, end + 1):
        case.write(name, whole[:cut])
        log, recovered = Log.open(case.disk, case.wal, None, SMALL)
        states.add((recovered.first_index, recovered.last_index))
        first = log.last_index + 1
        log.append(entries(first, first + 3, term=3), first, hard_state(term=3, commit=log.last_index))
        log.sync()
        kept = log.read_entries(log.first_index)
        log.close()
        log, _ = Log.open(case.disk, case.wal, None, SMALL)
        assert log.read_entries(log.first_index) == kept
        log.close()
    assert states == {(1, 9), (index + 1, index)}


def test_a_snapshot_of_its_own_ends_no_entries(case: Case) -> None:
    log = a_log(case)
    log.save_snapshot_marker(3, 1, CONF_STATE)
    log.append(entries(10, 11), 10)
    log.save_snapshot_marker(3, 1, CONF_STATE)
    log.close()
    log, _ = Log.open(case.disk, case.wal, (3, 1), SMALL)
    assert log.read_entries(4) == entries(4, 11)


def test_a_resume_point_behind_it_knows_it(case: Case) -> None:
    log = a_log(case)
    log.save_received_marker(5, 2, CONF_STATE, hard_state(term=2, commit=5))
    point = decode_resume_point(encode_resume_point(log.resume_point()))
    log.append(entries(6, 8, term=2), 6)
    log.sync()
    log.close()
    log, _ = Log.open(case.disk, case.wal, (5, 2), SMALL, point)
    assert log.read_entries(6) == entries(6, 8, term=2)


def test_with_no_space_left_the_log_is_as_before(case: Case) -> None:
    log = a_log(case)
    before = (log.last_index, log.hard_state, log.marker)
    case.set_free(0)
    big = hard_state(term=2, commit=50)
    try:
        log.append(entries(10, 11, data=bytes(8192)), 10)
        log.save_received_marker(50, 2, CONF_STATE, big)
    except OSError:
        assert (log.last_index, log.hard_state, log.marker) == before
        assert log.read_entries(1) == entries(1, 10)
    else:
        raise AssertionError("there was space")
