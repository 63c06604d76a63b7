"""Links to the other actors of the member: one PUSH socket per living incarnation, one frame per turn.

NB: never connect one PUSH to two endpoints (it deals messages out in turn), never reuse an endpoint name (a dead
receiver's queue is lost without a sound): the endpoint carries the incarnation, and a new incarnation is a new link.
"""

from typing import Any, NamedTuple

import zmq

from etcdz.messages import encode_frame


class Peer(NamedTuple):
    """A living incarnation of another actor. kind: the module below `actors`."""

    name: str
    kind: str
    slot: int
    incarnation: int
    endpoint: str


class Links:
    """Outgoing links by name, with what waits to be sent at the end of the turn.

    A message to a name that is not in the roster waits for it: a new incarnation may be heard of by its first message
    before the roster that names it comes, and would else wait for the answer for ever. What was meant for a former
    incarnation tells so by its fields. What waited for an incarnation that is gone is dropped: `etcdz.messages` says
    for each message what resync does about it.
    """

    def __init__(self, context: "zmq.Context[Any]", supervisor: str) -> None:
        self._context = context
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._waiting: dict[str, list[Any]] = {}
        self.peers: dict[str, Peer] = {}
        self._listeners: dict[int, str] = {}
        self._sockets["supervisor"] = self._connect(supervisor)

    def _connect(self, endpoint: str) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        # Internal pushes never block: what is in flight is bounded where calls are admitted, not here.
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        return socket

    def update(self, children: list[tuple[str, str, int, int, str]], own_name: str) -> tuple[list[Peer], list[Peer]]:
        """Take a new roster. return (peers that are new incarnations, peers that are gone)."""
        alive = {child[0]: Peer(*child) for child in children if child[0] != own_name}
        gone = [peer for name, peer in self.peers.items() if alive.get(name) != peer]
        new = [peer for name, peer in alive.items() if self.peers.get(name) != peer]
        for peer in gone:
            self._sockets.pop(peer.name).close(linger=0)
            self._waiting.pop(peer.name, None)
        for peer in new:
            self._sockets[peer.name] = self._connect(peer.endpoint)
        self.peers = alive
        self._listeners = {peer.slot: peer.name for peer in alive.values() if peer.kind == "listener"}
        return new, gone

    def listener(self, slot: int) -> str:
        """Name of the listener whose request ids carry slot, alive or not: the tree counts its names from 1."""
        return self._listeners.get(slot) or f"listener-{slot + 1}"

    def send(self, name: str, message: Any) -> None:
        """Queue message for name; it leaves with `flush`."""
        waiting = self._waiting.get(name)
        if waiting is None:
            self._waiting[name] = [message]
        else:
            waiting.append(message)

    def send_frame(self, name: str, frame: bytes) -> None:
        """Send a frame that is already encoded, after what waits for name."""
        socket = self._sockets.get(name)
        if socket is None:
            return
        waiting = self._waiting.pop(name, None)
        if waiting:
            socket.send(encode_frame(waiting), zmq.NOBLOCK)
        socket.send(frame, zmq.NOBLOCK)

    def flush(self) -> None:
        """One frame to each destination that something waits for."""
        if not self._waiting:
            return
        held = {}
        for name, batch in self._waiting.items():
            socket = self._sockets.get(name)
            if socket is not None:
                socket.send(encode_frame(batch), zmq.NOBLOCK)
            else:
                held[name] = batch
        self._waiting = held

    def of_kind(self, kind: str) -> list[Peer]:
        return [peer for peer in self.peers.values() if peer.kind == kind]

    def close(self, linger_ms: int) -> None:
        """Let go of all sockets, giving what was sent linger_ms to leave."""
        for socket in self._sockets.values():
            socket.close(linger=linger_ms)
        self._sockets.clear()
