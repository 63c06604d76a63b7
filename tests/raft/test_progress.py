"""What a leader knows of a peer: state transitions, flow control, and who may be active."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.raft.describe import describe_progress
from etcdz.raft.inflights import Inflights
from etcdz.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from etcdz.raft.tracker import TrackedConfig, Tracker
from tests.raft.twins import RANDOMLY


def make(state: int = PROBE, match: int = 3, next: int = 8, window: int = 4, bytes_max: int = 0) -> Progress:
    progress = Progress(match=match, next=next, inflights=Inflights(window, bytes_max))
    if state == SNAPSHOT:
        progress.become_snapshot(next - 1)
    progress.state = state
    return progress


@RANDOMLY
@given(st.lists(st.one_of(st.tuples(st.integers(1, 3), st.integers(0, 50)), st.integers(0, 60)), max_size=60))
def test_a_window_holds_what_is_not_freed(steps: list[tuple[int, int] | int]) -> None:
    window, index = Inflights(5, 100), 0
    twin: list[tuple[int, int]] = []
    for step in steps:
        if isinstance(step, int):
            window.free_to(step)
            twin = [one for one in twin if one[0] > step]
        elif not window.full:
            index += step[0]
            window.add(index, step[1])
            twin.append((index, step[1]))
        assert len(window) == len(twin)
        assert window.bytes == sum(size for _, size in twin)
        assert window.full == (len(twin) >= 5 or window.bytes >= 100)


def test_a_full_window_takes_no_more() -> None:
    window = Inflights(1)
    window.add(1, 10)
    with pytest.raises(OverflowError):
        window.add(2, 10)


def test_a_copied_window_is_its_own() -> None:
    window = Inflights(4)
    window.add(1, 10)
    twin = window.copy()
    twin.add(2, 5)
    assert (len(window), window.bytes, len(twin), twin.bytes) == (1, 10, 2, 15)


@pytest.mark.parametrize(
    ("state", "pending", "next_after"),
    [(REPLICATE, 0, 4), (PROBE, 0, 4), (SNAPSHOT, 10, 11), (SNAPSHOT, 0, 4)],
)
def test_probing_starts_behind_the_match_or_the_snapshot_sent(state: int, pending: int, next_after: int) -> None:
    progress = make(state)
    progress.pending_snapshot = pending
    progress.become_probe()
    assert (progress.state, progress.match, progress.next) == (PROBE, 3, next_after)


def test_a_snapshot_under_way_pauses_and_counts_as_next() -> None:
    progress = make()
    progress.become_snapshot(20)
    assert progress.paused
    assert (progress.next, progress.pending_snapshot, progress.sent_commit) == (21, 20, 20)


def test_replication_runs_ahead_until_the_window_is_full() -> None:
    progress = make(REPLICATE, window=2)
    progress.on_sent(2, 100)
    assert (progress.next, progress.paused) == (10, False)
    progress.on_sent(1, 50)
    assert (progress.next, progress.paused) == (11, True)
    progress.maybe_update(9)
    progress.inflights.free_to(9)
    assert not progress.paused


def test_bytes_fill_the_window_too() -> None:
    progress = make(REPLICATE, bytes_max=100)
    progress.on_sent(1, 150)
    assert progress.paused


def test_a_probe_waits_for_its_answer() -> None:
    paused = []
    progress = make()
    for count in (0, 1):
        progress.on_sent(count, count * 10)
        paused.append(progress.paused)
    assert paused == [False, True]
    assert progress.next == 8


@pytest.mark.parametrize(
    ("index", "news", "match", "next_after"), [(2, False, 3, 8), (3, False, 3, 8), (5, True, 5, 8), (9, True, 9, 10)]
)
def test_an_acknowledgement_only_ever_raises_the_match(index: int, news: bool, match: int, next_after: int) -> None:
    progress = make()
    assert progress.maybe_update(index) is news
    assert (progress.match, progress.next) == (match, next_after)


@pytest.mark.parametrize(
    ("state", "rejected", "hint", "genuine", "next_after"),
    [
        (REPLICATE, 3, 0, False, 8),  # matched already
        (REPLICATE, 5, 0, True, 4),  # back to the match
        (PROBE, 6, 0, False, 8),  # not the one that is under way
        (PROBE, 7, 4, True, 5),  # to the hint
        (PROBE, 7, 9, True, 7),  # one back at least
        (PROBE, 7, 0, True, 4),  # never to the match or below
    ],
)
def test_a_rejection_lowers_next(state: int, rejected: int, hint: int, genuine: bool, next_after: int) -> None:
    progress = make(state)
    assert progress.maybe_decrease(rejected, hint) is genuine
    assert progress.next == next_after
    assert progress.match < progress.next


def test_a_commit_index_is_told_once() -> None:
    progress = make(REPLICATE)
    assert progress.can_raise_commit(5)
    progress.sent_commit = 5
    assert not progress.can_raise_commit(5)
    assert progress.can_raise_commit(6)
    progress.sent_commit = progress.next - 1
    assert not progress.can_raise_commit(100)


def test_progress_as_text() -> None:
    progress = make(REPLICATE, window=1)
    progress.on_sent(1, 1)
    progress.is_learner = True
    assert describe_progress(progress) == "StateReplicate match=3 next=9 learner paused inactive inflight=1[full]"
    progress.become_snapshot(12)
    progress.recent_active = True
    assert describe_progress(progress) == "StateSnapshot match=3 next=13 learner paused pendingSnap=12"


def tracker_of(config: TrackedConfig, change: Callable[[int, Progress], None]) -> Tracker:
    tracker = Tracker(8)
    everybody = config.all_voters | config.learners
    progress = {
        node: Progress(next=1, inflights=tracker.new_inflights(), is_learner=node in config.learners)
        for node in everybody
    }
    for node, one in progress.items():
        change(node, one)
    tracker.switch_to(config, progress)
    return tracker


def test_a_learner_does_not_make_a_quorum_active() -> None:
    def active(node: int, progress: Progress) -> None:
        progress.recent_active = node in (1, 3)

    for voters in ({1, 2}, {1, 2, 4}):
        config = TrackedConfig(frozenset(voters), learners=frozenset({3}))
        assert not tracker_of(config, active).quorum_active()
    assert tracker_of(TrackedConfig(frozenset({1, 2, 3})), active).quorum_active()


def test_a_learner_does_not_commit() -> None:
    def matched(node: int, progress: Progress) -> None:
        progress.match = {1: 9, 2: 5, 3: 9, 4: 2}[node]

    config = TrackedConfig(frozenset({1, 2, 4}), learners=frozenset({3}))
    assert tracker_of(config, matched).committed() == 5


def test_joint_commit_needs_both_majorities() -> None:
    def matched(node: int, progress: Progress) -> None:
        progress.match = {1: 9, 2: 9, 3: 9, 4: 2, 5: 3}[node]

    config = TrackedConfig(frozenset({1, 2, 3}), frozenset({1, 4, 5}))
    assert tracker_of(config, matched).committed() == 3


def test_the_first_vote_counts() -> None:
    tracker = tracker_of(TrackedConfig(frozenset({1, 2, 3})), lambda node, progress: None)
    tracker.record_vote(2, False)
    tracker.record_vote(2, True)
    assert tracker.tally()[:2] == (0, 1)
