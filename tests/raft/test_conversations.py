"""The reference's own conversations, which pin behaviour to the byte, log lines included."""

from pathlib import Path

import pytest

from tests.raft.conversation import difference, find, main, play_file

REFERENCE = find([Path(__file__).parent / "reference"])
OWN = find([Path(__file__).parent / "testdata"])


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", REFERENCE, ids=_name)
def test_the_references_conversation_is_answered_to_the_byte(path: Path) -> None:
    played = play_file(path)
    assert played.passed, difference(path, played)


@pytest.mark.parametrize("path", OWN, ids=_name)
def test_own_conversation_is_answered_to_the_byte(path: Path) -> None:
    played = play_file(path)
    assert played.passed, difference(path, played)


def test_a_wrong_answer_fails_with_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "right.txt").write_text("vote cfg=(1) votes=(y)\n----\nVoteWon\n")
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("# why\nvote cfg=(1) votes=(y)\n----\nVoteLost\n")
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert f"ok     {tmp_path / 'right.txt'}" in said
    assert f"FAILED {wrong}" in said
    assert "-VoteLost\n+VoteWon\n" in said
    assert said.endswith("1 of 2 conversations passed\n")


def test_rewrite_makes_a_wrong_conversation_right(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("# why\nvote cfg=(1) votes=(y)\n----\nVoteLost\n")
    assert main(["--rewrite", str(path)]) == 1
    assert main([str(path)]) == 0
    assert path.read_text() == "# why\nvote cfg=(1) votes=(y)\n----\nVoteWon\n\n"


def test_no_conversation_at_all_is_not_a_success(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2


def test_an_exception_of_the_core_fails_the_file_and_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "broken.txt"
    path.write_text("campaign 1\n----\nok\n\nadd-nodes 1\n----\nok\n")
    played = play_file(path)
    assert not played.passed
    assert "no node 1" in played.actual
