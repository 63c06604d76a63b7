"""What the documents name must exist: a newcomer who follows them ends up at a file."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("config/*.md")])
_PATH = re.compile(r"`((?:actors|supervisor|etcdz|tests|docs|config)/[\w./-]*)`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    named = {ROOT / path for path in _PATH.findall(text)} | {page.parent / path for path in _LINK.findall(text)}
    assert [str(path) for path in sorted(named) if not path.exists()] == []


def test_the_architecture_names_every_folder_of_an_actor() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    folders = [path.name for path in (ROOT / "actors").iterdir() if (path / "__init__.py").exists()]
    assert [name for name in folders if f"actors/{name}/" not in text] == []
