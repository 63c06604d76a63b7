"""The grammar of conversation files."""

import pytest

from tests.raft.datadriven import Argument, ConversationError, Directive, parse, parse_directive, play


def directives(text: str) -> list[Directive]:
    return [item for item in parse(text) if isinstance(item, Directive)]


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("cmd", ()),
        ("cmd a b", (Argument("a"), Argument("b"))),
        ("cmd a=1", (Argument("a", ("1",)),)),
        ("cmd a=", (Argument("a", ("",)),)),
        ("cmd a= b", (Argument("a", ("",)), Argument("b"))),
        ("cmd a=(1,2,  3)", (Argument("a", ("1", "2", "3")),)),
        ("cmd a=(f(1, 2), 3) b", (Argument("a", ("f(1, 2)", "3")), Argument("b"))),
        ("cmd a=()", (Argument("a", ("",)),)),
        ("  cmd   a   b=c  ", (Argument("a"), Argument("b", ("c",)))),
    ],
)
def test_argument_forms(line: str, arguments: tuple[Argument, ...]) -> None:
    assert parse_directive(line) == ("cmd", arguments)


@pytest.mark.parametrize("line", ["cmd a=(1", "cmd =1"])
def test_what_is_no_argument_is_refused(line: str) -> None:
    with pytest.raises(ConversationError):
        parse_directive(line)


def test_a_backslash_continues_the_directive() -> None:
    [directive] = directives("cmd a=1 \\\n  b=2 \\\n c\n----\nok\n")
    assert [argument.key for argument in directive.arguments] == ["a", "b", "c"]
    assert directive.expected == "ok\n"


def test_input_is_what_stands_before_the_separator() -> None:
    [directive] = directives("cmd\n  v1 l2\nr3\n----\nok\n")
    assert directive.input == "v1 l2\nr3"


def test_expected_text_ends_at_a_blank_line() -> None:
    first, second = directives("a\n----\none\ntwo\n  \nb\n----\nthree")
    assert (first.expected, second.expected) == ("one\ntwo\n", "three\n")


def test_a_double_separator_lets_blank_lines_through() -> None:
    first, second = directives("a\n----\n----\none\n\n----\ntwo\n----\n----\n\nb\n----\n")
    assert (first.expected, second.expected) == ("one\n\n----\ntwo\n", "")


def test_a_directive_without_separator_expects_nothing() -> None:
    [directive] = directives("a\nsome input\n")
    assert (directive.input, directive.expected) == ("some input", "")


def test_comments_and_subtests_say_nothing() -> None:
    assert directives("# a comment\n\nsubtest x\n\n  # another\n") == []


def test_answers_get_their_last_newline_and_empty_ones_stay_empty() -> None:
    answers = {"a": "one", "b": "", "c": "two\n"}
    played = play("a\n----\none\n\nb\n----\n\nc\n----\ntwo\n", lambda d: answers[d.command])
    assert played.passed


def test_the_first_exception_ends_the_conversation() -> None:
    said: list[str] = []

    def handle(d: Directive) -> str:
        said.append(d.command)
        raise ValueError("boom")

    played = play("a\n----\n\nb\n----\n", handle)
    assert not played.passed
    assert said == ["a"]
