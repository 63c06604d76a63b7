"""Verbs that look into one actor, and those that let it misbehave on purpose.

    inspect     {"actor"}                                     everything about one actor
    logs        {"actor", "follow"}                           its last lines; pieces while it follows
    loglevel    {"actor", "level", "for_s", "dry_run"}
    stack       {"actor"}                                     where its threads are, also if it hangs
    trace       {"actor", "types", "rate", "key_prefix"}      pieces: headers of frames as they are taken
    postmortem  {"actor"}                                     reports of deaths
    chaos       {"action", "actor", "ms", "for_s", "dry_run", "force"}   action: kill, pause, delay, fail, exhaust

"actor" "" means all where that makes sense.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etcdz.ipc.boot import STACK_SIGNAL
from etcdz.telemetry import logs
from etcdz.telemetry.flight import Box
from supervisor.children.orders import Order, Refusal
from supervisor.control import ps
from supervisor.control.socket import LATER, ControlError, Request, Verb
from supervisor.telemetry import crash_reports
from supervisor.telemetry.queries import ENDED

if TYPE_CHECKING:
    from supervisor.children.child import Child
    from supervisor.runtime.loop import Loop

MESSAGES_SHOWN: Final = 20
STACK_S: Final = 1.0
"""A process that can write its stacks does so within milliseconds."""
PAUSE_S_MAX: Final = 60.0
RATE_MAX: Final = 10_000

log = logs.get("supervisor")


def find(loop: "Loop", request: Request) -> "Child":
    """The living actor that the request names. raises ControlError"""
    name = str(request.args.get("actor", ""))
    child = loop.lifecycle.children.get(name)
    if child is None:
        raise ControlError(f"no actor {name!r}; there are: {', '.join(loop.lifecycle.children)}")
    if child.pid is None:
        raise ControlError(f"{name} does not run: it is {child.state.value}")
    return child


# ---- inspect ----


def inspect(loop: "Loop", request: Request) -> Any:
    """What is known outside, and, if it answers, inside: an actor that hangs is told of as well."""
    child, now = find(loop, request), time.monotonic()
    box = loop.insight.recorders.box(child.incarnation)
    known = {
        "actor": ps.describe(loop, child, now),
        "messages": shown_headers(loop, box, 0)[-MESSAGES_SHOWN:],
        "deaths": len(crash_reports.read_all(str(loop.settings["data_dir"]), child.name)),
    }

    def then(ok: bool, result: Any) -> None:
        request.answer({**known, "answered": ok, **({"inside": result} if ok else {"why_not": result})})

    loop.insight.queries.ask(child.name, child.incarnation, "inspect", {}, now, then)
    return LATER


def shown_headers(loop: "Loop", box: Box | None, after: int) -> list[dict[str, Any]]:
    """Frames with a number above after, oldest first: {"seq", "ago_s"} and what crash_reports.show_header gives."""
    now_ns = time.monotonic_ns()
    return [
        {
            "seq": header.seq,
            "ago_s": round((now_ns - header.handled_ns) / 1e9, 6),
            **crash_reports.show_header(header, loop.insight.name_of),
        }
        for header in (box.headers(after) if box is not None else [])
    ]


# ---- logs ----


def read_logs(loop: "Loop", request: Request) -> Any:
    """Lines that are kept, of this incarnation; with follow also what comes, over restarts, until nobody listens."""
    child = find(loop, request)
    position = {"incarnation": child.incarnation, "end": 0}
    first = _new_lines(loop, child, position)
    if not request.args.get("follow"):
        return {"lines": first}
    if request.piece({"lines": first}):
        loop.insight.follow(lambda now: _follow_logs(loop, request, child.name, position))
    return LATER


def _follow_logs(loop: "Loop", request: Request, name: str, position: dict[str, int]) -> bool:
    child = loop.lifecycle.children.get(name)
    if child is None:
        return not request.answer({"lines": []})
    lines = _new_lines(loop, child, position)
    return request.piece({"lines": lines}) if lines else True


def _new_lines(loop: "Loop", child: "Child", position: dict[str, int]) -> list[str]:
    """Whole lines behind position, which moves on."""
    if position["incarnation"] != child.incarnation:
        position.update(incarnation=child.incarnation, end=0)
    box = loop.insight.recorders.box(child.incarnation)
    if box is None:
        return []
    position["end"], data = box.log(position["end"])
    return data.decode("utf-8", "replace").splitlines()


# ---- loglevel ----


def loglevel(loop: "Loop", request: Request) -> Any:
    level = str(request.args.get("level", ""))
    if level not in logs.LEVELS:
        raise ControlError(f"no level {level!r}; there are: {', '.join(logs.LEVELS)}")
    return _order(loop, request, "loglevel", {"level": level, "for_s": _seconds(request.args)})


def _order(loop: "Loop", request: Request, verb: str, args: Mapping[str, Any]) -> Any:
    """Something that the actor itself carries out; a dry run only says what."""
    child = find(loop, request)
    told = {"actor": child.name, "verb": verb, **args}
    if request.args.get("dry_run"):
        return {**told, "dry_run": True}

    def then(ok: bool, result: Any) -> None:
        if ok:
            request.answer({**told, **result})
        else:
            request.refuse(str(result))

    loop.insight.queries.ask(child.name, child.incarnation, verb, args, time.monotonic(), then)
    return LATER


def _seconds(args: Mapping[str, Any]) -> float:
    seconds = float(args.get("for_s") or 0.0)
    if seconds < 0:
        raise ControlError("a time must not be negative")
    return seconds


# ---- stack ----


def stack(loop: "Loop", request: Request) -> Any:
    """Python's stacks, written by a signal handler in C, and what the kernel says the process does."""
    child = find(loop, request)
    assert child.pid is not None
    pid, incarnation, until = child.pid, child.incarnation, time.monotonic() + STACK_S
    state = kernel_state(pid)
    if not catches(pid, STACK_SIGNAL):
        raise ControlError(f"{child.name} (pid {pid}) is not ready to write its stacks: {state}")
    before = len(loop.insight.stack(child))
    os.kill(pid, STACK_SIGNAL)
    last_size = {"chars": before}

    def follow(now: float) -> bool:
        text = loop.insight.stack(child) if child.incarnation == incarnation else ""
        complete = before < len(text) == last_size["chars"]
        if not complete and now < until:
            last_size["chars"] = len(text)
            return True
        why_not = "" if text[before:] else f"it wrote nothing within {STACK_S:g} s"
        request.answer({"actor": child.name, "pid": pid, "kernel": state, "stack": text[before:], "why_not": why_not})
        return False

    loop.insight.follow(follow)
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


