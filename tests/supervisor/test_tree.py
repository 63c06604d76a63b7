"""The table is checked field by field before anything starts."""

from typing import Any

import pytest

from supervisor.restart import Intensity
from supervisor.tree import TREE, ChildSpec, TreeError, check, names, tree_for


def test_the_members_own_table_is_sound_and_starts_from_the_disk_to_the_clients() -> None:
    specs = tree_for({"listeners": 3})
    order = [spec.name for spec in sorted(specs, key=lambda spec: spec.stage)]
    assert order == ["backend", "wal", "peer", "raft", "lessor", "compactor", "listener"]
    assert [name for spec in specs for name in names(spec)][-3:] == ["listener-1", "listener-2", "listener-3"]


def test_a_single_listener_has_the_name_that_it_keeps_when_scaled() -> None:
    assert names(tree_for({"listeners": 1})[-1]) == ["listener-1"]


GOOD: dict[str, Any] = {"name": "a", "kind": "actors.a", "stage": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "../a"}, "name"),
        ({"name": "supervisor"}, "reserved"),
        ({"kind": "actors..a"}, "kind"),
        ({"kind": "actors/a"}, "kind"),
        ({"count": 0, "numbered": True}, "count"),
        ({"count": 2}, "count"),
        ({"restart": "sometimes"}, "restart"),
        ({"nice": 20}, "nice"),
        ({"start_s": 0.0}, "start_s"),
        ({"stop_s": -1.0}, "stop_s"),
        ({"hang_s": 0.0}, "hang_s"),
        ({"hang_s": 1.0}, "hang_s.*heartbeats"),
        ({"count": 15, "numbered": True}, "count=15 is more than 14"),
        ({"strategy": "one"}, "strategy"),
        ({"significant": True}, "significant"),
        ({"intensity": Intensity(-1, 1.0)}, "intensity"),
        ({"intensity": Intensity(100, 1.0)}, "intensity"),
    ],
)
def test_a_bad_field_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    check((ChildSpec(**GOOD),))
    with pytest.raises(TreeError, match=message):
        check((ChildSpec(**{**GOOD, **fields}),))


def test_names_are_unique() -> None:
    with pytest.raises(TreeError, match="taken"):
        check((ChildSpec(**GOOD), ChildSpec(**GOOD)))
    with pytest.raises(TreeError, match="a-1"):
        check((ChildSpec(**{**GOOD, "numbered": True}), ChildSpec(**{**GOOD, "name": "a-1"})))


def test_an_empty_tree_is_refused() -> None:
    with pytest.raises(TreeError):
        check(())


def test_the_table_names_modules_below_actors() -> None:
    assert all(spec.kind.startswith("actors.") for spec in TREE)
