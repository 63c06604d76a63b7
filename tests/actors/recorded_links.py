"""Links of an actor in a test: they lead nowhere, and what is sent is remembered in order."""

from collections.abc import Iterable
from typing import Any

from actors.runtime.link import Peer
from etcdz.ipc.messages import decode_frame


class RecordedLinks:
    """sent: (name, message); a frame counts as its messages. peers: those that `of_kind` finds."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.peers: list[Peer] = []

    def send(self, name: str, message: Any) -> None:
        self.sent.append((name, message))

    def send_now(self, name: str, message: Any) -> None:
        self.send(name, message)

    def send_deferred(self, name: str, kind: str, message: Any) -> None:
        self.send(name, message)

    def send_all(self, name: str, messages: Iterable[Any]) -> None:
        self.sent += [(name, message) for message in messages]

    def send_frame(self, name: str, frame: bytes) -> None:
        self.sent += [(name, message) for message in decode_frame(frame)]

    def flush(self) -> None:
        pass

    def listener(self, slot: int) -> str:
        return f"listener-{slot}"

    def of_kind(self, kind: str) -> list[Peer]:
        return [peer for peer in self.peers if peer.kind == kind]

    def take(self) -> list[tuple[str, Any]]:
        taken, self.sent = self.sent, []
        return taken

    def of(self, kind: type[Any]) -> list[Any]:
        """Messages of one kind, which are then forgotten with all others."""
        return [message for _, message in self.take() if isinstance(message, kind)]
