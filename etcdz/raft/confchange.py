"""Configuration changes as functions: (configuration, progress) and changes in, new ones out, or ConfChangeError.

The originals are never touched, so a refused change leaves no trace.
Source: Raft thesis 4.1 (one server at a time), 4.2.1 (learners), 4.3 (arbitrary changes by joint consensus).
"""

from collections.abc import Iterable

from etcdz.raft.errors import ConfChangeError
from etcdz.raft.messages import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    CONF_CHANGE_UPDATE_NODE,
    ConfChangeSingle,
    ConfState,
)
from etcdz.raft.progress import Progress
from etcdz.raft.tracker import ProgressMap, TrackedConfig, Tracker

Changed = tuple[TrackedConfig, ProgressMap]


class _Draft:
    """A configuration while changes are made to it. Changes always go to the incoming majority."""

    def __init__(self, tracker: Tracker, last_index: int) -> None:
        config = tracker.config
        self.tracker = tracker
        self.last_index = last_index
        self.voters = set(config.voters)
        self.outgoing = set(config.outgoing)
        self.learners = set(config.learners)
        self.learners_next = set(config.learners_next)
        self.progress = dict(tracker.progress)

    def apply(self, changes: Iterable[ConfChangeSingle]) -> None:
        for change in changes:
            # etcd sets the id of a change that it decided not to make to zero.
            if change.node_id == 0:
                continue
            if change.type not in _CHANGES:
                raise ConfChangeError(f"unexpected conf type {change.type}")
            _CHANGES[change.type](self, change.node_id)
        if not self.voters:
            raise ConfChangeError("removed all voters")

    def make_voter(self, node: int) -> None:
        if node not in self.progress:
            self._start_tracking(node, is_learner=False)
        self.learners.discard(node)
        self.learners_next.discard(node)
        self.voters.add(node)
        self._set_learner(node, False)

    def make_learner(self, node: int) -> None:
        if node not in self.progress:
            self._start_tracking(node, is_learner=True)
            self.learners.add(node)
            return
        if self.progress[node].is_learner:
            return
        self.voters.discard(node)
        if node in self.outgoing:
            self.learners_next.add(node)
        else:
            self.learners.add(node)
            self._set_learner(node, True)

    def remove(self, node: int) -> None:
        self.voters.discard(node)
        self.learners.discard(node)
        self.learners_next.discard(node)
        # A voter of the outgoing majority is needed until that is left.
        if node not in self.outgoing:
            self.progress.pop(node, None)

    def update(self, node: int) -> None:
        """Something that only the application knows about changed, an address for instance."""

    def leave_outgoing(self) -> None:
        for node in self.learners_next:
            self.learners.add(node)
            self._set_learner(node, True)
        self.learners_next.clear()
        for node in self.outgoing - self.voters - self.learners:
            del self.progress[node]
        self.outgoing.clear()

    def _set_learner(self, node: int, is_learner: bool) -> None:
        if self.progress[node].is_learner != is_learner:
            self.progress[node] = self.progress[node].with_learner(is_learner)

    def _start_tracking(self, node: int, is_learner: bool) -> None:
        # Probing starts at the end of our log; an empty peer answers with a hint and gets a snapshot.
        progress = Progress(next=max(self.last_index, 1), inflights=self.tracker.new_inflights(), is_learner=is_learner)
        # Or check-quorum would depose the leader before a new voter could say anything.
        progress.recent_active = True
        self.progress[node] = progress

    def finish(self, auto_leave: bool = False) -> Changed:
        config = TrackedConfig(
            frozenset(self.voters),
            frozenset(self.outgoing),
            frozenset(self.learners),
            frozenset(self.learners_next),
            auto_leave,
        )
        check_invariants(config, self.progress)
        return config, self.progress


_CHANGES = {
    CONF_CHANGE_ADD_NODE: _Draft.make_voter,
    CONF_CHANGE_ADD_LEARNER_NODE: _Draft.make_learner,
    CONF_CHANGE_REMOVE_NODE: _Draft.remove,
    CONF_CHANGE_UPDATE_NODE: _Draft.update,
}


