"""The checker of registers finds what is not linearizable, and lets pass what is."""

import random
from collections.abc import Callable

import pytest

from tests.clusters.registers import CAS, READ, WRITE, Operation, find_violation

NEVER = float("inf")


def write(began_s: float, ended_s: float, value: int) -> Operation:
    return Operation(0, WRITE, began_s, ended_s, writes=value)


def read(began_s: float, ended_s: float, saw: int | None) -> Operation:
    return Operation(0, READ, began_s, ended_s, saw=saw)


def cas(began_s: float, ended_s: float, expects: int | None, value: int, saw: int | None = None) -> Operation:
    """saw given: it failed"""
    return Operation(0, CAS, began_s, ended_s, expects=expects, writes=value, saw=saw, done=saw is None)


LINEARIZABLE = {
    "one after the other": [write(0, 1, 1), read(2, 3, 1), write(4, 5, 2), read(6, 7, 2)],
    "a read beside a write sees either": [write(0, 1, 1), write(2, 9, 2), read(3, 4, 1), read(5, 6, 2), read(7, 8, 2)],
    "a write without an answer takes effect later": [write(0, 1, 1), write(2, NEVER, 2), read(3, 4, 1), read(8, 9, 2)],
    "or never": [write(0, 1, 1), write(2, NEVER, 2), read(3, 4, 1), read(8, 9, 1)],
    "one of two cas fails": [write(0, 1, 1), cas(2, 5, 1, 2), cas(2, 5, 1, 3, saw=2), read(6, 7, 2)],
    "a cas without an answer": [write(0, 1, 1), cas(2, NEVER, 1, 2), cas(3, 4, 2, 3), read(5, 6, 3)],
    "keys know nothing of each other": [write(0, 1, 1), read(2, 3, None)._replace(key=1)],
}
NOT_LINEARIZABLE = {
    "a stale read": [write(0, 1, 1), write(2, 3, 2), read(4, 5, 1)],
    "a lost write": [write(0, 1, 1), read(2, 3, None)],
    "reads that go back": [write(0, 1, 1), write(2, 9, 2), read(3, 4, 2), read(5, 6, 1)],
    "what nobody wrote": [write(0, 1, 1), read(2, 3, 7)],
    "from the future": [read(0, 1, 1), write(2, 3, 1)],
    "two cas of one value": [write(0, 1, 1), cas(2, 5, 1, 2), cas(2, 5, 1, 3)],
    "a write that is done twice": [write(0, 1, 1), write(2, 3, 2), read(4, 5, 2), read(6, 7, 1)],
    "a cas that failed though it was equal": [write(0, 1, 1), cas(2, 3, 1, 2, saw=1)],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_lets_pass(name: str) -> None:
    assert find_violation(LINEARIZABLE[name]) is None


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_finds(name: str) -> None:
    assert find_violation(NOT_LINEARIZABLE[name]) is not None


def simulate(rng: random.Random, operations: int, clients: int) -> list[Operation]:
    """What clients of one true register are told: each operation takes effect at a moment between begin and end."""
    effects = []
    for client in range(clients):
        now = rng.random()
        for number in range(operations // clients):
            effect = now + rng.random()
            end = effect + rng.random()
            effects.append((effect, now, end, 1 + client + clients * number, rng.choice((READ, WRITE, CAS))))
            now = end + 0.1 * rng.random()
    value: int | None = None
    seen: list[int | None] = [None]
    history = []
    for _, began_s, ended_s, new, kind in sorted(effects):
        is_known = rng.random() > 0.05
        expects = rng.choice(seen[-3:])
        done = kind != CAS or value == expects
        saw = value if kind == READ or (kind == CAS and not done) else None
        history.append(
            Operation(0, kind, began_s, ended_s if is_known else NEVER, expects if kind == CAS else None,
                      new if kind != READ else None, saw, done)
        )  # fmt: skip
        if kind == WRITE or (kind == CAS and done):
            value = new
            seen.append(new)
    return history


def stale(rng: random.Random, history: list[Operation]) -> list[Operation]:
    """One read that began after two later writes had ended sees the value before them."""
    writes = sorted((o for o in history if o.kind == WRITE and o.ended_s != NEVER), key=lambda o: o.ended_s)
    old = writes[rng.randrange(len(writes) // 2)]
    last = max(o.ended_s for o in history if o.ended_s != NEVER)
    return [*history, Operation(0, READ, last + 1, last + 2, saw=old.writes)]


@pytest.mark.parametrize(("change", "is_wrong"), [(lambda rng, history: history, False), (stale, True)])
def test_many_operations_of_a_true_register(
    change: Callable[[random.Random, list[Operation]], list[Operation]], is_wrong: bool
) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        history = change(rng, simulate(rng, 300, 6))
        assert (find_violation(history) is not None) == is_wrong, seed
