"""Verbs that look at what actors do with their time.

    profile  {"actor", "seconds", "hz"}   where they spend CPU time; answered when the time is over
    stacks   {"actor"}                    where their threads are, also if they hang

"actor" "" means all.
"""

import time
from functools import partial
from typing import Any, Final

from etcdz.ipc.boot import STACK_SIGNAL
from supervisor.children.child import Child
from supervisor.control import diagnostics
from supervisor.control.socket import LATER, ControlError, Request, Verb
from supervisor.runtime.context import Member
from supervisor.telemetry.stack_round import StackRound

SECONDS_MAX: Final = 300.0


def profile(member: Member, request: Request) -> Any:
    """Piece by piece: all are told to begin, and asked what they have noted when the time is over.

    return  by actor what actors/runtime/profiling.py answers, or {"why_not"}
    """
    seconds = float(request.args.get("seconds") or 30.0)
    if not 0 < seconds <= SECONDS_MAX:
        raise ControlError(f"seconds must be more than 0 and at most {SECONDS_MAX:g}")
    args = {"for_s": seconds, **({"hz": int(request.args["hz"])} if request.args.get("hz") else {})}
    Profile(member, request, _chosen(member, request), args)
    return LATER


class Profile:
    """One that is under way."""

    def __init__(self, member: Member, request: Request, chosen: list[Child], args: dict[str, Any]) -> None:
        self._queries = member.observations.queries
        self._request = request
        self._found: dict[str, Any] = {}
        self._chosen = [(child.name, child.incarnation) for child in chosen]
        now = time.monotonic()
        self._until = now + args["for_s"]
        for name, incarnation in self._chosen:
            self._queries.ask(name, incarnation, "profile", args, now, partial(self._begun, name))
        member.observations.follow(self._look)

    def _begun(self, name: str, ok: bool, result: Any) -> None:
        if not ok:
            self._found[name] = {"why_not": str(result)}

    def _look(self, now: float) -> bool:
        if now < self._until:
            return True
        waiting = [(name, incarnation) for name, incarnation in self._chosen if name not in self._found]
        for name, incarnation in waiting:
            self._queries.ask(name, incarnation, "profiled", {}, now, partial(self._taken, name))
        if not waiting:
            self._request.answer(self._found)
        return False

    def _taken(self, name: str, ok: bool, result: Any) -> None:
        self._found[name] = result if ok else {"why_not": str(result)}
        if len(self._found) == len(self._chosen):
            self._request.answer(self._found)


def stacks(member: Member, request: Request) -> Any:
    """return  by actor {"pid", "kernel", "stack"}; an empty stack: it wrote nothing in time"""
    chosen = _chosen(member, request)
    states = {child.name: diagnostics.kernel_state(child.pid or 0) for child in chosen}
    pids = {child.name: child.pid for child in chosen}
    able = [child for child in chosen if child.pid and diagnostics.catches(child.pid, STACK_SIGNAL)]
    asked = StackRound(member.observations, able, time.monotonic())

    def follow(now: float) -> bool:
        if not asked.is_over(now):
            return True
        texts = asked.texts()
        request.answer(
            {name: {"pid": pid, "kernel": states[name], "stack": texts.get(name, "")} for name, pid in pids.items()}
        )
        return False

    member.observations.follow(follow)
    return LATER


def _chosen(member: Member, request: Request) -> list[Child]:
    """raises ControlError: none of that name runs"""
    if request.args.get("actor"):
        return [diagnostics.find(member, request)]
    return [child for child in member.lifecycle.listed() if child.pid is not None]


VERBS: Final[dict[str, Verb]] = {"profile": profile, "stacks": stacks}
