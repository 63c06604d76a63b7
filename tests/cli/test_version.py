"""The programs start, say their versions, and end with etcd's exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from etcdz import ETCD_VERSION, __version__

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, *argv: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"etcdz.cli.{module}", *argv],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_etcdz_version(tmp_path: Path) -> None:
    ran = run("main", "--version", cwd=tmp_path)
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[:2] == [f"etcd Version: {ETCD_VERSION}", f"etcdz Version: {__version__}"]


@pytest.mark.parametrize(("module", "program"), [("ctl", "etcdctl"), ("utl", "etcdutl")])
def test_tools_say_their_version_and_what_they_cannot_do(module: str, program: str, tmp_path: Path) -> None:
    ran = run(module, "version", cwd=tmp_path)
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[:2] == [f"{program} version: {ETCD_VERSION}", "API version: 3.5"]
    if module == "ctl":
        ran = run(module, "defrag", "--data-dir=x", cwd=tmp_path)
        assert (ran.returncode, "not supported" in ran.stderr) == (1, True)


def test_a_wrong_flag(tmp_path: Path) -> None:
    ran = run("main", "--foo", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Usage:\n")
    assert ran.stderr.endswith("\nflag provided but not defined: -foo\n"), "what was wrong is the last line"


def test_a_failed_check_is_in_the_log_after_the_arguments(tmp_path: Path) -> None:
    ran = run("main", "--listen-client-urls=http://127.0.0.1:1", cwd=tmp_path, ETCD_NAME="x")
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert ran.returncode == 1
    assert [line["msg"] for line in lines] == [
        "recognized and used environment variable",
        "Running: ",
        "failed to verify flags",
        "advertise client URLs are not set",
    ]
    assert all(list(line)[:4] == ["level", "ts", "caller", "msg"] for line in lines)
    assert lines[1]["args"][1:] == ["--listen-client-urls=http://127.0.0.1:1"]
    assert list(tmp_path.iterdir()) == []


def test_a_failed_start_is_in_the_log_that_was_asked_for(tmp_path: Path) -> None:
    ran = run("main", "--log-outputs=a.log", "--log-format=console", "--initial-cluster=", cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "")
    parts = [line.split("\t") for line in (tmp_path / "a.log").read_text().splitlines()]
    assert [(part[1], part[3]) for part in parts] == [
        ("info", "Running: "),
        ("warn", "'data-dir' was empty; using default"),
        ("warn", "failed to start etcd"),
        ("fatal", "discovery failed"),
    ]


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    for more in ((), ("--election-timeout=1",)):
        ran = run("main", "--log-outputs=no/x.log", *more, cwd=tmp_path)
        assert ran.returncode == 1
        error = json.loads(ran.stderr.splitlines()[-1])["error"]
        assert error == 'couldn\'t open sink "no/x.log": open no/x.log: no such file or directory'


def test_an_initialized_member_does_not_look_at_the_initial_cluster(tmp_path: Path) -> None:
    from etcdz.cli.main import has_log
    from etcdz.config import MemberConfig

    config = MemberConfig(data_dir=str(tmp_path / "d"))
    assert not has_log(config)
    Path(config.wal_path).mkdir(parents=True)
    (Path(config.wal_path) / "0.tmp").touch()
    assert not has_log(config)
    (Path(config.wal_path) / "0000000000000000-0000000000000000.wal").touch()
    assert has_log(config)