def check_invariants(config: TrackedConfig, progress: ProgressMap) -> None:
    """Raises ConfChangeError on what no sequence of changes may lead to."""
    for node in sorted(config.all_voters | config.learners | config.learners_next):
        if node not in progress:
            raise ConfChangeError(f"no progress for {node}")
    for node in sorted(config.learners_next):
        if node not in config.outgoing:
            raise ConfChangeError(f"{node} is in LearnersNext, but not Voters[1]")
        if progress[node].is_learner:
            raise ConfChangeError(f"{node} is in LearnersNext, but is already marked as learner")
    for node in sorted(config.learners):
        for half, voters in ((1, config.outgoing), (0, config.voters)):
            if node in voters:
                raise ConfChangeError(f"{node} is in Learners and Voters[{half}]")
        if not progress[node].is_learner:
            raise ConfChangeError(f"{node} is in Learners, but is not marked as learner")
    if config.auto_leave and not config.joint:
        raise ConfChangeError("AutoLeave must be false when not joint")


def simple(tracker: Tracker, last_index: int, changes: Iterable[ConfChangeSingle]) -> Changed:
    """Changes that together add or remove at most one voter: old and new majorities overlap by themselves."""
    if tracker.config.joint:
        raise ConfChangeError("can't apply simple config change in joint config")
    draft = _Draft(tracker, last_index)
    draft.apply(changes)
    if len(tracker.config.voters ^ draft.voters) > 1:
        raise ConfChangeError("more than one voter changed without entering joint config")
    return draft.finish()


def enter_joint(tracker: Tracker, last_index: int, auto_leave: bool, changes: Iterable[ConfChangeSingle]) -> Changed:
    """From C_old to C_old,new: today's voters become the outgoing majority, changes go to a copy of them."""
    if tracker.config.joint:
        raise ConfChangeError("config is already joint")
    if not tracker.config.voters:
        raise ConfChangeError("can't make a zero-voter config joint")
    draft = _Draft(tracker, last_index)
    draft.outgoing = set(draft.voters)
    draft.apply(changes)
    return draft.finish(auto_leave)


def leave_joint(tracker: Tracker) -> Changed:
    """From C_old,new to C_new."""
    if not tracker.config.joint:
        raise ConfChangeError("can't leave a non-joint config")
    draft = _Draft(tracker, 0)
    draft.leave_outgoing()
    return draft.finish()


def steps_to(config: TrackedConfig, state: ConfState) -> list[ConfChangeSingle]:
    """Changes that lead from config to state, each a simple one, in an order in which there always is a voter.

    Requires: neither is joint.
    """
    voters, learners = frozenset(state.voters), frozenset(state.learners)
    steps = [ConfChangeSingle(CONF_CHANGE_ADD_NODE, node) for node in sorted(voters - config.voters)]
    steps += [ConfChangeSingle(CONF_CHANGE_ADD_LEARNER_NODE, node) for node in sorted(learners - config.learners)]
    gone = (config.voters | config.learners) - voters - learners
    return steps + [ConfChangeSingle(CONF_CHANGE_REMOVE_NODE, node) for node in sorted(gone)]


def restore(tracker: Tracker, last_index: int, state: ConfState) -> Changed:
    """The configuration that state describes, built up from nothing. Requires: tracker is empty.

    A joint one is reached as it came about: the outgoing voters first, then one joint step to the incoming ones.
    """
    add, remove, learn = CONF_CHANGE_ADD_NODE, CONF_CHANGE_REMOVE_NODE, CONF_CHANGE_ADD_LEARNER_NODE
    incoming = [ConfChangeSingle(add, node) for node in state.voters]
    incoming += [ConfChangeSingle(learn, node) for node in (*state.learners, *state.learners_next)]
    first = [ConfChangeSingle(add, node) for node in state.voters_outgoing] or incoming
    scratch = Tracker(tracker.inflight_max, tracker.inflight_bytes_max)
    for change in first:
        scratch.switch_to(*simple(scratch, last_index, [change]))
    if state.voters_outgoing:
        leaving = [ConfChangeSingle(remove, node) for node in state.voters_outgoing]
        scratch.switch_to(*enter_joint(scratch, last_index, state.auto_leave, leaving + incoming))
    return scratch.config, scratch.progress
