"""Which changes of the types that travel between processes an upgrade of a running member may bring."""

from typing import Any, NamedTuple

import msgpack
import pytest

from etcdz.ipc import compatibility
from etcdz.ipc.compatibility import Protocol


def of(*fields: tuple[Any, ...], name: str = "Move", tag: int = 1) -> Protocol:
    """The protocol of a version with one message; a third element of a field is its default."""
    kind: Any = NamedTuple(name, [(field, type_) for field, type_, *_ in fields])
    defaults = [field[2] for field in fields if len(field) == 3]
    kind.__new__.__defaults__ = tuple(defaults)
    kind._field_defaults = {field[0]: field[2] for field in fields if len(field) == 3}
    return compatibility.describe(compatibility.message_places({tag: kind}))


BEFORE = of(("x", int), ("y", int), ("z", int, 0))
MORE = of(("x", int), ("y", int), ("z", int, 0), ("w", str, ""))
OTHER = of(("x", int), ("y", int), ("z", int, 0), ("v", str, ""))


def test_a_protocol_is_described_by_names_types_and_defaults() -> None:
    assert BEFORE == {"message 1": ("Move", [("x", "int", False), ("y", "int", False), ("z", "int", True)])}
    assert compatibility.received(msgpack.unpackb(msgpack.packb(BEFORE))) == BEFORE


@pytest.mark.parametrize("candidate", [BEFORE, MORE, {**BEFORE, **of(("a", int), name="Halt", tag=2)}])
def test_a_field_with_a_default_at_the_end_may_be_added_and_so_may_a_type(candidate: Protocol) -> None:
    assert compatibility.objection(candidate, BEFORE) == ""


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (of(("x", int), ("y", int)), "Move: the field z was removed"),
        (
            of(
                ("x", int),
            ),
            "Move: the field y was removed",
        ),
        (of(("x", int), ("z", int)), "Move: the field y was renamed, moved or removed: z has its place"),
        (of(("y", int), ("x", int), ("z", int, 0)), "Move: the field x was renamed, moved or removed: y has its place"),
        (of(("x", int), ("y", str), ("z", int, 0)), "Move: the field y was int and is str"),
        (
            of(("x", int), ("y", list[tuple[int, int]]), ("z", int, 0)),
            "Move: the field y was int and is list[tuple[int, int]]",
        ),
        (of(("x", int), ("y", int), ("z", int), ("w", int)), "Move: the field w was added without a default"),
        (of(("x", int), name="Halt"), "Move (message 1) has become Halt"),
        (of(("x", int), ("y", int), ("z", int, 0), tag=2), "Move (message 1) was removed"),
        ({}, "Move (message 1) was removed"),
    ],
)
def test_anything_else_is_refused_with_the_reason(candidate: Protocol, why: str) -> None:
    assert compatibility.objection(candidate, BEFORE) == why


def test_an_upgrade_can_be_taken_back_but_not_below_the_supervisors_own_version() -> None:
    assert compatibility.objection(BEFORE, BEFORE, [MORE]) == ""
    assert compatibility.objection(BEFORE, MORE) == "Move: the field w was removed"
    halt = of(("a", int), name="Halt", tag=2)
    assert compatibility.objection(BEFORE, BEFORE, [{**BEFORE, **halt}]) == ""
    assert compatibility.objection(BEFORE, {**BEFORE, **halt}) == "Halt (message 2) was removed"


def test_an_upgrade_must_fit_every_version_whose_actors_may_live() -> None:
    assert compatibility.objection(OTHER, BEFORE) == ""
    why = "Move: the field w was renamed, moved or removed: v has its place"
    assert compatibility.objection(OTHER, BEFORE, [MORE]) == why
    reused = {**BEFORE, **of(("a", int), name="Turn", tag=2)}
    assert compatibility.objection(reused, BEFORE, [{**BEFORE, **of(("a", int), name="Halt", tag=2)}]) == (
        "Halt (message 2) has become Turn"
    )
