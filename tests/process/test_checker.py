"""The checker itself: a right store passes, and each way of being wrong is found."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from tests.process import model
from tests.process.checker import CheckFailed, Contents, Stored, check
from tests.process.load import COUNT, DROP, GET, PAIR, PUT, Op, Record, counter_key

Keys = dict[bytes, Stored]


def op_of(kind: str, name: bytes, at: float, revision: int, victim: bytes = b"", applied: bool = True) -> Op:
    keys = (name + b"/a", name + b"/b") if kind == PAIR else (name,)
    op = Op(kind, keys)
    op.sent_s, op.ended_s, op.revision, op.victim, op.applied = at, at + 0.5, revision, victim, applied
    op.sizes = () if kind in (COUNT, GET) else tuple(7 for _ in keys)
    return op


def failed(op: Op, code: grpc.StatusCode) -> Op:
    op.revision, op.code = 0, code
    return op


def new(revision: int, number: tuple[int, int] | None = None, version: int = 1) -> Stored:
    return Stored(revision if version == 1 else 2, revision, version, True, number)


def right() -> tuple[Record, Contents]:
    """put at 2, pair at 3, count at 4 and 6, the put dropped at 5; one pair unknown and done at 7, one not done."""
    record = Record()
    record.ops = [
        op_of(PUT, b"put/1", 1, 2),
        op_of(PAIR, b"pair/1", 2, 3),
        op_of(COUNT, b"count/1", 3, 4),
        op_of(DROP, b"drop/1", 4, 5, victim=b"put/1"),
        op_of(COUNT, b"count/2", 5, 5, applied=False),
        op_of(COUNT, b"count/3", 6, 6),
        failed(op_of(PAIR, b"pair/2", 7, 0), grpc.StatusCode.UNAVAILABLE),
        failed(op_of(PAIR, b"pair/3", 7, 0), grpc.StatusCode.UNAVAILABLE),
        failed(op_of(PUT, b"put/2", 8, 0), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ]
    keys = {
        b"pair/1/a": new(3),
        b"pair/1/b": new(3),
        b"count/1": new(4, (0, 1)),
        b"drop/1": new(5),
        b"count/3": new(6, (0, 2)),
        b"pair/2/a": new(7),
        b"pair/2/b": new(7),
        counter_key(0): Stored(4, 6, 2, True, (0, 2)),
    }
    return record, Contents(7, 2, 9, 9, keys, {1: 0, 4: 5, 5: 5, 7: 8}, None)


def test_a_right_store_passes() -> None:
    summary = check(*right())
    assert (summary.acknowledged, summary.unknown_done, summary.unknown_not_done, summary.refused) == (6, 1, 1, 1)


def both(keys: Keys, mod: int) -> None:
    keys[b"pair/1/a"] = keys[b"pair/1/b"] = new(mod)


WRONG: dict[str, tuple[Callable[[Keys], object], str]] = {
    "an acknowledged key is lost": (lambda keys: keys.pop(b"pair/1/a"), "acknowledged, and lost"),
    "half of an unknown pair": (lambda keys: keys.pop(b"pair/2/b"), "only half"),
    "a drop without its marker": (lambda keys: keys.pop(b"drop/1"), "acknowledged, and lost"),
    "a drop whose victim is there": (lambda keys: keys.update({b"put/1": new(2)}), "although dropped"),
    "a refused put is there": (lambda keys: keys.update({b"put/2": new(8)}), "should not be"),
    "a count that failed is there": (lambda keys: keys.update({b"count/2": new(8, (0, 3))}), "should not be"),
    "another revision than acknowledged": (lambda keys: both(keys, 8), "stored at revision 8"),
    "two revisions in one transaction": (lambda keys: keys.update({b"pair/2/b": new(8)}), "another revision"),
    "written twice": (lambda keys: keys.update({b"drop/1": new(5, version=2)}), "written 2 times"),
    "a torn value": (lambda keys: keys.update({b"drop/1": new(5)._replace(whole=False)}), "not what was sent"),
    "a hole": (lambda keys: [keys.pop(b"pair/2/a"), keys.pop(b"pair/2/b")], "1 revisions up to 7 belong to no call"),
    "a shared revision": (lambda keys: keys.update({b"pair/3/a": new(7), b"pair/3/b": new(7)}), "as well as"),
    "a stranger": (lambda keys: keys.update({b"what": new(7)}), "nobody wrote"),
    "a lost count": (lambda keys: keys.update({counter_key(0): Stored(4, 4, 1, True, (0, 1))}), "counter 0 is"),
    "a count done twice": (lambda keys: keys.update({b"count/3": new(6, (0, 3))}), "expected 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_store_is_found(name: str) -> None:
    record, contents = right()
    spoil, said = WRONG[name]
    spoil(contents.keys)
    with pytest.raises(CheckFailed, match=said):
        check(record, contents)


def test_an_answer_older_than_what_was_known_is_found() -> None:
    record, contents = right()
    record.ops[1].sent_s = record.ops[1].ended_s = 10
    with pytest.raises(CheckFailed, match="began when revision 6 was known"):
        check(record, contents)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"past_counts": {4: 4}}, "4 keys at revision 4"), ({"term": -1}, "term -1"), ({"applied_index": 5}, "applied 5")],
)
def test_the_past_the_term_and_the_index_are_checked(change: dict[str, Any], said: str) -> None:
    record, contents = right()
    with pytest.raises(CheckFailed, match=said):
        check(record, contents._replace(**change))


def test_a_read_that_does_not_see_what_was_acknowledged_is_found() -> None:
    record, contents = right()
    read = op_of(GET, b"", 9, 6, victim=b"pair/1/a", applied=False)
    read.keys = ()
    record.ops.append(read)
    check(record, contents)
    read.revision = 5
    with pytest.raises(CheckFailed, match="began when revision 6 was known"):
        check(record, contents)
    read.revision, read.wrong = 6, "sees version 2"
    with pytest.raises(CheckFailed, match="sees version 2"):
        check(record, contents)


def test_a_hash_that_is_not_that_of_the_calls_is_found() -> None:
    record, contents = right()
    done = {op.revision: op for op in record.ops if op.revision and op.applied} | {7: record.ops[6]}
    expected = model.hash_kv(done)
    check(record, contents._replace(hash_kv=expected))
    with pytest.raises(CheckFailed, match=f"a model with the same calls {expected}"):
        check(record, contents._replace(hash_kv=expected + 1))
