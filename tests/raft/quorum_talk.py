"""Conversations with majorities: `committed` and `vote` over cfg=(ids), and jointly over cfgj=(ids) or cfgj=zero."""

from etcdz.raft.quorum import (
    INFINITE,
    VOTE_NAMES,
    committed_index,
    joint_committed_index,
    joint_vote_result,
    vote_result,
)
from tests.raft.datadriven import Directive
from tests.raft.twins import slow_committed_index

_VOTES = {"y": 2, "n": 1, "_": 0}


def show_index(index: int) -> str:
    return "∞" if index == INFINITE else str(index)


def describe(voters: set[int], acked: dict[int, int]) -> str:
    """One line per voter; the length of its bar is how many voters are behind it."""
    if not voters:
        return "<empty majority quorum>"
    count = len(voters)
    by_index = sorted(voters, key=lambda voter: (acked.get(voter, 0), voter))
    bars: dict[int, int] = {}
    for at, voter in enumerate(by_index):
        before = by_index[at - 1] if at else voter
        level = acked.get(before, 0) == acked.get(voter, 0)
        bars[voter] = bars.get(before, 0) if level else at
    text = " " * count + "    idx\n"
    for voter in sorted(voters):
        bar = "x" * bars[voter] + ">" + " " * (count - bars[voter]) if voter in acked else "?" + " " * count
        text += f"{bar} {show_index(acked.get(voter, 0)):>5}    (id={voter:x})\n"
    return text


class QuorumTalk:
    def handle(self, d: Directive) -> str:
        halves: dict[str, list[int]] = {"cfg": [], "cfgj": []}
        values: list[int] = []
        for argument in d.arguments:
            if argument.key in halves:
                ids = () if argument.values == ("zero",) else argument.values
                halves[argument.key] += [d.number(value) for value in ids]
            elif argument.key == "idx":
                values += [0 if value == "_" else d.number(value) for value in argument.values]
            elif argument.key == "votes":
                values += [_VOTES[value] for value in argument.values]
            else:
                raise d.wrong(f"unknown arg {argument.key}")
        joint = any(argument.key == "cfgj" for argument in d.arguments)
        voters = list(dict.fromkeys(halves["cfg"] + halves["cfgj"]))
        if len(voters) != len(values):
            shown = " ".join(f"{voter}:{{}}" for voter in sorted(voters))
            listed = " ".join(map(show_index, values))
            return f"error: mismatched input (explicit or _) for voters map[{shown}]: [{listed}]"
        given = {voter: value for voter, value in zip(voters, values, strict=True) if value}
        one, other = set(halves["cfg"]), set(halves["cfgj"])
        if d.command == "vote":
            return self._vote(one, other, joint, {voter: value == 2 for voter, value in given.items()})
        if d.command == "committed":
            return self._committed(one, other, joint, given)
        raise d.wrong(f"unknown command {d.command}")

    def _vote(self, one: set[int], other: set[int], joint: bool, votes: dict[int, bool]) -> str:
        result = joint_vote_result(one, other, votes) if joint else vote_result(one, votes)
        text = ""
        if joint and (swapped := joint_vote_result(other, one, votes)) != result:
            text += f"{VOTE_NAMES[swapped]} <-- via symmetry\n"
        return text + VOTE_NAMES[result] + "\n"

    def _committed(self, one: set[int], other: set[int], joint: bool, acked: dict[int, int]) -> str:
        text = describe(one | other, acked)
        if joint:
            index = joint_committed_index(one, other, acked)
            checks = {"symmetry": joint_committed_index(other, one, acked)}
        else:
            index = committed_index(one, acked)
            checks = {
                "alternative computation": slow_committed_index(one, acked),
                "zero-joint quorum": joint_committed_index(one, (), acked),
                "self-joint quorum": joint_committed_index(one, one, acked),
            }
        for name, again in checks.items():
            if again != index:
                text += f"{show_index(again)} <-- via {name}\n"
        return text + show_index(index) + "\n"
