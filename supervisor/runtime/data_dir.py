"""The member's hold on its data directory, and the private run directory with the sockets.

    <data-dir>/etcdz.lock   held with flock while any process of the member lives: {"pid", "incarnation"}
    <data-dir>/etcdz.json   where tools find the member: {"pid", "run_dir", "control"}; only while it runs
    <run dir>/              see run_dir.py

All processes of a member inherit the lock's file descriptor, so that after a kill -9 of the supervisor the next start
waits until the last of them has let go of the log and the store.
"""

import fcntl
import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from etcdz.telemetry import logs
from supervisor.runtime import run_dir
from supervisor.runtime.run_dir import RunDir

log = logs.get("supervisor")

LOCK_NAME: Final = "etcdz.lock"
RECORD_NAME: Final = "etcdz.json"
DYING_S: Final = 10.0
"""How long the processes of a killed member may take to be gone, e.g. inside a slow fsync."""
EPOCH_S: Final = 1_577_836_800
"""2020-01-01; seconds since then, times 4096, are where a member's incarnations begin: they grow over its restarts."""
SKIP: Final = 1 << 24
"""Further than any life of a member counts, for a clock that went back."""


class DataDirError(Exception):
    """The data directory cannot be used; the text is for the user."""


class DataDir:
    """Taken by take(), given back by release()."""

    def __init__(self, path: Path, lock_fd: int, first_incarnation: int, run_dir: RunDir) -> None:
        self.path = path
        self.lock_fd = lock_fd
        self.first_incarnation = first_incarnation
        self._run_dir = run_dir

    @property
    def run_dir(self) -> Path:
        """By which sockets in it are bound and reached."""
        return self._run_dir.path

    @property
    def control(self) -> str:
        """Endpoint of the control socket."""
        return f"ipc://{self.run_dir}/control"

    def publish(self) -> None:
        """Let tools find the member. A full disk must not keep it from starting: it can still be read."""
        record = {"pid": os.getpid(), "run_dir": str(self._run_dir.real), "control": self.control}
        temporary = self.path / f"{RECORD_NAME}.tmp"
        try:
            temporary.write_text(json.dumps(record) + "\n")
            temporary.replace(self.path / RECORD_NAME)
        except OSError as error:
            log.warn("cannot write where tools look for the member", path=str(temporary), error=str(error))
            with suppress(OSError):
                temporary.unlink()

    def release(self) -> None:
        """Remove what only a running member has. The lock's file stays: removing it would race with the next start."""
        with suppress(OSError):
            (self.path / RECORD_NAME).unlink()
        self._run_dir.remove()
        os.close(self.lock_fd)


def take(data_dir: str) -> DataDir:
    """Lock data_dir, creating it if need be, and make a run directory. raises DataDirError"""
    path = Path(data_dir).absolute()
    try:
        _make_private(path)
        lock_fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirError(f"cannot access data directory: {error.strerror}: {error.filename}") from error
    try:
        _lock(path, lock_fd)
        first = _next_incarnation(lock_fd)
        _remove_stale_run_dir(path, lock_fd)
        return DataDir(path, lock_fd, first, _make_run_dir(path, lock_fd))
    except OSError as error:
        os.close(lock_fd)
        raise DataDirError(f"cannot use data directory {path}: {error}") from error
    except DataDirError:
        os.close(lock_fd)
        raise


def read_record(data_dir: str) -> dict[str, Any] | None:
    """What the member that runs in data_dir says about itself, None if none runs there."""
    record = _record(Path(data_dir))
    try:
        found = (Path(data_dir) / LOCK_NAME).stat()
        is_own = record is not None and run_dir.owner_of(Path(record["run_dir"])) == (found.st_dev, found.st_ino)
    except OSError:
        return None
    return record if is_own and record is not None and _is_alive(record["pid"]) else None


def _record(path: Path) -> dict[str, Any] | None:
    """What `publish` has written, None for anything else."""
    try:
        found = _decode((path / RECORD_NAME).read_bytes())
    except OSError:
        return None
    kinds = {"pid": int, "run_dir": str, "control": str}
    if not isinstance(found, dict) or any(type(found.get(name)) is not kind for name, kind in kinds.items()):
        return None
    return found if 0 < found["pid"] < 1 << 31 and found["run_dir"].startswith("/") else None


def _decode(data: bytes) -> Any:
    """The value of a file that may hold anything; None for what is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _make_private(path: Path) -> None:
    """Create path as 0700, or warn as etcd does if an existing one is open to others."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True)
        return
    mode = path.stat().st_mode
    if stat.S_IMODE(mode) & 0o077:
        log.warn(
            "check file permission",
            error=f'directory "{path}" exist, but the permission is "{stat.filemode(mode)}". The recommended '
            'permission is "-rwx------" to prevent possible unprivileged access to the data',
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(13, "not writable", str(path))


def _lock(path: Path, lock_fd: int) -> None:
    """Take the lock. Waits only for processes of a member that is already dead. raises DataDirError: a member lives"""
    give_up_at = time.monotonic() + DYING_S
    while True:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pid = _read_lock(lock_fd).get("pid", 0)
            if _is_alive(pid) or time.monotonic() > give_up_at:
                holder = f"process {pid}" if pid else "another process"
                raise DataDirError(f"data directory {path} is in use by {holder}") from None
            time.sleep(0.01)


def _read_lock(lock_fd: int) -> dict[str, int]:
    """What is a number in the lock's file; what is none was not written by a member, and says nothing."""
    value = _decode(os.pread(lock_fd, 4096, 0))
    known = value.items() if isinstance(value, dict) else ()
    return {name: number for name, number in known if type(number) is int and 0 <= number < 1 << 62}


def _next_incarnation(lock_fd: int) -> int:
    """A number above all incarnations of earlier lives, remembered in the lock's file with our pid."""
    previous = _read_lock(lock_fd).get("incarnation", 0)
    first = (int(time.time()) - EPOCH_S) << 12
    if first <= previous:
        first = previous + SKIP
    record = json.dumps({"pid": os.getpid(), "incarnation": first}).encode() + b"\n"
    os.pwrite(lock_fd, record, 0)
    os.ftruncate(lock_fd, len(record))
    return first


def _remove_stale_run_dir(path: Path, lock_fd: int) -> None:
    """Of a member that was killed, and its record. Requires: the lock is held"""
    record = _record(path)
    if record is not None:
        stale = Path(record["run_dir"])
        with suppress(OSError, ValueError):  # a name that no file can have
            if stale.exists() and not run_dir.remove_stale(stale, lock_fd):
                log.warn("a run directory that is not this data directory's own is left alone", path=str(stale))
    (path / RECORD_NAME).unlink(missing_ok=True)


def _make_run_dir(path: Path, lock_fd: int) -> RunDir:
    try:
        return run_dir.make(path, lock_fd)
    except OSError as error:
        places = "XDG_RUNTIME_DIR, TMPDIR, /tmp and the data directory"
        raise DataDirError(f"no directory for sockets can be made in any of {places}: {error}") from error


def _is_alive(pid: int) -> bool:
    """A zombie counts as dead: it holds nothing and answers nothing."""
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
