"""A member that is killed while it makes a damaged store again finds all of its data at the next start.

A death is an exception that nothing catches, at every place where names on the disk change: what the process had done
until then stays, what it had not does not come.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etcdz.store import way_back
from etcdz.store.inspection import inspect
from tests.hostile_disk.life import Lives, Served, fill_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Killed(BaseException):
    """Instead of a signal."""


class Fuse:
    """Counts the steps that change names, and ends the process before one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        self.is_blown = False
        for owner, name in ((way_back, "_move"), (way_back, "_sync"), (os, "link"), (shutil, "rmtree")):
            patch.setattr(owner, name, self._burning(getattr(owner, name)))

    def _burning(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def burn(*args: Any, **kwargs: Any) -> Any:
            if not self.is_blown:
                self.left -= 1
                self.is_blown = self.left < 0
            if self.is_blown:
                raise Killed
            return step(*args, **kwargs)

        return burn


def damage_table(store: Path) -> None:
    """Found only when the store is read: there is a way back from that."""
    path = max(store.glob("*.ldb"), key=lambda table: table.stat().st_size)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def damage_log(store: Path) -> None:
    path = max(store.glob("*.log"), key=lambda log: log.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    assert inspect(store).damage is not None


DAMAGES: dict[str, Callable[[Path], object]] = {
    "table": damage_table,
    "log": damage_log,
    "CURRENT": lambda store: (store / "CURRENT").unlink(),
    "all": shutil.rmtree,
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lives, Path, Served]:
    lives = Lives(max_wals=0)
    path = tmp_path_factory.mktemp("original") / "data"
    lives.start(path, fill_on)
    contents = lives.start(path, fill_on)
    assert isinstance(contents, Served)
    return lives, path, contents


@pytest.mark.parametrize("what", DAMAGES)
def test_the_next_start_finds_everything(
    what: str, original: tuple[Lives, Path, Served], tmp_path: Path, is_long: bool
) -> None:
    lives, path, contents = original
    data = tmp_path / "data"
    for left in range(0, 200, 1 if is_long else 3):
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(path, data)
        DAMAGES[what](data / "member" / "snap" / "leveldb")
        with pytest.MonkeyPatch.context() as patch:
            fuse = Fuse(patch, left)
            try:
                found = lives.start(data)
            except Killed:
                pass
        if not fuse.is_blown:
            assert found == contents
            break
        assert lives.start(data) == contents, f"killed at step {left}"
    assert left > 3
