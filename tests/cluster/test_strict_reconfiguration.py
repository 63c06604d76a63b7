"""Which changes of the membership are refused before they are proposed. Texts and rules are those of etcd 3.5."""

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.cluster import strict_reconfiguration
from etcdz.cluster.membership import Membership
from etcdz.cluster.strict_reconfiguration import HEALTHY_S, NOT_ENOUGH_STARTED

NOW = 1_000.0
LONG, JUST = NOW - HEALTHY_S - 0.1, NOW - HEALTHY_S + 0.1
ME = 1
NOT_STARTED, UNHEALTHY = NOT_ENOUGH_STARTED, errors.UNHEALTHY


def cluster(voters: int, started: int, learners: int = 0) -> Membership:
    """Ids from 1 on; this member is the first, and has started."""
    rows = [(i, f"m{i}" if i <= started else "", [f"http://m{i}:1"], [], i > voters) for i in range(1, voters + 1)]
    rows += [(100 + i, "l", [f"http://l{i}:1"], [], True) for i in range(learners)]
    return Membership.of_message(ME, 7, rows)


ADDS: list[tuple[str, int, int, dict[int, float], bool, EtcdError | None]] = [
    ("alone", 1, 1, {}, False, None),
    ("alone, and not started", 1, 0, {}, False, NOT_STARTED),
    ("two of which one has started", 2, 1, {2: LONG}, False, NOT_STARTED),
    ("two, connected", 2, 2, {2: LONG}, False, None),
    ("two, connected for too short a time", 2, 2, {2: JUST}, False, UNHEALTHY),
    ("three, one of which is gone", 3, 3, {2: LONG}, False, UNHEALTHY),
    ("three, connected", 3, 3, {2: LONG, 3: LONG}, False, None),
    ("five, one of which is gone", 5, 5, {2: LONG, 3: LONG, 4: LONG}, False, None),
    ("a learner to two of which one has started", 2, 1, {2: LONG}, True, None),
    ("a learner to three, one of which is gone", 3, 3, {2: LONG}, True, UNHEALTHY),
    ("alone, a learner", 1, 1, {}, True, None),
]


@pytest.mark.parametrize(
    ("voters", "started", "active", "is_learner", "error"), [c[1:] for c in ADDS], ids=lambda c: ""
)
def test_an_addition_needs_a_quorum_that_has_started_and_is_connected(
    voters: int, started: int, active: dict[int, float], is_learner: bool, error: EtcdError | None
) -> None:
    assert strict_reconfiguration.check_add(cluster(voters, started), active, is_learner, NOW) == error


REMOVALS: list[tuple[str, int, int, dict[int, float], int, EtcdError | None]] = [
    ("the last", 1, 1, {}, ME, NOT_STARTED),
    ("one of three, all there", 3, 3, {2: LONG, 3: LONG}, 3, None),
    ("one of three that is down", 3, 3, {2: LONG}, 3, None),
    ("one of three that is there, another is down", 3, 3, {2: LONG}, 2, UNHEALTHY),
    ("itself, another is down", 3, 3, {2: LONG}, ME, UNHEALTHY),
    ("itself of three, all there", 3, 3, {2: LONG, 3: LONG}, ME, None),
    ("one of two, the other never started", 2, 1, {}, ME, NOT_STARTED),
    ("one of two that never started", 2, 1, {}, 2, None),
    ("nobody of three", 3, 3, {2: LONG, 3: LONG}, 99, None),
]


@pytest.mark.parametrize(
    ("voters", "started", "active", "id_", "error"), [c[1:] for c in REMOVALS], ids=[c[0] for c in REMOVALS]
)
def test_a_removal_leaves_a_quorum_that_has_started_and_is_connected(
    voters: int, started: int, active: dict[int, float], id_: int, error: EtcdError | None
) -> None:
    assert strict_reconfiguration.check_remove(cluster(voters, started), active, id_, NOW) == error


def test_a_learner_may_always_be_removed() -> None:
    assert strict_reconfiguration.check_remove(cluster(3, 1, learners=1), {}, 100, NOW) is None


def test_a_promotion_counts_the_learner_as_started() -> None:
    assert strict_reconfiguration.check_promote(cluster(1, 1, learners=1)) is None
    assert strict_reconfiguration.check_promote(cluster(3, 1, learners=1)) == NOT_STARTED
    assert strict_reconfiguration.check_promote(cluster(3, 2, learners=1)) is None
