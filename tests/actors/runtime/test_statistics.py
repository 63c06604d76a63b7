"""What an actor counts of itself: maxima over the last intervals, times over the last windows."""

from types import SimpleNamespace
from typing import Any

from actors.runtime.statistics import INTERVALS, WINDOW_S, Statistics
from etcdz.ipc.messages import Applied, Flush

MAILBOX: Any = SimpleNamespace(taken=lambda: {5: 3})
LINKS: Any = SimpleNamespace(sent={Flush: 2}, frames_sent=lambda: {"raft": 4})


def test_counts_are_shown_by_the_names_of_messages() -> None:
    statistics = Statistics()
    statistics.received[Applied] += 7
    shown = statistics.show(MAILBOX, LINKS)
    assert (shown["received"], shown["sent"]) == ({"Applied": 7}, {"Flush": 2})
    assert (shown["frames_in"], shown["frames_out"]) == ({5: 3}, {"raft": 4})


def test_a_maximum_is_shown_for_so_many_intervals_and_then_forgotten() -> None:
    statistics = Statistics()
    statistics.depth_max, statistics.oldest_ns_max = 9, 5_000
    seen = []
    for _ in range(INTERVALS + 1):
        shown = statistics.show(MAILBOX, LINKS)
        seen.append((shown["mailbox_depth"], shown["oldest_us"]))
        statistics.begin_interval(now=0.0)
    assert seen == [(9, 5)] * INTERVALS + [(0, 0)]


def test_times_are_forgotten_after_the_second_window() -> None:
    statistics = Statistics()
    counts = []
    statistics.begin_interval(now=0.0)
    statistics.turns.add(1_000)
    for now in (WINDOW_S / 2, WINDOW_S, 2 * WINDOW_S):
        statistics.begin_interval(now)
        counts.append(statistics.show(MAILBOX, LINKS)["turn_us"]["count"])
    assert counts == [1, 1, 0]
