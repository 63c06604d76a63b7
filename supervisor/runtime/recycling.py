"""Processes that have grown too old or too big are replaced by new ones, one at a time."""

from supervisor.children.child import LogLine, State
from supervisor.children.orders import Order, Refusal
from supervisor.processes import process_usage
from supervisor.restart import RecyclingLimits, recycling_reason
from supervisor.runtime.context import Member


def recycle_one(member: Member, now: float) -> None:
    """Restart the first actor that is beyond its limits, gracefully, if that can be ordered now."""
    for child in member.lifecycle.children.values():
        if child.state is not State.READY or child.pid is None or child.ready_at is None:
            continue
        allowed = RecyclingLimits(child.max_age_s, child.spec.max_rss_bytes, child.spec.max_rss_after_s)
        rss_bytes = (process_usage.rss_bytes(child.pid) or 0) if allowed.max_rss_bytes is not None else 0
        why = recycling_reason(allowed, now - child.ready_at, rss_bytes)
        if why and _restart(member, child.name, now):
            member.do([LogLine("info", "recycling actor", {"child": child.name, "reason": why})])
            return


def _restart(member: Member, name: str, now: float) -> bool:
    """return False if it cannot be ordered now."""
    order = Order("restart", name, graceful=True)
    try:
        member.orders.plan(order, now)
    except Refusal:
        return False
    member.do(member.orders.carry_out(order, now))
    return True
