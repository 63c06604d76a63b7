"""The verb `chaos`: an actor misbehaves on order, so that one can see what the others make of it.

{"action", "actor", "ms", "for_s", "dry_run", "force"}

kill      SIGKILL
pause     SIGSTOP, and SIGCONT after for_s
delay     each turn takes ms longer, for for_s
fail      an exception that is not caught
exhaust   memory until there is none
"""

import os
import signal
import time
from typing import Any, Final

from etcdz.telemetry import logs
from supervisor.children.child import Child
from supervisor.children.orders import Order, Refusal
from supervisor.control import diagnostics
from supervisor.control.socket import LATER, ControlError, Request, Verb
from supervisor.runtime.context import Member
from supervisor.telemetry.queries import ENDED

PAUSE_S_MAX: Final = 60.0

log = logs.get("supervisor")


def chaos(member: Member, request: Request) -> Any:
    """Let an actor fail, to see what the others make of it."""
    action = str(request.args.get("action", ""))
    if action not in ACTIONS:
        raise ControlError(f"no chaos {action!r}; there are: {', '.join(ACTIONS)}")
    return ACTIONS[action](member, request)


def _find_victim(member: Member, request: Request) -> Child:
    """One whose end the member survives, or that is to end by force. raises ControlError"""
    child = diagnostics.find(member, request)
    try:
        member.orders.plan(Order("kill", child.name, force=bool(request.args.get("force"))), time.monotonic())
    except Refusal as refusal:
        raise ControlError(str(refusal)) from None
    return child


def _chaos_kill(member: Member, request: Request) -> Any:
    child = _find_victim(member, request)
    told = {"actor": child.name, "verb": "kill", "pid": child.pid}
    if request.args.get("dry_run"):
        return {**told, "dry_run": True}
    _signal(child, signal.SIGKILL)
    return told


def _chaos_pause(member: Member, request: Request) -> Any:
    child = diagnostics.find(member, request)
    seconds = diagnostics.duration_s(request.args) or 1.0
    if seconds > PAUSE_S_MAX:
        raise ControlError(f"a pause may last {PAUSE_S_MAX:g} s at most")
    told = {"actor": child.name, "verb": "pause", "pid": child.pid, "for_s": seconds}
    if request.args.get("dry_run"):
        return {**told, "dry_run": True}
    assert child.pid is not None
    member.observations.pauses.begin(child.pid, child.incarnation, time.monotonic() + seconds)
    return told


def _chaos_delay(member: Member, request: Request) -> Any:
    return diagnostics.tell_actor(
        member, request, "delay", {"ms": float(request.args["ms"]), "for_s": diagnostics.duration_s(request.args)}
    )


def _chaos_end(verb: str) -> Verb:
    """Something in which the actor ends instead of answering, unless it has a reason not to."""

    def handler(member: Member, request: Request) -> Any:
        child = _find_victim(member, request)
        told = {"actor": child.name, "verb": verb, "pid": child.pid}
        if request.args.get("dry_run"):
            return {**told, "dry_run": True}

        def then(ok: bool, result: Any) -> None:
            if str(result).endswith(ENDED):
                request.answer(told)
            else:
                request.refuse(str(result))

        member.observations.queries.ask(child.name, child.incarnation, verb, {}, time.monotonic(), then)
        return LATER

    return handler


def _signal(child: Child, signum: int) -> None:
    assert child.pid is not None
    log.info("signal sent on request", child=child.name, pid=child.pid, signal=signum)
    os.kill(child.pid, signum)


ACTIONS: Final[dict[str, Verb]] = {
    "kill": _chaos_kill,
    "pause": _chaos_pause,
    "delay": _chaos_delay,
    "fail": _chaos_end("fail"),
    "exhaust": _chaos_end("exhaust"),
}


VERBS: Final[dict[str, Verb]] = {"chaos": chaos}
