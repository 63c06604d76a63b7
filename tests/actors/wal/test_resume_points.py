"""A file that a wal leaves for its successor: helpful if it is whole, and harmless if it is not."""

from pathlib import Path

from actors.wal import resume_points
from etcdz.wal.record import Marker
from etcdz.wal.resume_point import ResumePoint

POINT = ResumePoint(3, 4096, b"before", 77, b"metadata", b"hard state", 12, 4, Marker(2, 1), [], [])


def test_what_was_saved_last_is_loaded(tmp_path: Path) -> None:
    resume_points.save(str(tmp_path), POINT._replace(offset=8))
    resume_points.save(str(tmp_path), POINT)
    assert resume_points.load(str(tmp_path)) == POINT
    assert [path.name for path in tmp_path.iterdir()] == [resume_points.NAME], "nothing else is left behind"


def test_without_a_file_or_a_directory_there_is_no_point(tmp_path: Path) -> None:
    assert resume_points.load(str(tmp_path)) is None
    assert resume_points.load("") is None
    resume_points.save("", POINT)
    resume_points.save(str(tmp_path / "missing"), POINT)
    assert resume_points.load(str(tmp_path / "missing")) is None


def test_a_torn_file_is_no_point(tmp_path: Path) -> None:
    resume_points.save(str(tmp_path), POINT)
    path = tmp_path / resume_points.NAME
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert resume_points.load(str(tmp_path)) is None
