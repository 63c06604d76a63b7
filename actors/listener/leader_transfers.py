"""Calls of MoveLeader at the leader: from the backend's judgement, that the target has a vote, until it leads."""

import time
from collections.abc import Callable
from typing import NamedTuple

from actors.listener.call import Caller
from etcdz.api.errors import TIMEOUT_LEADER_TRANSFER, Code


class _Transfer(NamedTuple):
    caller: Caller
    stream_id: int
    target: int
    began_s: float


class LeaderTransfers:
    """All of one listener."""

    def __init__(self, ask: Callable[[int], None], timeout_s: float) -> None:
        """ask: has raft hand the lead to this member."""
        self._ask = ask
        self._timeout_s = timeout_s
        self._waiting: list[_Transfer] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, caller: Caller, stream_id: int, target: int) -> None:
        """Answered when the target leads, or when that takes too long."""
        self._waiting.append(_Transfer(caller, stream_id, target, time.monotonic()))
        self._ask(target)

    def on_leader(self, leader: int, answered: set[Caller]) -> None:
        """This member leads, as far as is known. answered: those are added"""
        for one in self._waiting:
            if one.target == leader:
                one.caller.reply(one.stream_id, Code.OK, b"")
                answered.add(one.caller)
        self._waiting = [one for one in self._waiting if one.target != leader]

    def expire(self, now: float, answered: set[Caller]) -> None:
        """now: on the monotonic clock."""
        while self._waiting and now - self._waiting[0].began_s >= self._timeout_s:
            one = self._waiting.pop(0)
            one.caller.reply(one.stream_id, TIMEOUT_LEADER_TRANSFER.code, TIMEOUT_LEADER_TRANSFER.text.encode())
            answered.add(one.caller)

    def lose(self, caller: Caller, stream_ids: set[int] | None = None) -> None:
        """It waits no more: for these, or for any. The lead moves all the same."""
        self._waiting = [
            one
            for one in self._waiting
            if one.caller is not caller or (stream_ids is not None and one.stream_id not in stream_ids)
        ]
