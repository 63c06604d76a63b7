"""`etcdctl watch`, 3.5 and 3.4, prints the same of etcdz as of etcd: all its options, interactively, and with exec.

A watch does not end by itself. Each prints history up to a mark, then what is put while it runs, and is ended then;
what it printed up to the second mark must be the same.
"""

import re
import subprocess
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import RealEtcd
from tests.parity.pair import Pair, Side, make_pair
from tests.parity.test_etcdctl import EACH_VERSION, PATIENCE, VERSIONS, environment, etcdctls, only_long

TIMEOUT_S = 60
HISTORY = ((b"w/a", b"1"), (b"w/b", b"2"), (b"w/c", b"3"), (b"w/b", None), (b"w/a", b"END"))
"""Key and value of each put; None deletes."""


class Case(NamedTuple):
    """words: behind `watch`; typed: into the client's stdin; mark, live: what it prints of END and of LIVE."""

    words: list[str]
    typed: str = ""
    mark: str = "END"
    live: str = "LIVE"

    def begun_at(self, first: int) -> "Case":
        """With revisions for --rev=+N: the Nth of the history, which begins with revision `first`."""
        place = lambda text: re.sub(r"--rev=\+(\d)", lambda found: f"--rev={first + int(found[1])}", text)  # noqa: E731
        return self._replace(words=[place(word) for word in self.words], typed=place(self.typed))


SHELL = 'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_REVISION <$ETCD_WATCH_VALUE>"'
CASES = {
    "key": Case(["w/a", "--rev=+0"]),
    "key, now": Case(["w/a", "--rev=+4"]),
    "prefix": Case(["w/", "--prefix", "--rev=+0"]),
    "prefix, all keys": Case(["", "--prefix", "--rev=+0"]),
    "prev-kv": Case(["w/", "--prefix", "--rev=+0", "--prev-kv"]),
    "range": Case(["w/a", "w/c", "--rev=+1"]),
    "hex": Case(["w/", "--prefix", "--rev=+0", "--hex"], mark=r"\x45\x4e\x44", live=r"\x4c\x49\x56\x45"),
    "json": Case(["w/", "--prefix", "--rev=+0", "-w", "json", "--prev-kv"], mark="RU5E", live="TElWRQ=="),
    "fields": Case(["w/", "--prefix", "--rev=+0", "-w", "fields"]),
    "progress-notify": Case(["w/", "--prefix", "--rev=+0", "--progress-notify"]),
    "exec": Case(["w/", "--prefix", "--rev=+0", "--", "sh", "-c", SHELL], mark='<"END">', live='<"LIVE">'),
    "exec of a range": Case(["w/a", "w/b", "--rev=+0", "--", "sh", "-c", SHELL], mark='<"END">', live='<"LIVE">'),
    "interactive": Case(["-i"], typed="watch w/a --rev=+0\n"),
    "interactive, prefix": Case(["-i"], typed="watch w/ --prefix --rev=+0 --prev-kv\n"),
    "interactive, range": Case(["-i"], typed="watch w/a w/c --rev=+0\n"),
    "interactive, exec": Case(["-i"], typed="watch w/a --rev=+0 -- echo ran\n"),
    "interactive, a wrong line first": Case(["-i"], typed="nonsense\nwatch w/a --rev=+0\n"),
}


class Watch:
    """A running `etcdctl watch`, and what it has printed."""

    def __init__(self, program: str, side: Side, case: Case) -> None:
        self._process = subprocess.Popen(
            [program, *PATIENCE, f"--endpoints={side.member.target}", "watch", *case.words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self._process.stdin is not None
        self._process.stdin.write(case.typed)
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def until(self, mark: str) -> str:
        """What it has printed up to the line that holds mark; all, if it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._find(mark) is not None, TIMEOUT_S)
            found = self._find(mark)
            return _alike("".join(self._lines[:found]))

    def _find(self, mark: str) -> int | None:
        return next((at + 1 for at, line in enumerate(self._lines) if mark in line), None)

    def end(self) -> int:
        """return its exit status, as far as it has ended by itself"""
        self._process.kill()
        code = self._process.wait()
        self._thread.join(TIMEOUT_S)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        return code


def _alike(text: str) -> str:
    return re.sub(r'"raft_term":\d+|"RaftTerm" : \d+', "TERM", text)


def put(side: Side, key: bytes, value: bytes | None) -> None:
    if value is None:
        side.must("DeleteRange", pb.DeleteRangeRequest(key=key))
    else:
        side.must("Put", pb.PutRequest(key=key, value=value))


@pytest.fixture(scope="module")
def pair(subject: type, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Whoever uses it does the same to both, so that they stay at the same revision."""
    made = make_pair(tmp_path_factory.mktemp("watching"), RealEtcd, subject)
    try:
        made.start()
        yield made
    finally:
        made.close()


def write_history(pair: Pair) -> int:
    """HISTORY anew, with nothing before it. return the revision of its first entry"""
    for side in pair.sides:
        put(side, b"w/", b"")
        side.must("DeleteRange", pb.DeleteRangeRequest(key=b"\0", range_end=b"\0"))
        head = int(side.must("Range", pb.RangeRequest(key=b"w/")).header.revision)
        side.must("Compact", pb.CompactionRequest(revision=head))
        for key, value in HISTORY:
            put(side, key, value)
    return head + 1


def program_of(version: str) -> str:
    found = etcdctls().get(version)
    if found is None:
        pytest.skip(f"no etcdctl {version} here")
    return found


NEWER = [("3.4", "progress-notify")]
"""(version, case): options that it does not have yet."""


@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param(version, name, marks=only_long(version))
        for name in CASES
        for version in VERSIONS
        if (version, name) not in NEWER
    ],
)
def test_prints_the_same_events(pair: Pair, version: str, name: str) -> None:
    program, case = program_of(version), CASES[name].begun_at(write_history(pair))
    watches = [Watch(program, side, case) for side in pair.sides]
    try:
        history = [watch.until(case.mark) for watch in watches]
        assert case.mark in history[0], history[0]
        assert history[1] == history[0]
        for side in pair.sides:
            put(side, b"w/a", b"LIVE")
        live = [watch.until(case.live) for watch in watches]
        assert case.live in live[0], live[0]
        assert live[1] == live[0]
    finally:
        for watch in watches:
            watch.end()


@pytest.mark.parametrize("version", EACH_VERSION)
def test_a_compacted_start_is_told_alike(pair: Pair, version: str) -> None:
    program = program_of(version)
    write_history(pair)
    watches = [Watch(program, side, Case(["w/a", "--rev=1"])) for side in pair.sides]
    said = [watch.until("never printed") for watch in watches]
    assert "compacted" in said[0]
    assert (said[1], watches[1].end()) == (said[0], watches[0].end())
