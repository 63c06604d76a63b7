"""Changes of the configuration as functions. Raft thesis 4.1, 4.2.1, 4.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.raft import ConfChangeError, ConfChangeSingle, ConfState
from etcdz.raft.confchange import check_invariants, enter_joint, leave_joint, restore, simple
from etcdz.raft.describe import describe_changes, describe_config, parse_changes
from etcdz.raft.tracker import TrackedConfig, Tracker
from tests.raft.twins import RANDOMLY

CHANGE = st.builds(ConfChangeSingle, st.integers(0, 3), st.integers(0, 6))
VOTERS = st.sets(st.integers(1, 6), min_size=1)


def tracker_of(state: ConfState) -> Tracker:
    tracker = Tracker(10)
    tracker.switch_to(*restore(tracker, 10, state))
    return tracker


def joint(tracker: Tracker, changes: list[ConfChangeSingle], auto_leave: bool = False) -> Tracker:
    twin = Tracker(10)
    twin.switch_to(*enter_joint(tracker, 10, auto_leave, changes))
    return twin


@RANDOMLY
@given(VOTERS, st.lists(CHANGE, max_size=6))
def test_one_change_at_a_time_and_all_at_once_jointly_end_alike(
    voters: set[int], changes: list[ConfChangeSingle]
) -> None:
    """Thesis 4.3: joint consensus is another way to where single changes lead."""
    one_by_one = tracker_of(ConfState(tuple(sorted(voters))))
    at_once = tracker_of(ConfState(tuple(sorted(voters))))
    try:
        for change in changes:
            one_by_one.switch_to(*simple(one_by_one, 10, [change]))
    except ConfChangeError:
        return  # all voters were gone at some point
    at_once = joint(at_once, changes)
    at_once.switch_to(*leave_joint(at_once))
    assert at_once.config == one_by_one.config
    assert at_once.progress.keys() == one_by_one.progress.keys()
    learners = {node for node, progress in at_once.progress.items() if progress.is_learner}
    assert learners == at_once.config.learners


@RANDOMLY
@given(VOTERS, st.lists(CHANGE, max_size=6), st.booleans())
def test_a_restored_configuration_is_the_one_that_was_saved(
    voters: set[int], changes: list[ConfChangeSingle], auto_leave: bool
) -> None:
    try:
        before = joint(tracker_of(ConfState(tuple(voters))), changes, auto_leave)
    except ConfChangeError:
        return
    after = tracker_of(before.config.conf_state())
    assert after.config == before.config
    assert after.progress.keys() == before.progress.keys()


@RANDOMLY
@given(VOTERS, st.lists(CHANGE, max_size=8))
def test_a_refused_change_leaves_no_trace(voters: set[int], changes: list[ConfChangeSingle]) -> None:
    tracker = tracker_of(ConfState(tuple(voters)))
    config, progress = tracker.config, dict(tracker.progress)
    learners = {node: one.is_learner for node, one in progress.items()}
    try:
        simple(tracker, 10, changes)
    except ConfChangeError:
        pass
    assert (tracker.config, tracker.progress) == (config, progress)
    assert {node: one.is_learner for node, one in tracker.progress.items()} == learners


def test_simple_changes_move_one_voter_at_most() -> None:
    """Thesis 4.1: majorities of neighbouring configurations overlap."""
    tracker = tracker_of(ConfState((1, 2, 3)))
    with pytest.raises(ConfChangeError, match="more than one voter changed"):
        simple(tracker, 10, parse_changes("v4 r1"))
    assert simple(tracker, 10, parse_changes("v4 l5 l6"))[0].voters == {1, 2, 3, 4}


def test_a_demoted_voter_becomes_learner_only_when_the_old_majority_is_left() -> None:
    tracker = joint(tracker_of(ConfState((1, 2, 3))), list(parse_changes("l3")))
    assert describe_config(tracker.config) == "voters=(1 2)&&(1 2 3) learners_next=(3)"
    assert not tracker.progress[3].is_learner
    tracker.switch_to(*leave_joint(tracker))
    assert describe_config(tracker.config) == "voters=(1 2) learners=(3)"
    assert tracker.progress[3].is_learner


def test_a_new_member_counts_as_active() -> None:
    """Thesis 6.2: or a check of the quorum would depose the leader that added it."""
    _, progress = simple(tracker_of(ConfState((1,))), 42, parse_changes("v2"))
    assert (progress[2].recent_active, progress[2].match, progress[2].next) == (True, 0, 42)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (TrackedConfig(frozenset({9})), "no progress for 9"),
        (TrackedConfig(frozenset({1}), learners_next=frozenset({2})), "2 is in LearnersNext, but not Voters[1]"),
        (TrackedConfig(frozenset({1}), learners=frozenset({1})), "1 is in Learners and Voters[0]"),
        (TrackedConfig(frozenset({2}), frozenset({1}), frozenset({1})), "1 is in Learners and Voters[1]"),
        (TrackedConfig(frozenset({1}), learners=frozenset({2})), "2 is in Learners, but is not marked as learner"),
        (TrackedConfig(frozenset({1}), auto_leave=True), "AutoLeave must be false when not joint"),
    ],
)
def test_what_no_change_may_lead_to_is_recognised(config: TrackedConfig, text: str) -> None:
    progress = tracker_of(ConfState((1, 2))).progress
    with pytest.raises(ConfChangeError) as caught:
        check_invariants(config, progress)
    assert str(caught.value) == text


def test_a_change_of_a_kind_that_we_do_not_know_is_refused() -> None:
    with pytest.raises(ConfChangeError, match="unexpected conf type 7"):
        simple(tracker_of(ConfState((1,))), 10, [ConfChangeSingle(7, 2)])


def test_changes_as_text() -> None:
    assert describe_changes(parse_changes("v1 l2 r3 u4")) == "v1 l2 r3 u4"
    assert parse_changes(" ") == ()
    for text in ("x1", "v", "vx", "v1  v2"):
        with pytest.raises(ValueError):
            parse_changes(text)
