"""Builds what `pip install` builds, out of a copy of the sources.

NB: a copy, because setuptools leaves build/ behind, takes what it finds there into the next wheel, and tests of others
read the same folders meanwhile.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CLIENT: Final = Path("config/etcdz-client")
BUILT: Final = ("actors", "config", "etcdz", "supervisor")
ALL: Final = (*BUILT, "docs", "tests", ".ci")
_LEFT_BY_RUNS: Final = shutil.ignore_patterns(".*_cache", "__pycache__")
BUILD_S: Final = 600


def copy_sources(target: Path, folders: Iterable[str] = BUILT) -> Path:
    """return target: as a fresh checkout, with these of its folders"""
    target.mkdir()
    for name in folders:
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=_LEFT_BY_RUNS)
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, target)
    return target


def build(project: Path, hook: str, into: Path) -> Path:
    """The file that the project's build backend makes. hook: build_wheel or build_sdist"""
    into.mkdir(exist_ok=True)
    backend = "hatchling.build" if (project / "etcdz").is_symlink() else "setuptools.build_meta"
    code = f"import {backend} as backend; print(backend.{hook}({str(into)!r}))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=project, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return into / done.stdout.splitlines()[-1]


def unpack(wheel: Path, into: Path) -> Path:
    """return into: a folder for PYTHONPATH"""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return into


def files_of(wheel: Path) -> set[str]:
    """Names of all files, but for those about the distribution itself."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}
