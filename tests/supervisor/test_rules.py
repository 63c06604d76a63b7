"""--actor-rules: what it changes in the tree's table, and what it refuses."""

from typing import Any

import pytest

from supervisor.restart import Intensity, Restart, Strategy
from supervisor.rules import RULES, applied
from supervisor.tree import TREE, ChildSpec, TreeError, check

CASES: list[tuple[str, str, Any]] = [
    ("restart=transient", "restart", Restart.TRANSIENT),
    ("strategy=rest_for_one", "strategy", Strategy.REST_FOR_ONE),
    ("intensity=3/10s", "intensity", Intensity(3, 10.0)),
    ("start=2m", "start_s", 120.0),
    ("stop=1s500ms", "stop_s", 1.5),
    ("hang=3s", "hang_s", 3.0),
    ("busy=1h", "busy_s", 3600.0),
    ("halt=250ms", "halt_s", 0.25),
    ("max-rss=2GiB", "max_rss_bytes", 2 << 30),
    ("max-rss=300M", "max_rss_bytes", 300 << 20),
    ("max-rss=1024", "max_rss_bytes", 1024),
    ("max-age=24h", "max_age_s", 86_400.0),
    ("memory-max=512KiB", "memory_max_bytes", 512 << 10),
    ("cpus=0-2+5", "cpus", (0, 1, 2, 5)),
    ("nice=-5", "nice", -5),
]


def spec(specs: tuple[ChildSpec, ...], name: str) -> ChildSpec:
    return next(found for found in specs if found.name == name)


@pytest.mark.parametrize(("rule", "field", "value"), CASES)
def test_a_rule_changes_its_field_of_its_row_and_nothing_else(rule: str, field: str, value: Any) -> None:
    specs = applied(f"wal:{rule}", TREE)
    assert getattr(spec(specs, "wal"), field) == value
    assert [found for found in specs if found.name != "wal"] == [found for found in TREE if found.name != "wal"]
    changed = {
        name for name in ChildSpec.__slots__ if getattr(spec(specs, "wal"), name) != getattr(spec(TREE, "wal"), name)
    }
    assert changed == {field}


def test_every_rule_has_a_case() -> None:
    assert {rule.partition("=")[0] for rule, _, _ in CASES} == set(RULES)


def test_rows_and_rules_may_be_many_and_repeated_the_last_one_counts() -> None:
    specs = applied(" backend:max-rss=2GiB, nice=-5 ; listener:max-age=24h;backend:nice=3;", TREE)
    assert (spec(specs, "backend").max_rss_bytes, spec(specs, "backend").nice) == (2 << 30, 3)
    assert spec(specs, "listener").max_age_s == 86_400.0


def test_no_rules_change_nothing() -> None:
    assert applied("", TREE) == TREE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("walrus:nice=1", "no actors are called 'walrus'; there are backend, wal, peer, raft"),
        ("listener-1:nice=1", "no actors are called 'listener-1'"),
        ("nice=1", "no actors are called 'nice=1'"),
        ("wal", "wal has no rule ''"),
        ("wal:niceness=1", "wal has no rule 'niceness'; there are restart, strategy"),
        ("wal:nice", "nice cannot be ''"),
        ("wal:nice=much", "nice cannot be 'much'"),
        ("wal:restart=always", "restart cannot be 'always'"),
        ("wal:hang=10", "hang cannot be '10'"),
        ("wal:max-rss=2GB", "max-rss cannot be '2GB'"),
        ("wal:max-rss=", "max-rss cannot be ''"),
        ("wal:cpus=a-b", "cpus cannot be 'a-b'"),
        ("wal:intensity=10", "intensity cannot be '10'"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_would_be_one(text: str, message: str) -> None:
    with pytest.raises(TreeError) as refused:
        applied(text, TREE)
    assert message in str(refused.value)


@pytest.mark.parametrize("rule", ["nice=20", "hang=0s", "max-age=-1s", "intensity=100/1s", "memory-max=0"])
def test_values_that_a_row_may_not_have_are_found_by_the_check(rule: str) -> None:
    with pytest.raises(TreeError):
        check(applied(f"wal:{rule}", TREE))
