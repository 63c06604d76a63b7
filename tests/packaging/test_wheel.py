"""The distribution `etcdz`: what is in it, and that a member runs from nothing else."""

import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from etcdz import __version__
from tests.etcd_process import Etcdz
from tests.packaging.distributions import ALL, ROOT, build, copy_sources, files_of, unpack

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]
PACKAGES = ("actors", "etcdz", "supervisor")


class Installed(Etcdz):
    """A member out of an unpacked wheel; PYTHONPATH leads to it, before what the tests run from."""

    @classmethod
    def program(cls) -> list[str]:
        return [sys.executable, "-P", "-m", "etcdz.cli.main"]


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(wheel, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="module")
def member(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    environ = {"PYTHONPATH": str(unpacked)}
    with Installed(tmp_path_factory.mktemp("member"), "--enable-dashboard", env=environ) as running:
        yield running


def test_it_holds_the_packages_and_what_they_read_and_nothing_else(wheel: Path) -> None:
    there = {path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*")}
    assert files_of(wheel) == {name for name in there if re.search(r"\.(py|pyi|html|typed)$", name)}
    assert {"etcdz/py.typed", "etcdz/proto/etcdserverpb.pyi", "actors/listener/dashboard.html"} <= files_of(wheel)


def test_files_of_the_packages_are_of_kinds_that_are_shipped() -> None:
    """A new kind (a table, a template) wants a line in pyproject.toml and in the test above."""
    found = {
        path.suffix
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert found == {".py", ".pyi", ".html", ".typed"}


def test_it_says_what_it_is(wheel: Path) -> None:
    said = metadata(wheel)
    assert (said["Name"], said["Version"], said["Requires-Python"]) == ("etcdz", __version__, ">=3.11")
    assert said.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert {"docs", "test", "tracing"} == set(said.get_all("Provides-Extra", []))
    needed = [need for need in said.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert [need for need in needed if ">=" not in need] == []


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.mark.long
def test_a_source_distribution_builds_the_same(wheel: Path, tmp_path: Path) -> None:
    sources = copy_sources(tmp_path / "checkout", ALL)
    with tarfile.open(build(sources, "build_sdist", tmp_path / "dist")) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / f"etcdz-{__version__}"
    assert (folder / "tests" / "conftest.py").exists() and (folder / "config" / "etcdz.service").exists()
    assert list(folder.rglob("*.pyc")) == []
    assert files_of(build(folder, "build_wheel", tmp_path / "again")) == files_of(wheel)


def test_a_member_runs_from_it_alone_and_serves_its_page(member: Installed, unpacked: Path) -> None:
    with urllib.request.urlopen(f"{member.client_url}/dashboard", timeout=240) as answer:
        assert answer.read() == (unpacked / "actors/listener/dashboard.html").read_bytes()
    where = "import actors, etcdz, supervisor; print(actors.__file__, etcdz.__file__, supervisor.__file__)"
    environ = {**os.environ, "PYTHONPATH": str(unpacked)}
    told = subprocess.check_output([sys.executable, "-P", "-c", where], env=environ, text=True, timeout=240)
    assert [path for path in told.split() if not path.startswith(str(unpacked))] == []


def test_the_health_check_of_the_image_finds_it_well(member: Installed) -> None:
    text = re.search(
        r"HEALTHCHECK .*?CMD (\[.*?\])$", (ROOT / "config/Containerfile").read_text(), re.DOTALL | re.MULTILINE
    )
    assert text is not None
    command = [word.replace("127.0.0.1:2379", member.target) for word in json.loads(text[1])]
    subprocess.run([sys.executable, *command[1:]], check=True, timeout=240)
