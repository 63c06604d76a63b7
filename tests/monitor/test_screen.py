"""What the monitor draws, held against the texts in tests/monitor/screens; `--rewrite-screens` writes them anew."""

from pathlib import Path

import pytest

from etcdz.monitor.detail import Page
from etcdz.monitor.keys import PAGES, Dialog, State
from etcdz.monitor.paint import Span, clean, cut, plain
from etcdz.monitor.screen import compose
from etcdz.monitor.view import View
from tests.monitor.samples import cluster_member, member

DIED = {"last_exit": {"reason": "was killed by signal 9"}}
INSPECTED = {
    "actor": {"turns_per_s": 7.0, "turn_us": {"count": 3, "p50": 50, "p99": 900, "max": 1000}, "log_level": "info"},
    "inside": {
        "summary": {"last_index": 42},
        "details": {"waiting": 0},
        "switched": {"delay": 3.2},
        "links": [{"name": "raft", "incarnation": 5, "frames_sent": 12, "frames_taken": 3}],
    },
}
PAGE = Page(
    "wal",
    INSPECTED,
    ("-  0.002s  Write from listener-1",),
    tuple(f"line {number}" for number in range(40)),
    {"kernel": "S (sleeping)", "stack": "Thread 1\n  File wal.py"},
    ("a traced frame",),
)
CASES = {
    "overview": (State(), 80, 24),
    "overview-160x50": (State("wal"), 160, 50),
    "cluster": (State(), 80, 24),
    "cluster-160x50": (State("peer"), 160, 50),
    "inside-state": (State("wal", inside=True), 80, 24),
    "inside-messages": (State("wal", inside=True, page=PAGES.index("messages")), 80, 24),
    "inside-links": (State("wal", inside=True, page=PAGES.index("links")), 80, 24),
    "inside-log-scrolled": (State("wal", inside=True, page=PAGES.index("log"), scroll=5), 80, 24),
    "inside-stack": (State("wal", inside=True, page=PAGES.index("stack")), 80, 24),
    "inside-trace": (State("wal", inside=True, page=PAGES.index("trace"), tracing=True), 80, 24),
    "dialog-restart": (State("wal", dialog=Dialog("restart", "wal", ("stop wal and start it again",))), 80, 24),
    "dialog-refused": (State("wal", dialog=Dialog("kill", "wal", refused="the end; --force does it")), 80, 24),
    "dialog-scale": (State("listener-1", dialog=Dialog("scale", "listener", typed="3")), 80, 24),
    "help": (State("wal", help=True), 80, 24),
}


@pytest.mark.parametrize("name", CASES)
def test_screens_are_as_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    state, width, height = CASES[name]
    _, view = cluster_member(heard=False) if name.startswith("cluster") else member(10, **DIED)
    screen = compose("12:00:00  default.etcd", view, state, PAGE, width, height)
    text = "\n".join(plain(one).rstrip() for one in screen.lines) + "\n"
    path = Path(__file__).parent / "screens" / f"{name}.txt"
    if request.config.getoption("--rewrite-screens", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.fixture(scope="module")
def busy() -> View:
    """Of a member with a long history."""
    return member(200, **DIED)[1]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 3), (40, 10), (80, 24), (119, 60), (300, 100)])
@pytest.mark.parametrize("name", CASES)
def test_every_screen_fills_its_terminal_and_no_more(name: str, width: int, height: int, busy: View) -> None:
    screen = compose("a title", busy, CASES[name][0], PAGE, width, height)
    assert len(screen.lines) == max(height, 1)
    assert all(len(plain(one)) <= width for one in screen.lines)


def test_a_member_that_is_silent_is_said_to_be() -> None:
    history, _ = member()
    view = history.lost(11.0, "no member runs")
    lines = compose("t", view, State(), Page(), 80, 24).lines
    assert "NO ANSWER" in plain(lines[0]) and lines[0][0].style == "alarm"
    assert any("no member runs" in plain(one) for one in lines)


def test_nothing_that_a_terminal_obeys_comes_through() -> None:
    assert clean("a\x1b[2Jb\tc\u0301\u4e16\n") == "a·[2Jb c···"
    _, view = member(3, last_error={"msg": "\x1b[31mred"}, **DIED)
    assert not any("\x1b" in plain(one) for one in compose("t", view, State("wal"), Page(), 80, 24).lines)


def test_a_line_that_is_cut_says_so() -> None:
    spans = [Span("abc"), Span("def", "bad")]
    assert plain(cut(spans, 6)) == "abcdef" and plain(cut(spans, 5)) == "abcd…"
    assert plain(cut(spans, 3)) == "ab…" and plain(cut(spans, 0)) == ""
