"""Harm on order: only what was ordered, within its bounds, and gone when it is called off."""

import resource
from types import SimpleNamespace
from typing import Any

import pytest

from actors.runtime.chaos import DELAY_MS_MAX, Chaos, ChaosOrdered, Delay
from actors.runtime.switches import Switches
from actors.runtime.tap import Tap


@pytest.fixture
def host() -> Any:
    return SimpleNamespace(taps=(Tap(),))


def test_a_delay_sleeps_before_each_turn_and_is_called_off_by_none(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    chaos = Chaos(host, Switches())
    for ms in (500, 40):
        chaos.verbs["delay"]({"ms": ms})
    for tap in host.taps:
        tap.before_take()
    assert slept == [0.04], "the second takes the place of the first"
    chaos.verbs["delay"]({"ms": 0})
    assert [tap for tap in host.taps if isinstance(tap, Delay)] == [] and len(host.taps) == 1


@pytest.mark.parametrize("args", [{"ms": -1}, {"ms": DELAY_MS_MAX + 1}, {"ms": 5, "for_s": -1}])
def test_a_delay_that_is_refused_changes_nothing(host: Any, args: dict[str, float]) -> None:
    before = host.taps
    with pytest.raises(ValueError, match="must"):
        Chaos(host, Switches()).verbs["delay"](args)
    assert host.taps == before


def test_a_failure_on_order_is_told_from_a_bug_by_its_type(host: Any) -> None:
    with pytest.raises(ChaosOrdered, match="on order"):
        Chaos(host, Switches()).verbs["fail"]({})


def test_memory_without_a_limit_is_not_used_up(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with pytest.raises(ValueError, match="no limit"):
        Chaos(host, Switches()).verbs["exhaust"]({})