# ---- chaos ----


def chaos(loop: "Loop", request: Request) -> Any:
    """Let an actor fail, to see what the others make of it."""
    action = str(request.args.get("action", ""))
    if action not in CHAOS:
        raise ControlError(f"no chaos {action!r}; there are: {', '.join(CHAOS)}")
    return CHAOS[action](loop, request)


def _find_victim(loop: "Loop", request: Request) -> "Child":
    """One whose end the member survives, or that is to end by force. raises ControlError"""
    child = find(loop, request)
    try:
        loop.lifecycle.plan(Order("kill", child.name, force=bool(request.args.get("force"))), time.monotonic())
    except Refusal as refusal:
        raise ControlError(str(refusal)) from None
    return child


def _chaos_kill(loop: "Loop", request: Request) -> Any:
    child = _find_victim(loop, request)
    told = {"actor": child.name, "verb": "kill", "pid": child.pid}
    if request.args.get("dry_run"):
        return {**told, "dry_run": True}
    _signal(child, signal.SIGKILL)
    return told


def _chaos_pause(loop: "Loop", request: Request) -> Any:
    child = find(loop, request)
    seconds = _seconds(request.args) or 1.0
    if seconds > PAUSE_S_MAX:
        raise ControlError(f"a pause may last {PAUSE_S_MAX:g} s at most")
    told = {"actor": child.name, "verb": "pause", "pid": child.pid, "for_s": seconds}
    if request.args.get("dry_run"):
        return {**told, "dry_run": True}
    assert child.pid is not None
    loop.insight.pause(child.pid, child.incarnation, time.monotonic() + seconds)
    return told


def _chaos_delay(loop: "Loop", request: Request) -> Any:
    return _order(loop, request, "delay", {"ms": float(request.args["ms"]), "for_s": _seconds(request.args)})


def _chaos_end(verb: str) -> Verb:
    """Something in which the actor ends instead of answering, unless it has a reason not to."""

    def handler(loop: "Loop", request: Request) -> Any:
        child = _find_victim(loop, request)
        told = {"actor": child.name, "verb": verb, "pid": child.pid}
        if request.args.get("dry_run"):
            return {**told, "dry_run": True}

        def then(ok: bool, result: Any) -> None:
            if str(result).endswith(ENDED):
                request.answer(told)
            else:
                request.refuse(str(result))

        loop.insight.queries.ask(child.name, child.incarnation, verb, {}, time.monotonic(), then)
        return LATER

    return handler


def _signal(child: "Child", signum: int) -> None:
    assert child.pid is not None
    log.info("signal sent on request", child=child.name, pid=child.pid, signal=signum)
    os.kill(child.pid, signum)


CHAOS: Final[dict[str, Verb]] = {
    "kill": _chaos_kill,
    "pause": _chaos_pause,
    "delay": _chaos_delay,
    "fail": _chaos_end("fail"),
    "exhaust": _chaos_end("exhaust"),
}


# ---- postmortem ----


def postmortem(loop: "Loop", request: Request) -> list[dict[str, Any]]:
    return crash_reports.read_all(str(loop.settings["data_dir"]), str(request.args.get("actor", "")))


VERBS: Final[dict[str, Verb]] = {
    "inspect": inspect,
    "logs": read_logs,
    "loglevel": loglevel,
    "stack": stack,
    "chaos": chaos,
    "postmortem": postmortem,
}
