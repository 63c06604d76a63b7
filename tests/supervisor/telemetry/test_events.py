"""Events are kept in order, up to a bound, and followed until the follower wants no more."""

from typing import Any

from supervisor.telemetry.events import KEPT, Events


def test_the_newest_are_kept() -> None:
    events = Events()
    for number in range(KEPT + 5):
        events.add("info", "actor is ready", {"number": number})
    assert [event["number"] for event in events.kept] == list(range(5, KEPT + 5))
    assert (events.kept[0]["level"], events.kept[0]["msg"]) == ("info", "actor is ready")


def test_a_follower_gets_what_is_kept_and_what_comes_until_it_is_gone() -> None:
    events, seen = Events(), []

    def take(event: dict[str, Any]) -> bool:
        seen.append(event["msg"])
        return len(seen) < 3

    events.add("info", "a", {})
    events.follow(take)
    for msg in "bcd":
        events.add("info", msg, {})
    assert seen == ["a", "b", "c"]


def test_a_follower_that_is_gone_at_once_is_not_called_again() -> None:
    events, seen = Events(), []

    def take(event: dict[str, Any]) -> bool:
        seen.append(event["msg"])
        return False

    for msg in "ab":
        events.add("info", msg, {})
    events.follow(take)
    events.add("info", "c", {})
    assert seen == ["a"]
