"""The supervisor's sockets: its own mailbox, and one link to each ready actor."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

from etcdz.ipc.messages import encode_frame
from etcdz.limits import FRAMES_PER_TURN


class Links:
    """One PUSH per ready incarnation. Sending never waits: what an actor does not take is lost, or it is hung."""

    def __init__(self, context: "zmq.Context[Any]", run_dir: Path, incarnation: int) -> None:
        self._context = context
        self._run_dir = run_dir
        self._sockets: dict[int, zmq.Socket[bytes]] = {}
        """By incarnation."""
        self.endpoint = f"ipc://{run_dir}/supervisor.{incarnation}"
        self.mailbox: zmq.Socket[bytes] = context.socket(zmq.PULL)
        self.mailbox.bind(self.endpoint)

    def path(self, name: str, incarnation: int) -> Path:
        """File of this incarnation's mailbox; what else it keeps lies beside it, as <path>.*"""
        return self._run_dir / f"{name}.{incarnation}"

    def endpoint_of(self, name: str, incarnation: int) -> str:
        """The mailbox that this incarnation binds."""
        return f"ipc://{self.path(name, incarnation)}"

    def receive(self) -> list[bytes]:
        """Frames that have come, not decoded; the rest stays for the next turn."""
        found: list[bytes] = []
        with suppress(zmq.Again):
            for _ in range(FRAMES_PER_TURN):
                found.append(self.mailbox.recv(zmq.NOBLOCK))
        return found

    def connect(self, name: str, incarnation: int) -> None:
        """A link to an incarnation that is ready, so that its mailbox is bound."""
        link: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        link.setsockopt(zmq.LINGER, 0)
        link.connect(self.endpoint_of(name, incarnation))
        self._sockets[incarnation] = link

    def disconnect(self, incarnation: int) -> None:
        """Close the link, if there is one; what was not sent is dropped."""
        link = self._sockets.pop(incarnation, None)
        if link is not None:
            link.close(linger=0)

    def send(self, incarnation: int, message: Any) -> None:
        """A message of etcdz.ipc.messages; dropped if there is no link."""
        link = self._sockets.get(incarnation)
        if link is not None:
            with suppress(zmq.Again):
                link.send(encode_frame([message]), zmq.NOBLOCK)

    def remove_files(self, name: str, incarnation: int) -> None:
        """An incarnation is dead: its files would only be in the way. raises OSError. May be called by any thread"""
        endpoint = self.path(name, incarnation)
        endpoint.unlink(missing_ok=True)
        for path in endpoint.parent.glob(f"{endpoint.name}.*"):  # what actors keep beside their mailbox
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """All links and the mailbox."""
        for incarnation in list(self._sockets):
            self.disconnect(incarnation)
        self.mailbox.close(linger=0)
