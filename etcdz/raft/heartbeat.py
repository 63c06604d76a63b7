"""Heartbeats: they keep followers quiet, tell the commit index, and carry reads that wait for a quorum.

Source: Raft thesis 3.4, 6.4.
"""

from typing import TYPE_CHECKING

from etcdz.raft.messages import MSG_HEARTBEAT, Message

if TYPE_CHECKING:
    from etcdz.raft.raft import Raft


def broadcast(r: "Raft") -> None:
    context = r.read_only.heartbeat_context()
    for peer in r.tracker.peers:
        if peer == r.id:
            continue
        progress = r.tracker.progress[peer]
        # Never beyond what the peer is known to match: it may hold other entries there.
        commit = min(progress.match, r.log.committed)
        r.send(Message(MSG_HEARTBEAT, to=peer, commit=commit, context=context))
        progress.sent_commit = commit
