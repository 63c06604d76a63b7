"""Auto-compaction by etcd's rules, on a clock of numbers. Revisions grow by one a second: they tell the time."""

import pytest

from etcdz.config.retention import parse_retention
from etcdz.mvcc.autocompaction import AutoCompaction, ByRevision, Periodic, make

SECOND = 10**9
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND


def run(
    auto: AutoCompaction, until_s: float, fails: frozenset[int] = frozenset(), leads: bool = True
) -> list[tuple[float, int]]:
    """(when, where) of all compactions tried; those whose number is in fails do."""
    tried: list[tuple[float, int]] = []
    while (now := auto.next_at) <= until_s:
        revision = 1 + round(now)
        target = auto.tick(now, revision, leads)
        if target is not None:
            auto.done(now, revision, target, succeeded=len(tried) not in fails)
            tried.append((round(now, 3), target))
    return tried


# NB: etcd keeps one note more than a period has beats, so from the second time on it is a beat longer.
def test_a_short_period_compacts_once_a_period_what_is_older_than_it() -> None:
    assert run(Periodic(10 * SECOND, 0, 1), 41) == [(10, 1), (20, 10), (30, 20), (40, 30)]


def test_a_long_period_compacts_once_an_hour_after_the_first_whole_period() -> None:
    hours = [(round(at / 3600, 3), where) for at, where in run(Periodic(24 * HOUR, 0, 1), 27.05 * 3600)]
    assert hours == [(24, 1), (25, 3241), (26, 6841), (27, 10441)]


def test_a_failed_compaction_is_tried_again_a_tenth_of_the_interval_later() -> None:
    tried = run(Periodic(10 * SECOND, 0, 1), 22, fails=frozenset((0, 1)))
    assert tried == [(10, 1), (11, 1), (12, 2), (22, 12)]


def test_who_does_not_lead_goes_on_noting_revisions() -> None:
    auto = Periodic(10 * SECOND, 0, 1)
    assert run(auto, 15, leads=False) == []
    assert run(auto, 16) == [(16, 6)]


def test_revisions_are_kept_every_five_minutes() -> None:
    assert run(ByRevision(400, 0), 1500) == [(600, 201), (900, 501), (1200, 801), (1500, 1101)]


def test_by_revision_does_not_compact_twice_at_the_same() -> None:
    auto = ByRevision(10, 0)
    assert auto.tick(300, 50, True) == 40
    auto.done(300, 50, 40, succeeded=False)
    assert auto.tick(600, 50, True) == 40
    auto.done(600, 50, 40, succeeded=True)
    assert auto.tick(900, 50, True) is None
    assert auto.next_at == 1200


@pytest.mark.parametrize("kind", ["periodic", "revision"])
def test_a_successor_with_the_notes_goes_on_where_it_was(kind: str) -> None:
    def fresh(now: float) -> AutoCompaction:
        made = make(kind, "2h" if kind == "periodic" else "100", now, 1 + round(now))
        assert made is not None
        return made

    whole, first = fresh(0), fresh(0)
    expected = run(whole, 20_000)
    begun = run(first, 8_000)
    second = fresh(8_000)
    second.recall(first.notes())
    assert begun + run(second, 20_000) == expected
    assert len(expected) > len(begun) > 0


@pytest.mark.parametrize(
    ("mode", "text", "amount"),
    [
        ("periodic", "0", 0),
        ("periodic", "", 0),
        ("periodic", "1", HOUR),
        ("periodic", "+72", 72 * HOUR),
        ("periodic", "90m", 90 * MINUTE),
        ("periodic", "1h30m", 90 * MINUTE),
        ("periodic", "0.5s", SECOND // 2),
        ("revision", "1000", 1000),
        ("revision", "1us", 1000),
        ("", "0", 0),
        ("", "0h", 0),
    ],
)
def test_retention_is_hours_a_duration_or_revisions(mode: str, text: str, amount: int) -> None:
    assert parse_retention(mode, text) == amount


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abc", 'invalid duration "abc"'),
        ("-5", 'missing unit in duration "-5"'),
        ("1.5", 'missing unit in duration "1.5"'),
        ("5d", 'unknown unit "d" in duration "5d"'),
        ("1h5x3s", 'unknown unit "x" in duration "1h5x3s"'),
        ("1h-", 'unknown unit "h-" in duration "1h-"'),
        (" 1h", 'invalid duration " 1h"'),
        (".s", 'invalid duration ".s"'),
    ],
)
def test_a_bad_retention_is_refused_in_etcds_words(text: str, words: str) -> None:
    with pytest.raises(ValueError) as told:
        parse_retention("periodic", text)
    assert str(told.value) == f"error parsing CompactionRetention: time: {words}"


def test_without_a_mode_nothing_can_be_kept() -> None:
    with pytest.raises(ValueError, match=r"^unsupported compaction mode $"):
        parse_retention("", "1h")
    with pytest.raises(ValueError, match='negative duration "-1h"'):
        parse_retention("periodic", "-1h")
    assert make("periodic", "0", 0, 1) is None
