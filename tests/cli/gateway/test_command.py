"""`etcdz gateway start`: what it refuses, which members it finds, and that etcdctl works through it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from etcdz.cli.gateway import main
from etcdz.cli.gateway.discovery import discover
from etcdz.cli.gateway.remotes import Record
from etcdz.client.srv import Weighted
from etcdz.embed import Member
from tests.etcd_process import RealEtcd, find_program, free_port

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--endpoints=foo"], 'error parsing endpoint "foo"'),
        (["--endpoints="], "no endpoints found"),
        (["--listen-addr=127.0.0.1"], "failed to validate listen address: 127.0.0.1"),
        (["--listen-addr=127.0.0.1:65536"], "failed to validate listen address: 127.0.0.1:65536"),
        (["--endpoints=127.0.0.1:65536"], 'error parsing endpoint "127.0.0.1:65536"'),
        (["--endpoints=127.0.0.1:²"], 'error parsing endpoint "127.0.0.1:²"'),
        (["--endpoints=http://[::1"], 'error parsing endpoint "http://[::1"'),
        (["--listen-addr=127.0.0.1:1", "--endpoints=a..b:1"], "failed to resolve endpoint host: a..b"),
        (
            ["--listen-addr=127.0.0.1:2379", "--endpoints=http://localhost:2379"],
            "SRV or endpoint (localhost:2379->127.0.0.1:2379) should not resolve to the gateway listen addr "
            "(127.0.0.1:2379)",
        ),
    ],
)
def test_what_it_refuses(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", *flags]) == 1
    assert capsys.readouterr().out.strip() == said


@pytest.mark.parametrize("flag", ["--retry-delay=soon", "--retry-delay=-1s", "--insecure-discovery=perhaps", "--what"])
def test_flags_that_are_none(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", flag]) == 1
    assert "Usage:" in capsys.readouterr().err


def test_members_by_srv_records() -> None:
    records = {"_etcd-client-ssl-x._tcp.here": [Weighted("a", 1, 2, 3)], "_etcd-client-x._tcp.here": []}
    assert discover("here", "x", "", True, records.__getitem__) == [Record("a", 1, 2, 3)]


def test_members_without_https_are_left_out() -> None:
    records = {"_etcd-client-ssl._tcp.here": [], "_etcd-client._tcp.here": [Weighted("a", 1, 0, 0)]}
    assert discover("here", "", "", False, records.__getitem__) == []


def test_there_are_no_records() -> None:
    def none(name: str) -> list[Weighted]:
        raise OSError(f"lookup {name}: no such host")

    with pytest.raises(OSError, match=r"^dns lookup errors: lookup _etcd-client-ssl\._tcp\.here: no such host and "):
        discover("here", "", "", True, none)


@pytest.mark.process
def test_etcdctl_through_it(etcdz_server: Member) -> None:
    etcdctl = find_program("etcdctl")
    if etcdctl is None:
        pytest.skip(str(RealEtcd.why_absent()))
    address = f"127.0.0.1:{free_port()}"
    words = [sys.executable, "-m", "etcdz.cli.main", "gateway", "start"]
    words += [f"--endpoints={etcdz_server.client_url}", f"--listen-addr={address}"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT) as gateway:
        assert gateway.stderr is not None
        assert any("ready to proxy client requests" in line for line in gateway.stderr)
        command = [etcdctl, f"--endpoints={address}", "put", "a", "b"]
        assert subprocess.run(command, capture_output=True, text=True, timeout=240).stdout == "OK\n"
        gateway.terminate()
        assert gateway.wait(240) == -signal.SIGTERM
