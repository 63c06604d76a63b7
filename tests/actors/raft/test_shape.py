"""The raft actor's files know one another in one direction, and none writes the fields of another's objects."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.raft import actor

FOLDER = Path(actor.__file__).parent
FILES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "__init__")
PACKAGE = "actors.raft."


def rows() -> dict[str, int]:
    """Row of each file in the picture in the actor's docstring, from the top."""
    picture = (actor.__doc__ or "").partition("test_shape.py):\n")[2].strip("\n").splitlines()
    names = {path.stem for path in FILES}
    return {word: row for row, line in enumerate(picture) for word in line[:51].split() if word in names}


def imports(path: Path) -> set[str]:
    """Files of this folder that a file imports, for types alone as well."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {
        node.module.removeprefix(PACKAGE)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE)
    }


def written(path: Path) -> Iterator[str]:
    """Attributes that are assigned to, but those of self."""
    for node in ast.walk(ast.parse(path.read_text())):
        is_write = isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del))
        if is_write and ast.unparse(node.value) != "self":
            yield ast.unparse(node)


def test_every_file_has_its_place_in_the_picture() -> None:
    assert set(rows()) == {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_a_file_knows_only_those_below_it(path: Path) -> None:
    row = rows()
    assert [name for name in imports(path) if row[name] <= row[path.stem]] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_no_file_writes_fields_of_another(path: Path) -> None:
    assert list(written(path)) == []
