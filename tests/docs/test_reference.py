"""docs/reference is what the code has now."""

import pytest

from etcdz.cli.ctl.tree import ROOT
from etcdz.cli.main import COMMANDS
from etcdz.config.flags import SETTINGS
from tests.docs.reference import FOLDER, pages, ways

MADE = pages()


@pytest.mark.parametrize("name", MADE)
def test_a_page_is_as_the_code_has_it(name: str) -> None:
    """If not: `python -m tests.docs.reference --rewrite`, and read the difference."""
    assert (FOLDER / name).read_text() == MADE[name]


def test_there_are_no_other_pages() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(MADE)


def test_every_setting_and_every_command_has_its_place() -> None:
    assert [name for name in SETTINGS if f"| `--{name}` |" not in MADE["etcdz.md"]] == []
    found = ways(ROOT)
    assert len(found) > 40
    assert [way for way in found if f"\n## {' '.join(way)}\n" not in MADE["etcdzctl.md"]] == []


def test_every_first_word_of_etcdz_has_a_page() -> None:
    assert [word for word in COMMANDS if f"etcdz-{word}.md" not in MADE] == []


def test_the_pages_do_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert pages() == MADE
