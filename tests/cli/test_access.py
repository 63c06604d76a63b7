"""`etcdz bench` and `etcdz monitor` with members that want TLS, certificates and a login."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from etcdz.cli.bench import main as bench
from etcdz.cli.monitor import main as monitor
from etcdz.testing.certificates import Authority
from tests.etcd_process import Etcdz, Member, RealEtcd, find_program, free_port

pytestmark = pytest.mark.process

HERE = ["127.0.0.1"]
Say = Callable[..., tuple[int, str]]


class Door(NamedTuple):
    """A member that lets in only who shows a certificate of ca. shown: flags of one that has it"""

    member: Member
    ca: Authority
    shown: list[str]

    @property
    def url(self) -> str:
        return f"https://{self.member.target}"

    def etcdctl(self, *words: str) -> None:
        program = find_program("etcdctl")
        assert program is not None
        subprocess.run([program, f"--endpoints={self.url}", *self.shown, *words], check=True, capture_output=True)


@pytest.fixture(scope="module", params=[RealEtcd, Etcdz], ids=lambda kind: kind.kind)
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp("door")
    ca = Authority(directory, "ca")
    server, client = ca.issue("server", dns=["localhost"], ips=HERE), ca.issue("client", cn="client")
    kind: type[Member] = request.param
    if reason := kind.why_absent():
        pytest.skip(reason)
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    member = kind(
        directory,
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--cert-file={server.cert}",
        f"--key-file={server.key}",
        f"--trusted-ca-file={ca.ca}",
        "--client-cert-auth",
    )
    member.client_port, member.peer_port = port, free_port()
    with member:
        yield Door(member, ca, [f"--cacert={ca.ca}", f"--cert={client.cert}", f"--key={client.key}"])


@pytest.fixture
def say(door: Door, capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command prints at the door, and its exit status."""

    def run(command: Callable[[list[str]], int], *words: str, endpoint: str = "") -> tuple[int, str]:
        status = command([*words, f"--endpoints={endpoint or door.url}"])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def answered(text: str) -> int:
    return int(json.loads(text)["answered"])


@pytest.mark.parametrize(
    "words",
    [
        ["put", "--total=20"],
        ["range", "k", "--total=20"],
        ["watch-latency", "--total=5"],
        ["lease-keepalive", "--total=20"],
    ],
)
def test_loads_go_through_tls(door: Door, say: Say, words: list[str]) -> None:
    status, text = say(bench, *words, *door.shown, "--json")
    assert status == 0, text


def test_a_bare_address_is_spoken_to_by_tls_if_a_certificate_is_given(door: Door, say: Say) -> None:
    status, text = say(bench, "put", "--total=5", *door.shown, endpoint=door.member.target)
    assert status == 0, text
    status, text = say(bench, "put", "--total=5", endpoint=door.member.target)
    assert (status, "closed" in text or "HTTP/2" in text) == (1, True), text


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ([], "certificate signed by unknown authority"),
        (["--insecure-skip-tls-verify"], "remote error: tls: "),
        (["--cacert={ca}"], "remote error: tls: "),
    ],
)
def test_who_is_not_let_in_is_told_why(door: Door, say: Say, shown: list[str], why: str) -> None:
    flags = [flag.format(ca=door.ca.ca) for flag in shown]
    for status, text in (say(bench, "put", "--total=5", *flags), say(monitor, "--once", "--json", *flags)):
        assert status == 1
        assert why in text


def test_the_monitor_shows_members_behind_tls_and_without(door: Door, say: Say) -> None:
    status, text = say(monitor, "--once", "--json", *door.shown)
    assert status == 0
    (member,) = json.loads(text)["members"]
    assert member["status"]["member_id"] and not member["trouble"], text


def test_a_user_logs_in(door: Door, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["user", "add", "root:pw"], ["user", "grant-role", "root", "root"], ["user", "add", "u:pw"]):
        door.etcdctl(*words)
    door.etcdctl("auth", "enable")
    try:
        assert say(bench, "put", "--total=5", *door.shown, "--user=root:pw")[0] == 0
        status, text = say(bench, "put", "--total=5", *door.shown, "--user=root", "--password=bad")
        assert status == 1
        assert "cannot log in: etcdserver: authentication failed, invalid user ID or password" in text
        status, text = say(bench, "put", "--total=5", *door.shown, "--user=u:pw")
        assert status == 1
        assert "etcdserver: permission denied" in text
        with monkeypatch.context() as patch:
            patch.setenv("ETCDCTL_USER", "root:pw")
            status, text = say(monitor, "--once", "--json", *door.shown)
        assert (status, json.loads(text)["members"][0]["trouble"]) == (0, "")
    finally:
        door.etcdctl("--user=root:pw", "auth", "disable")
