"""What is switched on for a time ends with it, once, and taps do not get into each other's way."""

import pytest

from actors.runtime.switches import FOR_S_MAX, Switches, seconds_of
from actors.runtime.tap import Tap, with_tap, without_tap


class Named(Tap):
    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    return []


def test_it_ends_once_when_its_time_is_over(ended: list[str]) -> None:
    switches = Switches()
    switches.set("delay", 60, lambda: ended.append("delay"))
    assert switches.show(110.0) == {"delay": 50.0}
    for now in (159.9, 160.0, 161.0):
        switches.expire(now)
    assert ended == ["delay"] and switches.show(161.0) == {}


def test_the_last_word_counts_and_without_a_time_it_does_not_end(ended: list[str]) -> None:
    switches = Switches()
    switches.set("delay", 60, lambda: ended.append("first"))
    switches.set("delay", 90, lambda: ended.append("second"))
    switches.set("watch", 10, lambda: ended.append("watch"))
    switches.set("watch", 0, lambda: ended.append("never"))
    switches.expire(170.0)
    assert ended == []
    switches.expire(1e9)
    assert ended == ["second"]


def test_no_time_is_longer_than_a_day(ended: list[str]) -> None:
    switches = Switches()
    switches.set("delay", 1e12, lambda: ended.append("delay"))
    switches.expire(100.0 + FOR_S_MAX)
    assert ended == ["delay"]


def test_a_negative_time_is_refused() -> None:
    assert (seconds_of({}), seconds_of({"for_s": "2.5"})) == (0.0, 2.5)
    with pytest.raises(ValueError, match="negative"):
        seconds_of({"for_s": -1})


def test_a_tap_takes_the_place_of_one_of_its_name_only() -> None:
    first, second, other = Named("delay"), Named("delay"), Named("watch")
    taps = with_tap(with_tap((first,), other), second)
    assert taps == (other, second)
    assert without_tap(taps, "delay") == (other,) and without_tap((), "delay") == ()
