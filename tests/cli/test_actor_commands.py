"""`etcdz actors`: the forms in which people write signals and times, and how events and numbers are shown."""

import argparse
import time

import pytest

from etcdz.cli.actors import orders
from etcdz.cli.actors.diagnostics import seconds
from etcdz.cli.actors.orders import signal_number, with_signals_as_words
from etcdz.cli.actors.tables import duration, micros, print_rows, print_table, size, text
from etcdz.control.client import Refused


@pytest.mark.parametrize(("written", "number"), [("-9", 9), ("-KILL", 9), ("SIGTERM", 15), ("-stop", 19)])
def test_a_signal_may_be_a_number_or_a_name(written: str, number: int) -> None:
    assert signal_number(written) == number


def test_there_is_no_such_signal() -> None:
    with pytest.raises(Refused, match="there is no signal -999"):
        signal_number("-999")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["kill", "-9", "wal"], ["kill", "9", "wal"]),
        (["kill", "wal", "-KILL", "--force"], ["kill", "KILL", "wal", "--force"]),
        (["kill", "wal"], ["kill", "wal"]),
        (["restart", "-9"], ["restart", "-9"]),
    ],
)
def test_a_signal_is_no_option(argv: list[str], words: list[str]) -> None:
    assert with_signals_as_words(argv) == words


@pytest.mark.parametrize(("written", "value"), [("250ms", 0.25), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("7", 7)])
def test_times(written: str, value: float) -> None:
    assert seconds(written) == value


@pytest.mark.parametrize("written", ["", "5x", "m5", "5m 3s"])
def test_times_that_are_none(written: str) -> None:
    with pytest.raises(ValueError):
        seconds(written)


def test_numbers_are_short() -> None:
    assert [micros(us) for us in (85, 3_200, 12_000, 4_100_000)] == ["85us", "3.2ms", "12ms", "4.1s"]
    assert [duration(s) for s in (0.85, 12, 184, 18_120, 788_400)] == ["850ms", "12s", "3m04s", "5h02m", "9d03h"]
    assert [size(count) for count in (512, 2_048, 3 << 20)] == ["512B", "2.0KiB", "3.0MiB"]


def test_rows_are_shown_by_the_units_of_their_fields(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"id": "a1", "active_s": 90.0, "sent_bytes": 2048, "round_trip_us": 850, "why": ""},
        {"id": "b2", "active_s": None, "sent_bytes": 0, "round_trip_us": None, "why": "refused"},
    ]
    print_rows("remotes", rows)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "remotes",
        "ID  ACTIVE_S  SENT_BYTES  ROUND_TRIP_US  WHY",
        "a1     1m30s      2.0KiB          850us  -",
        "b2         -          0B              -  refused",
    ]


def test_columns_are_aligned_numbers_on_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (("NAME", text("name"), False), ("PID", text("pid"), True))
    rows = [{"name": "wal", "pid": 7}, {"name": "backend", "pid": None}]
    print_table(columns, [[shown(row) for _, shown, _ in columns] for row in rows])
    assert capsys.readouterr().out == "NAME     PID\nwal        7\nbackend    -\n"


def test_an_event_is_a_line_with_its_time_level_actor_and_fields(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    happened = {"time": 1.25, "level": "info", "msg": "actor started", "child": "wal", "pid": 7}
    monkeypatch.setattr(orders, "follow", lambda data_dir, verb, request: iter([[happened]]))
    orders.events(argparse.Namespace(data_dir="here", follow=False, json=False))
    at = time.strftime("%H:%M:%S", time.localtime(1))
    assert capsys.readouterr().out == f"{at}.250 info  wal          actor started pid=7\n"
