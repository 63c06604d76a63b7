"""etcdzctl beside etcdctl 3.5.1: each command line is given to both, on the same member, and both say the same."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdz.cli.ctl import main
from tests.etcd_process import RealEtcd, find_program

ETCDCTL = find_program("etcdctl")
pytestmark = pytest.mark.skipif(ETCDCTL is None, reason="no etcdctl")

OUTPUTS = ("", "--hex", "-w=fields", "-w=json")

READS = """
get a|get --prefix|get --prefix s|get s/1 s/3|get --from-key s/2|get a --keys-only|get --prefix --keys-only s
get nope|get --prefix s --limit 1|get --prefix s --order descend|get --prefix s --sort-by MODIFY --order DESCEND
get a --rev 2|get a --consistency s|get a --print-value-only|get --prefix s --count-only|get bin
lease list|lease timetolive 77|lease timetolive 77 --keys|lease timetolive 5|lease keep-alive 77 --once
del nope|del nope --prev-kv|lease keep-alive --once 5|lease revoke 5
"""

WRONG = """
get|get a b --prefix|get a --prefix --from-key|get a --keys-only --count-only|get a --consistency x|get a --order x
get a --sort-by x|get a --rev 9999|get a --limit x|get a --nope|get a --prefix=x|get a -w nope|put
put a b --ignore-value|put a b --lease xyz|put a b --lease 99
put nope --ignore-value|del|del a b c|del a b --prefix|del a --prefix --from-key
compaction|compaction x|compaction 9999|compaction -- -1|lease grant|lease grant x|lease revoke
lease revoke xyz|lease timetolive|lease timetolive zz|lease keep-alive --once|nope|get a --command-timeout 5
get a --cert=|get a --cert x|get a --limit|put a b --lease 99999999999999999999|get --prefix= a
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as member:
        given = f"--endpoints={member.client_url}"
        for line in ("lease grant 500", "put s/1 x", "put s/2 yy", "put s/3 z", "put a 1", "put a 2"):
            assert real(given, line.split())[0] == 0
        yield given


Said = tuple[int, bytes, list[str]]


def real(endpoint: str, words: list[str], stdin: bytes = b"", **env: str) -> Said:
    assert ETCDCTL is not None
    environ = {"PATH": os.environ["PATH"], **env}
    argv = [ETCDCTL, *([endpoint] if endpoint else []), *words]
    ran = subprocess.run(argv, input=stdin, capture_output=True, env=environ, timeout=30)
    return ran.returncode, steady(ran.stdout), complaints(ran.stderr)


class Ours:
    def __init__(self, capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch, endpoint: str) -> None:
        self._capture, self._patch, self._endpoint = capture, patch, endpoint

    def __call__(self, words: list[str], stdin: bytes = b"") -> Said:
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([*([self._endpoint] if self._endpoint else []), *words])
        out, err = self._capture.readouterr()
        return status, steady(out), complaints(err)


@pytest.fixture
def ours(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Ours:
    return Ours(capsysbinary, monkeypatch, endpoint)


def steady(out: bytes) -> bytes:
    """Without how long a lease has still to live, and without etcdctl's usage: ours is cobra's, and on stderr."""
    if out.startswith(b"NAME:"):
        return b""
    return re.sub(rb"remaining\(\d+s\)|\"ttl\":\d+|\"TTL\" : \d+", b"<ttl>", out)


def complaints(err: bytes) -> list[str]:
    """What is said of an error, without the usage in between, and without the log of Go's client."""
    kept = []
    for line in err.decode().splitlines():
        if line.startswith("Error:"):
            kept.append(line)
        elif '"environment-variable"' in line:
            record = json.loads(line)
            kept.append(f"{record['level']} {record['msg']} {record['environment-variable']}")
    return kept


def lines(text: str) -> list[str]:
    return [line for row in text.strip().splitlines() for line in row.split("|")]


def test_what_is_read_looks_the_same(ours: Ours, endpoint: str) -> None:
    lease = real(endpoint, ["lease", "list"])[1].split()[-1].decode()
    real(endpoint, ["put", "s/1", "x", f"--lease={lease}"])
    real(endpoint, ["put", "bin"], b'\x00\xff"\n')
    for line in lines(READS.replace(" 77", f" {lease}")):
        for output in OUTPUTS:
            words = [*line.split(), *([output] if output else [])]
            assert ours(words) == real(endpoint, words), words


def test_what_is_wrong_is_refused_in_the_same_words(ours: Ours, endpoint: str) -> None:
    for line in lines(WRONG):
        assert ours(line.split()) == real(endpoint, line.split()), line


def test_what_is_written_can_be_read(ours: Ours, endpoint: str) -> None:
    real(endpoint, ["put", "w", "1"])
    assert ours(["put", "w", "2", "--prev-kv"]) == (0, b"OK\nw\n1\n", [])
    assert ours(["put", "w"], b"from stdin\n") == (0, b"OK\n", [])
    assert real(endpoint, ["get", "w"])[1] == b"w\nfrom stdin\n\n"
    assert ours(["put", "--", "w", "-v"]) == (0, b"OK\n", [])
    assert ours(["del", "w", "--prev-kv"]) == (0, b"1\nw\n-v\n", [])
    assert ours(["put", "w"])[0] == 128, "no value at all"
    status, out, _ = ours(["lease", "grant", "300"])
    found = re.fullmatch(rb"lease ([0-9a-f]{16}) granted with TTL\(300s\)\n", out)
    assert status == 0 and found
    revoked = ours(["lease", "revoke", found[1].decode()])
    assert revoked == (0, b"lease %s revoked\n" % found[1], [])


def test_variables(ours: Ours, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = endpoint.partition("=")[2]
    cases: tuple[dict[str, str], ...] = (
        {"ETCDCTL_ENDPOINTS": url},
        {"ETCDCTL_WRITE_OUT": "nope"},
        {"ETCDCTL_NOPE": "1"},
        {"ETCDCTL_HEX": "true"},
        {"ETCDCTL_HEX": "x"},
    )
    for variables in cases:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert ours(["get", "a"]) == real(endpoint, ["get", "a"], b"", **variables), variables


def test_it_starts_as_a_program(endpoint: str) -> None:
    argv = [sys.executable, "-m", "etcdz.cli.ctl", endpoint, "get", "nope", "--sort-by", "x"]
    ran = subprocess.run(argv, capture_output=True, cwd=Path(__file__).parents[2], timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (4, b"", b"Error: bad sort target x\n")
