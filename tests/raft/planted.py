"""The bugs that tests.raft.mutations plants. A text that is not in its file any more is a failed test: adapt it.

NB: nothing here may import etcdz.raft, which is to be loaded with the bug.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """text: stands exactly once in etcdz/raft/<file>. safety: breaks a safety rule, so the simulation has to see it."""

    name: str
    file: str
    text: str
    replacement: str
    safety: bool = True


MUTATIONS = (
    # Elections
    Mutation(
        "vote without log check",
        "election.py",
        "if _may_vote(r, m) and r.log.is_up_to_date(m.log_term, m.index):",
        "if _may_vote(r, m):",
    ),
    Mutation(
        "vote twice in a term",
        "election.py",
        "free = r.vote == NO_NODE and r.lead == NO_NODE",
        "free = r.lead == NO_NODE",
    ),
    Mutation("vote not remembered", "election.py", "            r.vote = m.from_\n", ""),
    Mutation(
        "vote not written",
        "node.py",
        "term, vote, commit = hard_state or _NOTHING_YET",
        "term, vote, commit = (hard_state or _NOTHING_YET)._replace(vote=0)",
    ),
    Mutation(
        "term not written",
        "node.py",
        "term, vote, commit = hard_state or _NOTHING_YET",
        "term, vote, commit = (hard_state or _NOTHING_YET)._replace(term=0)",
    ),
    Mutation(
        "vote sent before it is on disk",
        "raft.py",
        "if m.type in AFTER_APPEND_MESSAGES:",
        "if m.type in AFTER_APPEND_MESSAGES and (m.to == self.id or m.type == MSG_APP_RESP):",
    ),
    Mutation(
        "vote answer of an old term counted",
        "raft.py",
        "if m.term and m.term != self.term:",
        'if m.term and m.term != self.term and MESSAGE_NAMES[m.type] != "MsgVoteResp":',
    ),
    Mutation(
        "joint election counted as simple",
        "quorum.py",
        "one, other = vote_result(voters, votes), vote_result(outgoing, votes)",
        "one = other = vote_result(voters, votes)",
    ),
    Mutation(
        "learner's vote counted",
        "tracker.py",
        "return joint_vote_result(self.config.voters, self.config.outgoing, votes)",
        "return joint_vote_result(self.config.voters | self.config.learners, self.config.outgoing, votes)",
    ),
    Mutation(
        "pre-vote raises the term",
        "raft.py",
        "        self.tracker.votes = {}\n        self.lead = NO_NODE\n        self.role = PRE_CANDIDATE",
        "        self._reset(self.term + 1)\n        self.role = PRE_CANDIDATE",
    ),
    Mutation(
        "being asked for a pre-vote raises the term",
        "raft.py",
        "if m.type == MSG_PRE_VOTE or (m.type == MSG_PRE_VOTE_RESP and not m.reject):",
        "if m.type == MSG_PRE_VOTE_RESP and not m.reject:",
    ),
    Mutation(
        "no step-down at a higher term",
        "raft.py",
        "self.become_follower(m.term, m.from_ if m.type in LEADER_MESSAGES else NO_NODE)",
        "self.term, self.vote = m.term, NO_NODE",
    ),
    Mutation(
        "campaign with an unapplied change",
        "election.py",
        "elif r.log.has_unapplied_conf_change():",
        "elif False:",
    ),
    # Replication
    Mutation(
        "commit of an old term's entry",
        "log.py",
        "if index <= self.committed or not self.matches(term, index):",
        "if index <= self.committed:",
    ),
    Mutation(
        "acknowledgement sent before the entry is on disk",
        "raft.py",
        "if m.type in AFTER_APPEND_MESSAGES:",
        "if m.type in AFTER_APPEND_MESSAGES and (m.to == self.id or m.type != MSG_APP_RESP):",
    ),
    Mutation(
        "own append counted before it is on disk",
        "raft.py",
        "self.after_append.append(Message(MSG_APP_RESP, self.id, self.id, self.term, 0, last))",
        "self.tracker.progress[self.id].maybe_update(last)",
    ),
    Mutation(
        "acknowledgement of an old term counted",
        "raft.py",
        "if m.term and m.term != self.term:",
        "if m.term and m.term != self.term and m.type != MSG_APP_RESP:",
    ),
    Mutation(
        "write of an old term trims the log (ABA)",
        "raft.py",
        "            self._on_append_stable_in_older_term(m)",
        "            self._on_append_stable(m)",
    ),
    Mutation(
        "write of what was replaced trims the log",
        "unstable.py",
        "elif known != term:",
        "elif False:",
    ),
    Mutation(
        "off by one in the next index",
        "progress.py",
        "        self._enter(REPLICATE)\n        self.next = self.match + 1",
        "        self._enter(REPLICATE)\n        self.next = self.match + 2",
        safety=False,
    ),
    Mutation(
        "append without looking at what goes before it",
        "log.py",
        "        if not self.matches(prev_term, prev_index):\n            return None\n",
        "        if prev_index > self.last_index():\n            return None\n",
    ),
    Mutation(
        "conflict not cut off",
        "log.py",
        "            if not self.matches(entry.term, index):\n",
        "            if False:\n",
    ),
    Mutation(
        "old append cuts off what came after it",
        "log.py",
        "conflict = self.find_conflict(entries)",
        "conflict = entries[0].index if entries else 0",
    ),
    Mutation(
        "commit beyond what the append vouches for",
        "log.py",
        "self.commit_to(min(commit, reached))",
        "self.commit_to(min(commit, self.last_index()))",
    ),
    Mutation(
        "commit beyond the log at a heartbeat",
        "heartbeat.py",
        "commit = min(progress.match, r.log.committed)",
        "commit = r.log.committed",
    ),
    Mutation(
        "applied before it is on the own disk",
        "log.py",
        "return committed if allow_unstable or committed < self.unstable.offset else self.unstable.offset - 1",
        "return committed",
        safety=False,
    ),
    Mutation(
        "hint of a rejection not followed",
        "progress.py",
        "self.next = max(min(rejected, hint + 1), self.match + 1)",
        "self.next = max(rejected + 1, self.match + 1)",
        safety=False,
    ),
    Mutation(
        "lost append not sent again",
        "replication.py",
        "    progress.recent_active = True\n    progress.flow_paused = False\n",
        "    progress.recent_active = True\n",
        safety=False,
    ),
    Mutation(
        "snapshot older than the commit index taken",
        "follower.py",
        "    if snapshot.index <= log.committed:\n        return False\n",
        "",
    ),
    # Membership
    Mutation(
        "joint commit counted as simple",
        "tracker.py",
        "        if config.outgoing:\n            return min(",
        "        if False:\n            return min(",
    ),
    Mutation(
        "learner counted in a commit",
        "tracker.py",
        "index = majority_index([progress[voter].match for voter in config.voters])",
        "index = majority_index([one.match for one in progress.values()])",
    ),
    Mutation(
        "second change while one is pending",
        "leader.py",
        "    if r.pending_conf_index > r.log.applied:\n",
        "    if False:\n",
    ),
    Mutation(
        "new leader forgets a pending change",
        "raft.py",
        "        self.pending_conf_index = last\n",
        "        self.pending_conf_index = 0\n",
    ),
    Mutation(
        "configuration of a snapshot not taken",
        "follower.py",
        "    r.restore_config(state, log.last_index())\n",
        "",
    ),
    Mutation(
        "removed member keeps its vote",
        "confchange.py",
        "    def remove(self, node: int) -> None:\n        self.voters.discard(node)\n",
        "    def remove(self, node: int) -> None:\n",
    ),
    # Reads
    Mutation(
        "read index without a quorum",
        "reads.py",
        "if r.read_only.option != READ_SAFE or r.tracker.config.all_voters == {r.id} or _is_confirmed_by_asker(r, m):",
        "if True:",
    ),
    Mutation(
        "who asks for a read index is a quorum with the leader of any cluster",
        "reads.py",
        "{r.id: 1, m.from_: 1}) > 0",
        "{r.id: 1, m.from_: 1}) >= 0",
    ),
    Mutation(
        "read index before a commit in the term",
        "reads.py",
        "    if not r.committed_in_term:\n        # What was committed",
        "    if False:\n        # What was committed",
    ),
    Mutation(
        "read confirmed by half of a joint configuration",
        "read_only.py",
        "joint_committed_index(config.voters, config.outgoing, self._acked)",
        "joint_committed_index(config.voters, (), self._acked)",
    ),
    Mutation(
        "only voter is taken for the leader itself",
        "reads.py",
        "r.tracker.config.all_voters == {r.id}",
        "len(r.tracker.config.all_voters) == 1",
    ),
    Mutation(
        "lease read without check-quorum",
        "leader.py",
        "if not r.tracker.quorum_active():",
        "if False:",
    ),
)
BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
