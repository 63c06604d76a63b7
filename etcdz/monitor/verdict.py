"""Whether a member is well, in sentences for people: what is wrong, what is slow, what was restarted lately."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from etcdz.monitor.measures import count, duration, micros
from etcdz.monitor.peers import PeerView
from etcdz.monitor.view import ORDERLY, ActorView, View

SLOW_FSYNC_US: Final = 100_000
"""p99. etcd's own advice is 10 ms; from here on elections are at risk."""
SLOW_MAILBOX_US: Final = 500_000
"""So long a message waits only where an actor does not come to work."""
BEHIND_MANY: Final = 5_000
"""Entries: what a follower lacks without being slow is less."""
LATELY_S: Final = 600.0
_PASSING: Final = ("starting", "draining", "stopping")

BAD, WARN, GOOD = "bad", "warn", "good"


class Trouble(NamedTuple):
    """weight: "bad" or "warn". about: name of an actor or another member, "" for the member itself"""

    weight: str
    about: str
    text: str


def troubles_of(view: View, alarms: Sequence[str]) -> tuple[Trouble, ...]:
    """The worst first. alarms: names of those that are raised"""
    found = [Trouble(BAD, "", view.lost)] if view.lost else []
    found += [Trouble(BAD, "", f"alarm {alarm} is raised") for alarm in alarms]
    raft = next((actor.now for actor in view.actors if actor.now.kind == "raft"), None)
    if raft is not None and raft.summary.get("leader") == "0":
        found.append(Trouble(BAD, "", "no leader: writes and linearizable reads wait"))
    for actor in view.actors:
        found += _of_actor(actor)
    found += _of_peers(view.peers)
    return tuple(sorted(found, key=lambda trouble: trouble.weight != BAD))


def weight_of(troubles: Sequence[Trouble]) -> str:
    """good, warn or bad: the worst of them."""
    return troubles[0].weight if troubles else GOOD


def _of_actor(actor: ActorView) -> list[Trouble]:
    now, found = actor.now, []
    if now.state in _PASSING:
        found.append(Trouble(WARN, now.name, f"is {now.state}"))
    elif now.state not in ("ready", "-"):
        why = f": {now.last_exit}" if now.last_exit else ""
        found.append(Trouble(BAD, now.name, f"does not run ({now.state}){why}"))
    elif now.restarts and now.uptime_s < LATELY_S:
        why = f": {now.last_exit}" if now.last_exit and now.last_exit != ORDERLY else ""
        found.append(Trouble(WARN, now.name, f"was started again {duration(now.uptime_s)} ago{why}"))
    if is_sync_slow(actor):
        found.append(Trouble(WARN, now.name, f"the disk is slow: a sync takes {micros(now.fsync_p99_us)}"))
    if is_mailbox_slow(actor):
        found.append(Trouble(WARN, now.name, f"is slow: messages have waited for {micros(now.oldest_us)}"))
    return found


def is_sync_slow(actor: ActorView) -> bool:
    """Whether the disk is the trouble."""
    return (actor.now.fsync_p99_us or 0) >= SLOW_FSYNC_US


def is_mailbox_slow(actor: ActorView) -> bool:
    """Whether messages wait long for this actor."""
    return (actor.now.oldest_us or 0) >= SLOW_MAILBOX_US


def _of_peers(peers: Sequence[PeerView]) -> list[Trouble]:
    unheard = [peer for peer in peers if not peer.is_heard]
    weight = BAD if 2 * (len(peers) + 1 - len(unheard)) <= len(peers) + 1 else WARN
    found = [Trouble(weight, p.name or p.id, f"is not heard of{f': {p.why}' if p.why else ''}") for p in unheard]
    for peer in peers:
        if peer.is_heard and peer.behind is not None and peer.behind >= BEHIND_MANY:
            found.append(Trouble(WARN, peer.name or peer.id, f"is {count(peer.behind)} entries behind"))
    return found
