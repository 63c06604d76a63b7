"""Messages of other members on their way into the core.

They may change who leads and what the log holds. So they wait while the wal has the end of the log, which is recalled:
then raft knows everything that was appended in its name (actors/raft/delegation.py). All of a turn are taken at its
end.
"""

from typing import Any, Protocol

from actors.raft.delegation import Delegation
from actors.raft.ready import Readies
from actors.runtime.link import Links
from etcdz.ipc.messages import Received
from etcdz.raft import ProposalDropped, RawNode, StepLocalMessage, StepPeerNotFound, codec


class Host(Protocol):
    """What these need of their actor."""

    links: Links
    log: Any
    delegation: Delegation
    readies: Readies


class PeerMessages:
    """waiting  encoded raftpb.Message, in the order in which they came"""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.waiting: list[bytes] = []

    def on_received(self, message: Received) -> None:
        """They are stepped at the end of the turn."""
        self.waiting += message.messages

    def step(self, node: RawNode) -> None:
        """Into the core, with all that follows from them: before this turn does anything as a leader."""
        host = self._host
        if host.delegation.number:
            host.links.send_all("wal", host.delegation.recall())
            return
        waiting, self.waiting = self.waiting, []
        for encoded in waiting:
            try:
                node.step(codec.decode_message(encoded))
            except (ProposalDropped, StepLocalMessage, StepPeerNotFound) as error:
                host.log.debug("message of another member not taken", reason=str(error))
        host.readies.do(node)
