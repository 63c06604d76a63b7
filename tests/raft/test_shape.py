"""What the core's text must hold: no function longer than a screen, no gap in a table, a test per thesis section."""

import ast
import re
from pathlib import Path

import pytest

import etcdz.raft
from etcdz.raft import candidate, follower, leader
from etcdz.raft.messages import LOCAL_MESSAGES, MESSAGE_NAMES, MSG_STORAGE_APPEND, MSG_STORAGE_APPLY, RESPONSE_MESSAGES
from etcdz.raft.raft import _ANY_ROLE, _STEP

SOURCES = sorted(Path(etcdz.raft.__file__).parent.glob("*.py"))
TESTS = sorted(Path(__file__).parent.glob("test_*.py"))
SCREEN_LINES = 60
# Any section, alone or in a list: "thesis 3.4", "Raft thesis 3.5 (log repair), 5.1 (snapshots)", "chapters 3, 4".
_SECTION = re.compile(r"\b(?:3|4|5|6|9|10)\.\d+(?:\.\d+)?\b")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > SCREEN_LINES} == {}


def cited_sections() -> set[str]:
    """Sections of the thesis in the core's comments and docstrings."""
    lines = [line for path in SOURCES for line in re.split(r"\n\n|\. ", path.read_text()) if "thesis" in line.lower()]
    return {section for line in lines for section in _SECTION.findall(line)}


@pytest.mark.parametrize("section", sorted(cited_sections()))
def test_every_section_that_the_core_follows_has_a_test_named_by_it(section: str) -> None:
    name = re.compile(rf"def test_\w+_thesis_{section.replace('.', '_')}(?:_[a-z]\w*)?\(")
    assert [path.name for path in TESTS if name.search(path.read_text())]


def test_sections_are_found_where_they_are_cited() -> None:
    assert cited_sections() >= {
        "3.3",
        "3.4",
        "3.5",
        "3.6.1",
        "3.6.2",
        "3.8",
        "3.10",
        "4.1",
        "4.3",
        "6.4",
        "6.4.1",
        "9.6",
    }


def test_every_message_from_others_is_handled_by_some_role() -> None:
    handled = set(_ANY_ROLE) | set(follower.STEP) | set(candidate.STEP)
    from_others = set(range(len(MESSAGE_NAMES))) - LOCAL_MESSAGES
    assert from_others - handled - set(RESPONSE_MESSAGES) == set()
    # A leader's table has all types: what comes from a peer is looked up once more, with that peer's progress.
    assert set(leader.STEP) == set(range(len(MESSAGE_NAMES)))
    answers = set(leader._OF_PEER) | set(candidate.STEP) | set(follower.STEP) | set(_ANY_ROLE)
    assert set(RESPONSE_MESSAGES) - answers == set()


def test_work_for_storage_threads_goes_out_only() -> None:
    for table in (_ANY_ROLE, *_STEP.values()):
        handlers = {table.get(MSG_STORAGE_APPEND), table.get(MSG_STORAGE_APPLY)}
        assert handlers <= {None, leader._on_peer_message}
    assert not {MSG_STORAGE_APPEND, MSG_STORAGE_APPLY} & set(leader._OF_PEER)
