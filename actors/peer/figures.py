"""What /metrics says of the other members; the names are those of etcdz.telemetry.metrics."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from actors.peer.remote_member import RemoteMember
from etcdz.peer.snapshot_tally import Snapshots, SnapshotTally

_OF_EACH: Final[dict[str, Callable[[RemoteMember], Any]]] = {
    "peer_sent_bytes": lambda remote: remote.outbox.sent_bytes,
    "peer_received_bytes": lambda remote: remote.received_bytes,
    "peer_sent_failures": lambda remote: remote.outbox.dropped,
    "peer_received_failures": lambda remote: remote.bad_streams,
    "peer_round_trip": lambda remote: (remote.probes.counts, remote.probes.total_s),
}
_OF_PAIRS: Final[dict[str, Callable[[RemoteMember], int]]] = {
    "peers_known": lambda remote: 1,
    "peers_active": lambda remote: int(remote.status.is_active),
    "peers_disconnected": lambda remote: remote.status.times_lost,
}

_OF_SNAPSHOTS: Final[dict[tuple[str, str], Callable[[Snapshots], Any]]] = {
    ("snapshots_sent", "snapshots_received"): lambda one: one.arrived,
    ("snapshots_not_sent", "snapshots_not_received"): lambda one: one.failed,
    ("snapshots_sending", "snapshots_receiving"): lambda one: one.under_way,
    ("snapshot_send", "snapshot_receive"): lambda one: (one.counts, one.total_s),
}
"""(name of those sent, name of those received)"""


def figures(member_id: int, remotes: Iterable[RemoteMember], bad_posts: Mapping[str, int]) -> dict[str, Any]:
    """A series for each of remotes. member_id: of this member. bad_posts: how many, by address of who has sent them"""
    remotes, local = list(remotes), f"{member_id:x}"
    found: dict[str, Any] = {
        name: [([f"{remote.id:x}"], figure(remote)) for remote in remotes] for name, figure in _OF_EACH.items()
    }
    for name, figure in _OF_PAIRS.items():
        found[name] = [([local, f"{remote.id:x}"], figure(remote)) for remote in remotes]
    found["peer_received_failures"] += [([address], count) for address, count in bad_posts.items()]
    return found


def snapshot_figures(sent: SnapshotTally, received: SnapshotTally) -> dict[str, Any]:
    """A series for each member that a snapshot was on its way to, or from."""
    return {
        name: [([f"{id_:x}"], figure(found)) for id_, found in tally.by_member.items()]
        for names, figure in _OF_SNAPSHOTS.items()
        for name, tally in zip(names, (sent, received), strict=True)
    }
