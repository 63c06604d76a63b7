"""etcdctl's commands that wait: lock, elect, lease keep-alive. They say, and exit with, the same of both members."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.parity.pair import Pair, Side
from tests.parity.test_etcdctl import EACH_VERSION, PATIENCE, alike, environment, etcdctls

pytestmark = pytest.mark.timeout(300)

_WAIT_S = 60


class Terminal:
    """One member, and what etcdctl's commands have said of it."""

    def __init__(self, side: Side, program: str) -> None:
        self.side = side
        self.said: list[Any] = []
        self._program = program
        self._running: list[subprocess.Popen[str]] = []

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [self._program, *PATIENCE, f"--endpoints={self.side.member.target}", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        self._running.append(process)
        return process

    def note(self, text: str) -> str:
        """The text as it is compared: without etcdctl's own log, which tells what its end has met on its way."""
        text = re.sub(r'^(\{"level":.*)?\n', "", text, flags=re.MULTILINE)
        text = re.sub(r"\b(rev=|TTL\()\d+", r"\1N", alike(text, self.side.member))
        self.said.append(text)
        return text

    def line(self, process: "subprocess.Popen[str]") -> str:
        """Waits for its next line."""
        assert process.stdout is not None
        return self.note(process.stdout.readline())

    def end(self, process: "subprocess.Popen[str]", how: signal.Signals = signal.SIGINT) -> None:
        process.send_signal(how)
        self.finish(process)

    def finish(self, process: "subprocess.Popen[str]") -> None:
        out, _ = process.communicate(timeout=_WAIT_S)
        self.note(out)
        self.said.append(process.returncode)

    def run(self, *words: str) -> None:
        self.finish(self.begin(*words))

    def wait_for_keys(self, count: int) -> None:
        """So many there are under any name."""
        everything = pb.RangeRequest(key=b"\0", range_end=b"\0", count_only=True)
        while self.side.must("Range", everything).count != count:
            pass

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()


Act = Callable[[Terminal], None]


@pytest.fixture(params=EACH_VERSION)
def both(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Callable[[Act], None]]:
    """Runs the same on both, and compares."""
    program = etcdctls().get(request.param)
    if program is None:
        pytest.skip(f"no etcdctl {request.param} here")
    pair.begin_conversation()
    terminals = [Terminal(side, program) for side in pair.sides]

    def act_on_both(act: Act) -> None:
        for terminal in terminals:
            act(terminal)
        assert terminals[1].said == terminals[0].said

    yield act_on_both
    for terminal in terminals:
        terminal.close()


def test_a_command_under_a_lock(both: Callable[[Act], None]) -> None:
    def act(terminal: Terminal) -> None:
        terminal.run("lock", "n", "--", "sh", "-c", "echo key $ETCD_LOCK_KEY rev=$ETCD_LOCK_REV")
        assert "key n/" in terminal.said[0]
        terminal.run("lock", "n", "--ttl=20", "false")
        terminal.run("lock", "n", "no-such-command")
        terminal.run("lock")
        terminal.run("lock", "n", "--ttl=x")
        terminal.wait_for_keys(0)

    both(act)


def test_who_waits_for_a_lock_has_it_when_it_is_let_go(both: Callable[[Act], None]) -> None:
    def act(terminal: Terminal) -> None:
        first = terminal.begin("lock", "n")
        assert terminal.line(first).startswith("n/")
        second = terminal.begin("lock", "n", "echo", "mine")
        terminal.wait_for_keys(2)
        third = terminal.begin("lock", "n")
        terminal.wait_for_keys(3)
        terminal.end(third)
        terminal.wait_for_keys(2)
        terminal.end(first)
        terminal.finish(second)
        assert "mine\n" in terminal.said
        terminal.wait_for_keys(0)

    both(act)


def test_elections_are_won_seen_and_handed_on(both: Callable[[Act], None]) -> None:
    def act(terminal: Terminal) -> None:
        watching = terminal.begin("elect", "-l", "e")
        first = terminal.begin("elect", "e", "one")
        for process in (first, watching):
            assert terminal.line(process).startswith("e/")
            assert terminal.line(process) == "one\n"
        second = terminal.begin("elect", "e", "two")
        terminal.wait_for_keys(2)
        terminal.end(first)
        for process in (second, watching):
            assert terminal.line(process).startswith("e/")
            assert terminal.line(process) == "two\n"
        terminal.end(second)
        terminal.end(watching)
        terminal.run("elect")
        terminal.run("elect", "e")
        terminal.run("elect", "-l", "e", "surplus")

    both(act)


def test_a_lease_is_granted_kept_alive_and_revoked(both: Callable[[Act], None]) -> None:
    def act(terminal: Terminal) -> None:
        granting = terminal.begin("lease", "grant", "100")
        assert granting.stdout is not None
        granted = granting.stdout.readline()
        lease = granted.split()[1]
        terminal.note(granted)
        terminal.finish(granting)
        terminal.run("put", "k", "v", f"--lease={lease}")
        keeping = terminal.begin("lease", "keep-alive", lease)
        assert "keepalived" in terminal.line(keeping)
        terminal.run("lease", "keep-alive", "--once", lease)
        terminal.run("lease", "timetolive", "--keys", lease)
        terminal.run("lease", "list")
        terminal.end(keeping)
        terminal.run("lease", "revoke", lease)
        terminal.run("get", "k")
        terminal.run("lease", "keep-alive", lease)

    both(act)
