"""The distribution `etcdz-client`: with protobuf alone it is a client library, and etcdzctl."""

import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdz import __version__
from tests.etcd_process import Etcdz
from tests.packaging.distributions import CLIENT, ROOT, build, files_of, unpack

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]
PROJECT = tomllib.loads((ROOT / CLIENT / "pyproject.toml").read_text())
BOTH = tomllib.loads((ROOT / "pyproject.toml").read_text())
LIMIT_S = 240


@pytest.fixture(scope="module")
def client(client_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(client_wheel, tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcdz]:
    with Etcdz(tmp_path_factory.mktemp("member")) as running:
        yield running


def alone(client: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(Path(__file__).parent / "alone.py"), str(client), *words]
    return subprocess.run(command, cwd=client, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_every_module_of_it_needs_nothing_else(client: Path) -> None:
    done = alone(client, "import")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_its_files_are_those_of_etcdz(client_wheel: Path, client: Path) -> None:
    files = files_of(client_wheel)
    assert {"etcdz/py.typed", "etcdz/proto/etcdserverpb.pyi", "etcdz/client/aio.py"} <= files
    assert [name for name in files if (client / name).read_bytes() != (ROOT / name).read_bytes()] == []
    assert [name for name in files if not name.endswith((".py", ".pyi", "py.typed"))] == []


def test_it_asks_for_no_more_than_etcdz_does() -> None:
    """Of the same packages, from the same versions on."""
    assert set(PROJECT["project"]["dependencies"]) <= set(BOTH["project"]["dependencies"])
    assert PROJECT["project"]["scripts"].items() <= BOTH["project"]["scripts"].items()
    assert PROJECT["project"]["requires-python"] == BOTH["project"]["requires-python"]


@pytest.mark.long
def test_a_source_distribution_builds_the_same(sources: Path, client_wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build(sources / CLIENT, "build_sdist", tmp_path / "dist")) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / f"etcdz_client-{__version__}"
    for name in ("LICENSE", "NOTICE"):  # copies: in a source distribution a link would lead nowhere
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes()
    assert files_of(build(folder, "build_wheel", tmp_path / "again")) == files_of(client_wheel)


def test_etcdzctl_works(client: Path, member: Etcdz) -> None:
    told = [
        (["put", "a", "1"], "OK\n"),
        (["get", "a"], "a\n1\n"),
        (["get", "a", "-w", "json"], '"count":1}\n'),
        (["endpoint", "health"], f"{member.target} is healthy"),
        (["member", "list", "-w", "table"], "| started |"),
        (["del", "a"], "1\n"),
    ]
    for words, end in told:
        done = alone(client, "ctl", *words, f"--endpoints={member.target}")
        assert (done.returncode, done.stderr) == (0, ""), words
        assert end in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["snapshot", "status", "x"], ": install etcdz in the place of etcdz-client\n"),
        (["get", "x", "--discovery-srv=example.invalid"], "SRV records need the package dnspython\n"),
    ],
)
def test_what_is_not_there_is_named(client: Path, words: list[str], said: str) -> None:
    done = alone(client, "ctl", *words)
    assert done.returncode == 1
    assert done.stderr.endswith(said)
