"""Files that are kept: whatever comes in their place, nobody waits for it, and what was good stays."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from etcdz.tls.kept import Kept


def put_fifo(path: Path) -> None:
    os.mkfifo(path)


def put_loop(path: Path) -> None:
    path.symlink_to(path)


def put_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [put_fifo, put_loop, put_device, Path.mkdir, Path.touch, lambda path: None])
def test_what_is_no_file_of_its_kind_leaves_the_old_one_in_force(put: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    kept = Kept([str(path)], lambda: int(path.read_text()))
    assert kept.look() and kept.value == 1
    path.unlink()
    put(path)
    assert kept.look() and kept.value == 1 and kept.error is not None
    assert not kept.look()
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_text("2")
    assert kept.look() and (kept.value, kept.error) == (2, None)


def test_a_thread_reads_what_is_new(tmp_path: Path) -> None:
    path, may_go_on = tmp_path / "file", threading.Event()
    path.write_text("1")

    def load() -> int:
        value = int(path.read_text())
        if value > 1:
            may_go_on.wait()
        return value

    kept = Kept([str(path)], load, is_behind=True)
    assert kept.look() and kept.value == 1
    path.write_text("22")
    assert not kept.look() and kept.is_loading and kept.value == 1
    may_go_on.set()
    while not kept.look():
        pass
    assert (kept.value, kept.is_loading) == (22, False)
