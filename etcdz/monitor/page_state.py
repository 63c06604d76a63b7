"""What the dashboard's page is told of a member, as JSON: the same picture that the monitor draws on a terminal.

    {"member": {...}, "weight", "troubles": [{"weight", "about", "text"}], "members": [...], "flow": [...],
     "actors": [...], "events": [{"ago_s", "name", "text", "weight"}], "lost"}

What is not known is null. Nothing in it is HTML: the page shows all of it as text.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.monitor.peers import PeerView
from etcdz.monitor.verdict import is_mailbox_slow, is_sync_slow, troubles_of, weight_of
from etcdz.monitor.view import ActorView, View

EVENTS_SHOWN: Final = 60
LINE_POINTS: Final = 60
"""Of each sparkline, the newest last."""


class Identity(NamedTuple):
    """Who the member is, and whom it knows. ids are in hexadecimal

    members     (id, name, client URLs, whether it is a learner) of each, this one included
    """

    name: str
    id: str
    cluster_id: str
    version: str
    cluster_version: str
    members: Sequence[tuple[str, str, Sequence[str], bool]]


def page_state(view: View, identity: Identity, alarms: Sequence[str]) -> dict[str, Any]:
    """alarms: names of those that are raised"""
    troubles = troubles_of(view, alarms)
    return {
        "member": _member(view, identity),
        "weight": weight_of(troubles),
        "troubles": [trouble._asdict() for trouble in troubles],
        "members": _members(view, identity),
        "flow": [{"from": e.source, "to": e.target, "per_s": e.per_s, "types": e.types} for e in view.flow],
        "actors": [_actor(actor) for actor in view.actors],
        "events": [
            {"ago_s": round(view.at_s - event.at_s, 1), "name": event.name, "text": event.text, "weight": event.weight}
            for event in reversed(view.events[-EVENTS_SHOWN:])
        ],
        "lost": view.lost,
    }


def _summary(view: View, kind: str) -> Mapping[str, Any]:
    return next((actor.now.summary for actor in view.actors if actor.now.kind == kind), {})


def _member(view: View, identity: Identity) -> dict[str, Any]:
    raft, backend = _summary(view, "raft"), _summary(view, "backend")
    leader = str(raft.get("leader", ""))
    own = next((member for member in identity.members if member[0] == identity.id), None)
    listeners = [actor.now for actor in view.actors if actor.now.kind == "listener"]
    supervisor = next((actor.now for actor in view.actors if actor.now.kind == "supervisor"), None)
    return {
        "name": identity.name,
        "id": identity.id,
        "cluster_id": identity.cluster_id,
        "version": identity.version,
        "cluster_version": identity.cluster_version,
        "role": "learner" if own and own[3] else _role(leader, identity.id),
        "term": raft.get("term"),
        "revision": backend.get("revision"),
        "applied_index": backend.get("applied_index"),
        "connections": sum(int(one.summary.get("connections", 0)) for one in listeners),
        "calls": sum(int(one.summary.get("calls", 0)) for one in listeners),
        "uptime_s": supervisor.uptime_s if supervisor is not None else None,
        "cpu_percent": round(sum(actor.now.cpu_percent for actor in view.actors), 1),
        "rss_bytes": sum(actor.now.rss_bytes for actor in view.actors),
    }


def _role(leader: str, own: str) -> str:
    """leader: "0" if there is none, "" if that is not known"""
    return {"0": "no leader", "": "", own: "leader"}.get(leader, "follower")


def _members(view: View, identity: Identity) -> list[dict[str, Any]]:
    leader = str(_summary(view, "raft").get("leader", "0"))
    peers = {peer.id: peer for peer in view.peers}
    return [
        {
            "id": id_,
            "name": name,
            "client_urls": list(urls),
            "is_self": id_ == identity.id,
            "role": "learner" if is_learner else "leader" if id_ == leader else "follower",
            "link": None if id_ == identity.id or id_ not in peers else _link(peers[id_]),
        }
        for id_, name, urls, is_learner in identity.members
    ]


def _link(peer: PeerView) -> dict[str, Any]:
    told = peer._asdict()
    del told["id"], told["name"]
    return told


def _actor(actor: ActorView) -> dict[str, Any]:
    now = actor.now
    return {
        "name": now.name,
        "kind": now.kind,
        "state": now.state,
        "pid": now.pid,
        "restarts": now.restarts,
        "uptime_s": round(now.uptime_s, 1),
        "cpu_percent": now.cpu_percent,
        "rss_bytes": now.rss_bytes,
        "fds": now.fds,
        "mailbox_depth": now.mailbox_depth,
        "oldest_us": now.oldest_us,
        "in_per_s": actor.in_per_s,
        "out_per_s": actor.out_per_s,
        "turn_p50_us": now.turn_p50_us,
        "turn_p99_us": now.turn_p99_us,
        "fsync_p99_us": now.fsync_p99_us,
        "last_error": now.last_error,
        "last_exit": now.last_exit,
        "slow": [*(["fsync"] if is_sync_slow(actor) else []), *(["mailbox"] if is_mailbox_slow(actor) else [])],
        "rate": [round(value, 1) for value in actor.rate[-LINE_POINTS:]],
        "cpu": [round(value, 1) for value in actor.cpu[-LINE_POINTS:]],
    }
