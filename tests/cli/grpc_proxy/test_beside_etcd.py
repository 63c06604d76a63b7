"""etcdz's proxy and etcd's, each in front of an etcd of its own: the same commands of etcdctl, the same answers."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.grpc_proxy.proxies import Proxy, RealProxy
from tests.etcd_process import RealEtcd, find_program

pytestmark = pytest.mark.parity

COMMANDS = [
    "put k v",
    "put k v2 --prev-kv",
    "get k -w json",
    "get k --consistency=s -w json",
    "get k --rev 100000",
    "put --lease=1234 k v",
    "txn",
    "del k --prev-kv",
    "compact 2",
    "get k --rev 1",
    "lease grant 60",
    "lease timetolive 1234",
    "lease revoke 1234",
    "lease keep-alive --once 1234",
    "member list -w json",
    "member remove 1234",
    "endpoint health",
    "endpoint status -w json",
    "endpoint hashkv -w json",
    "alarm list",
    "snapshot save backup.db",
    "user add root:pw",
    "user grant-role root root",
    "user add u:p",
    "role add r",
    "role grant-permission r readwrite f g",
    "user grant-role u r",
    "auth enable",
    "get f",
    "--user u:p put f 1",
    "--user u:p get f --consistency=s",
    "--user u:p put z 1",
    "--user u:wrong get f",
    "--user root:pw auth disable",
    "lock l echo held",
]
STDIN = 'value("k") = "v2"\n\nput k a\nget k\n\nput k b\n\n'
_NOT_THE_SAME = [
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"0x[0-9a-f]{8,}", "POINTER"),
    (r"\d+(\.\d+)?(µs|ms|s)\b", "TIME"),
    (r"lease [0-9a-f]{16}", "lease ID"),
    (r'"(cluster_id|member_id|leader|raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize\w*|hash|ID)":\d+', r'"\1":0'),
    (r"code = \w+", "code"),  # etcd's proxy makes Unknown of most
]
"""Patterns, and what is compared in their place."""


def shown(text: str) -> str:
    for pattern, word in _NOT_THE_SAME:
        text = re.sub(pattern, word, text)
    return text


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Proxy]]:
    if RealEtcd.why_absent():
        pytest.skip(str(RealEtcd.why_absent()))
    with ExitStack() as stack:
        found = []
        for kind in (Proxy, RealProxy):
            member = stack.enter_context(RealEtcd(tmp_path_factory.mktemp("member")))
            found.append(stack.enter_context(kind(tmp_path_factory.mktemp("proxy"), member.target)))
        yield found


def ask(proxy: Proxy, command: str, directory: Path) -> tuple[int, str, str]:
    program = find_program("etcdctl")
    assert program is not None
    ran = subprocess.run(
        [program, f"--endpoints={proxy.target}", "--command-timeout=60s", *command.split()],
        input=STDIN,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=directory,
        check=False,
    )
    errors = [line for line in ran.stderr.splitlines() if line.startswith("Error")]  # and not how long it took
    return ran.returncode, shown(ran.stdout), shown("\n".join(errors))


def test_the_same_commands_have_the_same_answers(proxies: list[Proxy], tmp_path: Path) -> None:
    homes = [tmp_path / str(number) for number in range(2)]
    for home in homes:
        home.mkdir()
    with ThreadPoolExecutor() as both:
        for command in COMMANDS:
            ours, theirs = both.map(ask, proxies, [command] * 2, homes)
            assert ours == theirs, command
