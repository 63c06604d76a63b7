"""Which messages of other members may be stepped."""

from collections.abc import Set

from google.protobuf.message import DecodeError

from etcdz.peer.protocol_error import ProtocolError
from etcdz.raft.codec import decode_message
from etcdz.raft.messages import LOCAL_MESSAGES, MSG_HEARTBEAT, MSG_SNAP, TERMLESS_MESSAGES, Message


class Screen:
    """removed: ids that were members. refused: how many messages were for another member, of one that was removed, of a
    type that never travels or travels otherwise, or without a term, which would make them the core's own."""

    def __init__(self, local_id: int) -> None:
        self.local_id = local_id
        self.removed: Set[int] = frozenset()
        self.refused = 0

    def admits(self, message: Message) -> bool:
        """NB: `from` may be any member: a follower passes on what another member has forwarded to it."""
        refused = (
            message.to != self.local_id
            or message.from_ in self.removed
            or message.type in LOCAL_MESSAGES
            or message.type == MSG_SNAP
            or (not message.term and message.type not in TERMLESS_MESSAGES)
        )
        self.refused += refused
        return not refused


def decode(encoded: bytes) -> Message:
    """raises ProtocolError: not a raftpb.Message"""
    try:
        return decode_message(encoded)
    except DecodeError as error:
        raise ProtocolError(f"error unmarshalling raft message: {error}") from None


def is_link_heartbeat(message: Message) -> bool:
    """What is written on a stream so that it is not taken for dead; a heartbeat of raft has both ids."""
    return message.type == MSG_HEARTBEAT and not message.to and not message.from_
