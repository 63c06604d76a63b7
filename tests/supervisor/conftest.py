"""Members of three fake actors."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.harness import FakeMember

ROWS: list[dict[str, Any]] = [
    {"name": "store", "stage": 1},
    {"name": "log", "stage": 2},
    {"name": "server", "stage": 3},
]
NAMES = ("store", "log", "server")

Start = Callable[..., FakeMember]


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="run-") as path:
        yield Path(path)


@pytest.fixture
def start(tmp_path: Path, runtime_dir: Path) -> Iterator[Start]:
    """Starts members in the same data directory; fields change the rows of the same name."""
    members: list[FakeMember] = []

    def make(**fields: dict[str, Any]) -> FakeMember:
        specs = [{**spec, **fields.get(str(spec["name"]), {})} for spec in ROWS]
        members.append(FakeMember(tmp_path / "data", runtime_dir, specs))
        return members[-1]

    yield make
    for member in members:
        member.close()
