"""What is known of how another member fares: heard of or not, when to dial it, round trips and its clock."""

import json

import pytest

from etcdz.peer.answers import probing_answer
from etcdz.peer.probing import FIRST_LOOK_S, LOOK_S, RTT_BUCKETS, UNHEALTHY_LOOK_S, Probes
from etcdz.peer.redial import REDIAL_S, Redial
from etcdz.peer.status import Status

NOW = 1000.0
UNIX_S = 1_795_797_096.5


def answer(unix_s: float = UNIX_S) -> bytes:
    return probing_answer(round(unix_s * 1e9)).body


def test_a_status_says_what_is_news() -> None:
    status = Status()
    assert not status.is_active
    assert not status.deactivate("refused")
    assert status.activate(5.0) and status.is_active
    assert not status.activate(6.0)
    assert status.active_since == 5.0
    assert status.deactivate("reset")
    assert (status.active_since, status.why) == (0.0, "reset")
    assert status.activate(9.0)
    assert (status.active_since, status.why) == (9.0, "")
    assert status.times_lost == 1


def test_dials_are_paced_whatever_becomes_of_them() -> None:
    redial = Redial(["http://a:1"])
    assert redial.due(NOW) == 0.0
    redial.on_dial(NOW)
    assert redial.due(NOW) == pytest.approx(REDIAL_S)
    assert redial.due(NOW + REDIAL_S) == 0.0


def test_after_a_failure_the_next_url_is_dialled() -> None:
    redial = Redial(["a", "b"])
    urls = []
    for _ in range(3):
        urls.append(redial.url)
        redial.on_failure()
    assert urls == ["a", "b", "a"]
    redial.learn(["a", "b"])
    assert redial.url == "b", "nothing has changed"
    redial.learn(["c"])
    assert redial.url == "c"
    redial.learn([])
    redial.on_failure()
    assert redial.url == ""


def test_round_trips_are_smoothed_and_counted() -> None:
    probes = Probes(NOW)
    probes.on_answer(0.008, UNIX_S, answer())
    assert probes.round_trip_s == 0.008
    probes.on_answer(0.016, UNIX_S, answer())
    assert probes.round_trip_s == pytest.approx(0.009)
    assert probes.total_s == pytest.approx(0.024)
    assert sum(probes.counts) == 2


@pytest.mark.parametrize(
    "took_s, bucket", [(0.0, 0), (0.0001, 0), (0.00011, 1), (0.0002, 1), (3.2768, 15), (3.3, RTT_BUCKETS)]
)
def test_the_bucket_of_a_round_trip(took_s: float, bucket: int) -> None:
    probes = Probes(NOW)
    probes.on_answer(took_s, UNIX_S, answer())
    assert probes.counts.index(1) == bucket


def test_a_clock_that_is_off_is_warned_of_from_time_to_time() -> None:
    probes = Probes(NOW)
    probes.on_answer(0.2, UNIX_S, answer(UNIX_S + 1.9))
    assert probes.clock_ahead_s == pytest.approx(2.0)
    assert probes.warnings(NOW) == []
    assert probes.warnings(NOW + FIRST_LOOK_S) == ["prober found high clock drift"]
    assert probes.warnings(NOW + FIRST_LOOK_S) == []
    assert probes.warnings(NOW + FIRST_LOOK_S + LOOK_S) == ["prober found high clock drift"]
    probes.on_answer(0.2, UNIX_S, answer(UNIX_S - 0.1))
    assert probes.warnings(NOW + FIRST_LOOK_S + 2 * LOOK_S) == []


def test_a_member_that_does_not_answer_is_warned_of_more_often() -> None:
    probes = Probes(NOW)
    probes.on_failure("connection refused")
    assert probes.warnings(NOW + FIRST_LOOK_S) == ["prober detected unhealthy status"]
    assert probes.warnings(NOW + FIRST_LOOK_S + UNHEALTHY_LOOK_S) == ["prober detected unhealthy status"]
    probes.on_answer(0.001, UNIX_S, answer())
    assert probes.warnings(NOW + FIRST_LOOK_S + 2 * UNHEALTHY_LOOK_S) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps({"OK": False, "Now": "2026-11-27T16:31:36Z"}).encode(),
        json.dumps({"OK": True, "Now": 5}).encode(),
        json.dumps({"OK": True, "Now": "2026-13-27T16:31:36Z"}).encode(),
        json.dumps({"OK": True, "Now": "0001-01-01T00:00:00+23:59"}).encode(),
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_an_answer_that_is_none(body: bytes) -> None:
    probes = Probes(NOW)
    probes.on_answer(0.001, UNIX_S, body)
    assert probes.why == "malformed answer to a probe"
    assert probes.round_trip_s == 0.0


def test_a_time_with_another_zone() -> None:
    probes = Probes(NOW)
    probes.on_answer(0.0, UNIX_S, b'{"OK":true,"Now":"2026-11-27T18:31:36.500000000+02:00"}')
    assert (probes.why, probes.clock_ahead_s) == ("", 0.0)
