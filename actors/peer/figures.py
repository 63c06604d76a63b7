"""What /metrics says of the other members; the names are those of etcdz.telemetry.metrics."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from actors.peer.remote_member import RemoteMember

_OF_EACH: Final[dict[str, Callable[[RemoteMember], Any]]] = {
    "peer_sent_bytes": lambda remote: remote.outbox.sent_bytes,
    "peer_received_bytes": lambda remote: remote.received_bytes,
    "peer_sent_failures": lambda remote: remote.outbox.dropped,
    "peer_received_failures": lambda remote: remote.bad_streams,
    "peer_round_trip": lambda remote: (remote.probes.counts, remote.probes.total_s),
}
_OF_PAIRS: Final[dict[str, Callable[[RemoteMember], int]]] = {
    "peers_active": lambda remote: int(remote.status.is_active),
    "peers_disconnected": lambda remote: remote.status.times_lost,
}


def figures(member_id: int, remotes: Iterable[RemoteMember]) -> dict[str, Any]:
    """A series for each of remotes. member_id: of this member"""
    remotes, local = list(remotes), f"{member_id:x}"
    found: dict[str, Any] = {
        name: [([f"{remote.id:x}"], figure(remote)) for remote in remotes] for name, figure in _OF_EACH.items()
    }
    for name, figure in _OF_PAIRS.items():
        found[name] = [([local, f"{remote.id:x}"], figure(remote)) for remote in remotes]
    return found
