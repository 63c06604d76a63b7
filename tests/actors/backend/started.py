"""A backend actor over a directory of its own, whose links remember what it sends."""

from pathlib import Path
from typing import Any

from actors.backend.actor import BackendActor
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Replies
from etcdz.ipc.request_ids import RequestIds
from etcdz.proto import etcdserverpb as pb
from tests.actors.recorded_links import RecordedLinks

RAFT = 5
"""Incarnation of the raft that hands entries over."""
TERM = 3
MEMBER_ID = 0x8E9E05C52164694D
"""Of a member with the default flags."""


class Started:
    """The actor after its start. `folder` must be short: it holds a unix socket."""

    def __init__(self, folder: Path, incarnation: int = 7, **config: Any) -> None:
        member = MemberConfig(data_dir=str(folder / "data"), **config)
        endpoints = f"ipc://{folder}/backend.{incarnation}", f"ipc://{folder}/supervisor"
        boot = Boot("backend", "backend", 0, incarnation, str(folder), *endpoints, [], member.to_dict(), {})
        self.actor = BackendActor(boot)
        self.actor.links.close(0)
        self.links = RecordedLinks()
        self.actor.links = self.links  # type: ignore[assignment]
        self.actor.heartbeat = lambda now: None  # type: ignore[method-assign]  # nobody listens, however long it takes
        try:
            self.actor.on_start()
        except BaseException:
            self._close_sockets()
            raise

    def hand(self, message: Any) -> None:
        """A message, without the end of the turn."""
        self.actor.handlers[type(message)](message)

    def turn(self, *messages: Any) -> list[tuple[str, Any]]:
        """A turn with these messages. return what it has sent"""
        for message in messages:
            self.hand(message)
        self.actor.on_turn_end()
        return self.links.take()

    def close(self) -> None:
        """As a killed process: what was not committed is lost."""
        self.actor.store.close()
        self.actor.ring.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        self.actor.mailbox.close()
        self.actor.context.term()


class Entries:
    """Puts of the listener with a slot, as raft entries. member_id: whose listener it is"""

    def __init__(self, slot: int = 1, member_id: int = MEMBER_ID) -> None:
        self.ids = RequestIds(member_id, slot, 1)

    def put(self, key: bytes, value: bytes = b"v") -> tuple[int, bytes]:
        """(request id, entry)."""
        request_id = self.ids.next()
        request = pb.InternalRaftRequest(
            header=pb.RequestHeader(ID=request_id), put=pb.PutRequest(key=key, value=value)
        )
        return request_id, request.SerializeToString()


def replied(sent: list[tuple[str, Any]]) -> list[tuple[str, int]]:
    """(receiver, request id) of all replies, in order."""
    return [(name, item[0]) for name, message in sent if isinstance(message, Replies) for item in message.items]
