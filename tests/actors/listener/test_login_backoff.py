"""How long logins wait after wrong passwords."""

import pytest

from actors.listener import login_backoff
from actors.listener.login_backoff import FORGET_S, FREE, WAIT_S_MAX, LoginBackoff

NOW = 1_000.0


def test_the_first_wrong_ones_cost_nothing_and_then_each_waits_twice_as_long() -> None:
    backoff = LoginBackoff()
    waits = []
    for _ in range(FREE + 8):
        waits.append(backoff.wait_s("u", NOW))
        backoff.note_wrong("u", NOW)
    assert waits[:FREE] == [0.0] * FREE
    assert waits[FREE:] == [pytest.approx(min(0.1 * 2**n, WAIT_S_MAX)) for n in range(8)]


def test_a_right_password_or_time_forgets_them() -> None:
    backoff = LoginBackoff()
    for user in ("u", "v"):
        for _ in range(10):
            backoff.note_wrong(user, NOW)
    backoff.note_right("u")
    assert backoff.wait_s("u", NOW) == 0.0
    assert backoff.wait_s("v", NOW) > 0.0
    assert backoff.wait_s("v", NOW + FORGET_S) == 0.0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_backoff, "USERS_MAX", 3)
    backoff = LoginBackoff()
    for number in range(10):
        backoff.note_wrong(f"u{number}", NOW + number)
    assert len(backoff._wrong) == 3
