"""Conversations written down: edges of etcd's rules, and what random ones have found. See calls.py for the format."""

from pathlib import Path

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.parity.calls import Call, parse_call, read_case
from tests.parity.pair import Difference, Pair

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(pair: Pair, path: Path) -> None:
    pair.converse(read_case(path))


def test_every_call_is_read_back_as_it_was_written() -> None:
    calls = [call for path in CASES for call in read_case(path)]
    assert len(calls) > 50
    assert [parse_call(repr(call)) for call in calls] == calls


def test_revisions_of_a_case_count_from_its_start(pair: Pair) -> None:
    """The same lines give the same answers whatever happened before."""
    lines = ['Put key: "a"', 'Put key: "a" value: "2"', 'Range key: "a" revision: 2']
    calls = [parse_call(line) for line in lines]
    for _ in range(2):
        base = pair.begin_conversation()
        answers = [pair.compare(call, base, []) for call in calls]
        found = answers[-1].message.kvs[0]
        assert (found.mod_revision - base, found.value) == (1, b"")


def test_an_unknown_method_names_the_line() -> None:
    with pytest.raises(ValueError, match="Putt"):
        parse_call('Putt key: "a"')


def test_restart_and_kill_are_calls_too() -> None:
    assert [parse_call("RESTART"), parse_call(" KILL\n")] == [Call("RESTART"), Call("KILL")]


def test_a_difference_is_told_and_does_not_spoil_what_follows(pair: Pair) -> None:
    base = pair.begin_conversation()
    pair.compare(parse_call('Put key: "a"'), base, [])
    pair.sides[1].must("Put", pb.PutRequest(key=b"behind the back"))
    with pytest.raises(Difference) as told:
        pair.compare(parse_call('Range key: "a" revision: 2'), base, [parse_call('Put key: "a"')])
    assert 'Put key: "a"\nRange key: "a" revision: 2' in str(told.value)
    pair.converse([parse_call('Put key: "b" prev_kv: true')])
