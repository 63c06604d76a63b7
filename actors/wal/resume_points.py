"""The wal's resume point: a file in the run directory, which lives as long as the member."""

from contextlib import suppress
from pathlib import Path

from etcdz.wal.resume_point import ResumePoint, decode_resume_point, encode_resume_point

NAME = "wal.resume"


def save(run_dir: str, mark: ResumePoint) -> None:
    """Whole or not at all. Without one a successor reads the whole log: slow, but nothing is wrong with it.

    run_dir    "": nowhere
    """
    if not run_dir:
        return
    path = Path(run_dir) / NAME
    temporary = path.with_suffix(".tmp")
    with suppress(OSError):
        temporary.write_bytes(encode_resume_point(mark))
        temporary.replace(path)


def load(run_dir: str) -> ResumePoint | None:
    """What a predecessor saved; None if there is nothing, or nothing that can be read."""
    try:
        if not run_dir:
            return None
        return decode_resume_point((Path(run_dir) / NAME).read_bytes())
    except OSError:
        return None
