"""`ETCDCTL_API=2 etcdzctl` beside etcdctl 3.5.1: each on an etcd of its own, the same commands in the same order."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from etcdz.cli.ctl import main
from tests.etcd_process import RealEtcd, find_program

ETCDCTL = find_program("etcdctl")
pytestmark = [pytest.mark.process, pytest.mark.skipif(ETCDCTL is None, reason="no etcdctl")]

# What stdin has is behind <<<.
SCRIPT = """
nope|get|get /none|-o json get /none|get --nope /a|set /a|set /a 1 --ttl 500|set --ttl x /a 1|set /a 1
-o extended set /a 1|-o json set /a 1|-o foo get /a|cluster-health|cluster-health --nope|member list|user list
user list x|user|user nope|role add r|role add r|role get r|role list|role grant r|role grant r --path /a --read
role grant r --path /a --read|role revoke --path /a --read r|role grant --path a --read r
role grant --path /a/ --read --write r|role grant --path /a/../b --rw r|role get r|role revoke --path /zz --read r
role remove r|role remove r|user add u:p|user add u:p|user get u|user get nope|user add v <<< secret
user grant --roles x u|user grant --roles x,y --roles z u|user get u|user revoke --roles x u|user grant u
user passwd u <<< new|user list|user remove u|user remove v|auth enable|auth disable|--debug get /a
--debug --no-sync set /a 2|help get|get -h|user -h|user add -h|help user|help nope|watch|mk|exec-watch /a|ls -x
mkdir /d|mkdir /d|setdir /e|setdir /e --ttl 100|updatedir /none|updatedir /d|set /d/x 1|set /d/y/z <a&b>
-o json get /d/y/z|ls --sort /|ls --sort -r -p /|ls /none|ls /d/x|-o json ls --sort -r /d|-o extended mkdir /f|get /d
get --quorum=true /a|get --quorum=x /a|mk /a 2|mk /b 2 --ttl 1000|update /a 3|update /none 3
set /a 4 --swap-with-value 3|set /a 5 --swap-with-value 3|set /a 5 --swap-with-index 99|set -- /m -1|get /m
set /m2 <<< from stdin|rm /d|rmdir /d|rm -r /d|rmdir /e|rm /a --with-value 9|rm /a --with-index 1|set /a 4
rm /a --with-value 4|rm /a|rm /b|-o extended rm /m|-o json rm /m2|member remove 272e204152|member remove
member update x|member update 272e204152 http://127.0.0.1:9|member add new|member add new 127.0.0.1:9
watch --after-index 4 /a|watch --after-index 4 -r /|-o extended watch --after-index 5 /a|get /a/../b|get //x//y/
set /sp%20x 1|get /ü|set /ü é|ls --sort /|--version|member add new http://127.0.0.1:9|member list
"""
NOWHERE = """
--no-sync --endpoints=http://127.0.0.1:1 get /a|--endpoints=http://127.0.0.1:1 get /a
--endpoints=http://127.0.0.1:1 member list|--endpoints=http://127.0.0.1:1 cluster-health
--endpoints=127.0.0.1:23791 get /a|--endpoints=ftp://x get /a
"""


def lines(text: str) -> list[str]:
    return [line for row in text.strip().splitlines() for line in row.split("|")]


def steady(status: int, out: bytes, err: bytes, words: list[str]) -> tuple[int, str, str]:
    """Without what differs between any two members, and without what a shell's stty has to say."""
    said = []
    for text in (out.decode(), err.decode()):
        text = re.sub(r"http://127\.0\.0\.1:\d+|http://localhost:\d+", "<url>", text)
        text = re.sub(r'"(expiration|ttl)":[^,}]*', "<time>", text)
        text = re.sub(r"(version: |VERSION:\n   )3\.5\.\d+", r"\1<version>", text)
        text = re.sub(r"\b(?!8e9e05c52164694d)[0-9a-f]{12,16}\b", "<id>", text)
        text = re.sub(r'(?<=INITIAL_CLUSTER=")[^"]*', lambda match: ",".join(sorted(match[0].split(","))), text)
        kept = [line for line in text.splitlines() if not line.startswith(("stty:", "   backup "))]
        said.append("\n".join(sorted(kept) if words[:2] == ["member", "list"] else kept))
    return status, said[0], said[1]


class Both:
    def __init__(self, capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch) -> None:
        self._capture, self._patch = capture, patch
        patch.setenv("ETCDCTL_API", "2")

    def theirs(self, words: list[str], stdin: bytes, endpoint: list[str]) -> tuple[int, str, str]:
        argv = [str(ETCDCTL), *endpoint, *words]
        ran = subprocess.run(argv, input=stdin, capture_output=True, env=os.environ, timeout=90, check=False)
        return steady(ran.returncode, ran.stdout, ran.stderr, words)

    def ours(self, words: list[str], stdin: bytes, endpoint: list[str]) -> tuple[int, str, str]:
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([*endpoint, *words])
        return steady(status, *self._capture.readouterr(), words)


@pytest.fixture
def both(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Both:
    return Both(capsysbinary, monkeypatch)


def test_what_is_printed_is_the_same(both: Both, tmp_path: Path) -> None:
    patient = ["--timeout=60s", "--total-timeout=60s"]
    with RealEtcd(tmp_path / "theirs", "--enable-v2") as one, RealEtcd(tmp_path / "ours", "--enable-v2") as other:
        for line in lines(SCRIPT):
            text, _, stdin = line.partition(" <<< ")
            words = text.split(" ")
            expected = both.theirs(words, stdin.encode(), [f"--endpoints={one.client_url}", *patient])
            assert both.ours(words, stdin.encode(), [f"--endpoints={other.client_url}", *patient]) == expected, line


@pytest.mark.parametrize("line", [*lines(NOWHERE), "--help", "--nope get /a"])
def test_what_needs_no_member_is_the_same(both: Both, line: str) -> None:
    words = line.split(" ")
    assert both.ours(words, b"", []) == both.theirs(words, b"", [])


def test_a_watch_runs_a_command_for_each_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDCTL_API", "2")
    with RealEtcd(tmp_path / "etcd", "--enable-v2") as member:
        program = [sys.executable, "-m", "etcdz.cli.ctl", f"--endpoints={member.client_url}"]
        for value in ("1", "2"):
            subprocess.run([*program, "set", "/k", value], check=True, capture_output=True, timeout=90)
        told = 'echo "$ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"'
        argv = [*program, "exec-watch", "--after-index", "1", "/k", "--", "sh", "-c", told]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            assert {running.stdout.readline(), running.stdout.readline()} == {"set /k 1\n", "set /k 2\n"}
            running.terminate()
