"""etcdctl's commands of the v2 API on a member and on a real etcd: what they print is the same.

Not exec-watch: it takes its words in one order or another, and has no end."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.etcd_process import Etcdz, Member, RealEtcd

ETCDCTL = shutil.which("etcdctl", path="/usr/bin")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(ETCDCTL is None, reason="no etcdctl 3.4 here: the package etcd-client"),
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
COMMANDS = """
member list
cluster-health
set /a 1
get /a
get /none
-o extended get /a
-o json get /a
mk /a 2
mk /b 2 --ttl 1000
mk --in-order /queue x
update /a 3
update /none 3
set /a 4 --swap-with-value 3
set /a 5 --swap-with-value 3
set /a 5 --swap-with-index 99
mkdir /d
mkdir /d
setdir /e
setdir /e --ttl 1000
updatedir /none
set /d/x 1
set /d/y/z 1
ls --sort /
ls --sort --recursive -p /
ls /none
get /d
get --quorum /a
rm /d
rmdir /d
rm --recursive /d
rmdir /e
rm /a --with-value 9
rm /a --with-value 4
rm /a
set /w 1
watch /w --after-index 4
member remove 272e204152
member remove nothex
member update 272e204152 http://127.0.0.1:9
member add new 127.0.0.1:9
member add new http://localhost:2380
member add new http://127.0.0.1:9
member list
"""
OTHERWISE = ("member remove 272e204152",)
"""3.5.1 says 500 instead of what it has found."""


def told_by(member: Member, command: str) -> str:
    """What a command prints, without what differs between members."""
    patience = "--timeout=60s", "--total-timeout=60s"
    words = [str(ETCDCTL), "--no-sync", *patience, f"--endpoints={member.client_url}", *command.split(" ")]
    done = subprocess.run(
        words, env={**os.environ, "ETCDCTL_API": "2"}, capture_output=True, text=True, timeout=120, check=False
    )
    text = f"{done.stdout}{done.stderr}exit status {done.returncode}"
    text = text.replace(member.client_url, "<url>")
    text = re.sub(r'(?<=INITIAL_CLUSTER=")[^"]*', lambda match: ",".join(sorted(match[0].split(","))), text)
    text = re.sub(r'"(expiration|ttl)":[^,}]*|\d{4}-\d\d-\d\dT[0-9:.]+Z', "<time>", text)
    text = re.sub(r"\b(?!8e9e05c52164694d)[0-9a-f]{12,16}\b", "<id>", text)
    return "\n".join(sorted(text.splitlines())) if command == "member list" else text  # theirs is the order of ids


def test_what_is_printed_is_the_same(tmp_path: Path) -> None:
    with (
        RealEtcd(tmp_path / "theirs", "--enable-v2") as etcd,
        Etcdz(tmp_path / "ours", "--enable-v2") as ours,
    ):
        wrong = []
        for command in COMMANDS.strip().splitlines():
            told = told_by(ours, command), told_by(etcd, command)
            if told[0] != told[1] and command not in OTHERWISE:
                wrong.append(f"{command}\n{told[0]}\n-- and etcd:\n{told[1]}")
        assert not wrong, "\n".join(wrong)
