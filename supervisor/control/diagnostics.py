"""Verbs that look into one actor.

    inspect     {"actor"}                                     everything about one actor
    logs        {"actor", "follow"}                           its last lines; pieces while it follows
    loglevel    {"actor", "level", "for_s", "dry_run"}
    stack       {"actor"}                                     where its threads are, also if it hangs
    trace       {"actor", "types", "rate", "key_prefix"}      pieces: headers of frames as they are taken
    postmortem  {"actor"}                                     reports of deaths

"actor" "" means all where that makes sense.
"""

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from etcdz.ipc.boot import STACK_SIGNAL
from etcdz.telemetry import logs
from etcdz.telemetry.flight import Box
from supervisor.children.child import Child
from supervisor.control import ps
from supervisor.control.socket import LATER, ControlError, Request, Verb
from supervisor.runtime.context import Member
from supervisor.telemetry import crash_reports

MESSAGES_SHOWN: Final = 20
STACK_S: Final = 1.0
"""A process that can write its stacks does so within milliseconds."""


def find(member: Member, request: Request) -> Child:
    """The living actor that the request names. raises ControlError"""
    name = str(request.args.get("actor", ""))
    child = member.lifecycle.children.get(name)
    if child is None:
        raise ControlError(f"no actor {name!r}; there are: {', '.join(member.lifecycle.children)}")
    if child.pid is None:
        raise ControlError(f"{name} does not run: it is {child.state.value}")
    return child


# ---- inspect ----


def inspect(member: Member, request: Request) -> Any:
    """What the supervisor knows of an actor, and, if the actor answers, what it says itself."""
    child, now = find(member, request), time.monotonic()
    box = member.observations.recorders.box(child.incarnation)
    known = {
        "actor": ps.describe(member, child, now),
        "messages": shown_headers(member, box, 0)[-MESSAGES_SHOWN:],
        "deaths": member.observations.deaths.reports[child.name],
    }

    def then(ok: bool, result: Any) -> None:
        request.answer({**known, "answered": ok, **({"inside": result} if ok else {"why_not": result})})

    member.observations.queries.ask(child.name, child.incarnation, "inspect", {}, now, then)
    return LATER


def shown_headers(member: Member, box: Box | None, after: int) -> list[dict[str, Any]]:
    """Frames with a number above after, oldest first: {"seq", "ago_s"} and what crash_reports.show_header gives."""
    now_ns = time.monotonic_ns()
    return [
        {
            "seq": header.seq,
            "ago_s": round((now_ns - header.handled_ns) / 1e9, 6),
            **crash_reports.show_header(header, member.observations.name_of),
        }
        for header in (box.headers(after) if box is not None else [])
    ]


# ---- logs ----


def read_logs(member: Member, request: Request) -> Any:
    """Lines that are kept, of this incarnation; with follow also new ones, over restarts, until the client is gone."""
    child = find(member, request)
    position = {"incarnation": child.incarnation, "end": 0}
    first = _new_lines(member, child, position)
    if not request.args.get("follow"):
        return {"lines": first}
    if request.piece({"lines": first}):
        member.observations.follow(lambda now: _follow_logs(member, request, child.name, position))
    return LATER


def _follow_logs(member: Member, request: Request, name: str, position: dict[str, int]) -> bool:
    child = member.lifecycle.children.get(name)
    if child is None:
        return not request.answer({"lines": []})
    lines = _new_lines(member, child, position)
    return request.piece({"lines": lines}) if lines else True


def _new_lines(member: Member, child: Child, position: dict[str, int]) -> list[str]:
    """Whole lines behind position, which moves on."""
    if position["incarnation"] != child.incarnation:
        position.update(incarnation=child.incarnation, end=0)
    box = member.observations.recorders.box(child.incarnation)
    if box is None:
        return []
    position["end"], data = box.log(position["end"])
    return data.decode("utf-8", "replace").splitlines()


# ---- loglevel ----


def loglevel(member: Member, request: Request) -> Any:
    """From which level on the actor logs, for a while or for good."""
    level = str(request.args.get("level", ""))
    if level not in logs.LEVELS:
        raise ControlError(f"no level {level!r}; there are: {', '.join(logs.LEVELS)}")
    return tell_actor(member, request, "loglevel", {"level": level, "for_s": duration_s(request.args)})


def tell_actor(member: Member, request: Request, verb: str, args: Mapping[str, Any]) -> Any:
    """What a verb answers that the actor itself carries out; a dry run only says what it would be."""
    child = find(member, request)
    told = {"actor": child.name, "verb": verb, **args}
    if request.args.get("dry_run"):
        return {**told, "dry_run": True}

    def then(ok: bool, result: Any) -> None:
        if ok:
            request.answer({**told, **result})
        else:
            request.refuse(str(result))

    member.observations.queries.ask(child.name, child.incarnation, verb, args, time.monotonic(), then)
    return LATER


def duration_s(args: Mapping[str, Any]) -> float:
    """The argument for_s; 0 if it is not given. raises ControlError"""
    seconds = float(args.get("for_s") or 0.0)
    if seconds < 0:
        raise ControlError("a time must not be negative")
    return seconds


# ---- stack ----


def stack(member: Member, request: Request) -> Any:
    """Python's stacks, written by a signal handler in C, and what the kernel says the process does."""
    child = find(member, request)
    assert child.pid is not None
    pid, incarnation, until = child.pid, child.incarnation, time.monotonic() + STACK_S
    state = kernel_state(pid)
    if not catches(pid, STACK_SIGNAL):
        raise ControlError(f"{child.name} (pid {pid}) is not ready to write its stacks: {state}")
    before = len(member.observations.stack(child.name, child.incarnation))
    os.kill(pid, STACK_SIGNAL)
    last_size = {"chars": before}

    def follow(now: float) -> bool:
        text = member.observations.stack(child.name, child.incarnation) if child.incarnation == incarnation else ""
        complete = before < len(text) == last_size["chars"]
        if not complete and now < until:
            last_size["chars"] = len(text)
            return True
        why_not = "" if text[before:] else f"it wrote nothing within {STACK_S:g} s"
        request.answer({"actor": child.name, "pid": pid, "kernel": state, "stack": text[before:], "why_not": why_not})
        return False

    member.observations.follow(follow)
    return LATER


def kernel_state(pid: int) -> str:
    """In which state the kernel has the process, e.g. "T (stopped)", and in which of its functions it waits."""
    try:
        status = _status(pid).get("State", "gone")
        waits_in = Path(f"/proc/{pid}/wchan").read_text().strip("0\n")
    except OSError:
        return "gone"
    return f"{status}, waits in {waits_in}" if waits_in else status


def catches(pid: int, signum: int) -> bool:
    """Whether the process has a handler for a signal that would otherwise end it."""
    try:
        return bool(int(_status(pid).get("SigCgt", "0"), 16) >> signum - 1 & 1)
    except (OSError, ValueError):
        return False


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


# ---- postmortem ----


def postmortem(member: Member, request: Request) -> Any:
    """Crash reports, oldest first."""
    read = partial(crash_reports.read_all, str(member.settings["data_dir"]), str(request.args.get("actor", "")))

    def then(outcome: list[dict[str, Any]] | OSError) -> None:
        if isinstance(outcome, OSError):
            request.refuse(str(outcome))
        else:
            request.answer(outcome)

    if not member.worker.submit(read, then):
        raise ControlError("the disk does not answer")
    return LATER


VERBS: Final[dict[str, Verb]] = {
    "inspect": inspect,
    "logs": read_logs,
    "loglevel": loglevel,
    "stack": stack,
    "postmortem": postmortem,
}
