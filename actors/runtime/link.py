"""Links to the other actors of the member: one per living incarnation, one frame per destination and turn.

NB: never connect one PUSH to two endpoints (it deals messages out in turn), never reuse an endpoint name (a dead
receiver's queue is lost without a sound): the endpoint carries the incarnation, and a new incarnation is a new link.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import zmq

from actors.runtime.mailbox import Link
from etcdz.ipc.messages import encode_frame, first_type
from etcdz.ipc.request_ids import BACKEND_SLOT, LESSOR_SLOT


class Peer(NamedTuple):
    """A living incarnation of another actor. kind: the module below `actors`."""

    name: str
    kind: str
    slot: int
    incarnation: int
    endpoint: str


class Links:
    """Outgoing links by name, with what waits to be sent at the end of the turn.

    A message to a name that is not in the roster waits for it: the first message of a new incarnation may come before
    the roster that names it, and its sender would else wait for the answer for ever. Fields of a message say so if it
    was meant for a former incarnation. What waited for an incarnation that is gone is dropped: `etcdz.ipc.messages`
    says for each message what resync does about it.
    """

    def __init__(self, context: "zmq.Context[Any]", incarnation: int, supervisor: str) -> None:
        self._context = context
        self._incarnation = incarnation
        self._links: dict[str, Link] = {}
        self._waiting: dict[str, list[Any]] = {}
        self.peers: dict[str, Peer] = {}
        self._listeners: dict[int, str] = {}
        self.sent: defaultdict[type[Any], int] = defaultdict(int)
        """Messages that left, by type."""
        self._supervisor: zmq.Socket[bytes] = context.socket(zmq.PUSH)
        self._supervisor.setsockopt(zmq.SNDHWM, 0)
        self._supervisor.setsockopt(zmq.LINGER, 0)
        self._supervisor.connect(supervisor)

    def update(self, children: list[tuple[str, str, int, int, str]], own_name: str) -> tuple[list[Peer], list[Peer]]:
        """Take a new roster. return (peers that are new incarnations, peers that are gone)."""
        alive = self._by_key(children, own_name)
        gone = [peer for name, peer in self.peers.items() if alive.get(name) != peer]
        new = [peer for name, peer in alive.items() if self.peers.get(name) != peer]
        for peer in gone:
            self._links.pop(peer.name).close(linger_ms=0)
            self._waiting.pop(peer.name, None)
        for peer in new:
            self._links[peer.name] = Link(self._context, peer.endpoint, self._incarnation)
        self.peers = alive
        self._listeners = {peer.slot: peer.name for peer in alive.values() if peer.kind == "listener"}
        self._listeners[LESSOR_SLOT] = "lessor"  # proposes as well
        if own_name != "backend":
            self._listeners[BACKEND_SLOT] = "backend"  # asks for read indexes
        return new, gone

    def _by_key(self, children: list[tuple[str, str, int, int, str]], own_name: str) -> dict[str, Peer]:
        """Peers by a name of their own. While one leaves and its successor serves already, they share a name: the one
        that the roster names second is called <name>.<incarnation>, and stays so. An actor has no link to another of
        its own name."""
        keys = {peer.incarnation: key for key, peer in self.peers.items()}
        alive: dict[str, Peer] = {}
        for child in sorted(children, key=lambda child: child[3] not in keys):
            name, incarnation = child[0], child[3]
            if name != own_name:
                key = keys.get(incarnation) or (name if name not in alive else f"{name}.{incarnation}")
                alive[key] = Peer(key, *child[1:])
        return alive

    def listener(self, slot: int) -> str:
        """Name of the listener whose request ids carry slot; "" if it is gone, and its clients' calls with it."""
        return self._listeners.get(slot, "")

    def incarnation_of(self, name: str) -> int:
        """0: it is not alive, or not known yet."""
        peer = self.peers.get(name)
        return peer.incarnation if peer is not None else 0

    def send(self, name: str, message: Any) -> None:
        """Queue message for name; it leaves with `flush`."""
        waiting = self._waiting.get(name)
        if waiting is None:
            self._waiting[name] = [message]
        else:
            waiting.append(message)

    def send_all(self, name: str, messages: Iterable[Any]) -> None:
        """Queue messages for name, in this order."""
        for message in messages:
            self.send(name, message)

    def send_now(self, name: str, message: Any) -> None:
        """Send message, and what waits for name, before what waits for others."""
        self.send(name, message)
        link = self._links.get(name)
        if link is not None:
            batch = self._waiting.pop(name)
            link.send(encode_frame(batch))
            for one in batch:
                self.sent[type(one)] += 1

    def send_deferred(self, name: str, kind: str, message: Any) -> None:
        """Send message, which name need not be woken for unless it heeds this kind (actors/runtime/mailbox.py): now, or
        with what waits for name."""
        link = self._links.get(name)
        if link is None or name in self._waiting:
            self.send(name, message)
            return
        link.send_deferred(kind, encode_frame([message]))
        self.sent[type(message)] += 1

    def tell_supervisor(self, message: Any) -> None:
        """Send message to the supervisor now."""
        self._supervisor.send(encode_frame([message]), zmq.NOBLOCK)

    def send_frame(self, name: str, frame: bytes) -> None:
        """Send a frame that is already encoded, after what waits for name."""
        link = self._links.get(name)
        if link is None:
            return
        waiting = self._waiting.pop(name, None)
        if waiting:
            link.send(encode_frame(waiting))
            for message in waiting:
                self.sent[type(message)] += 1
        link.send(frame)
        self.sent[first_type(frame)] += 1

    def flush(self) -> None:
        """One frame to each destination that something waits for."""
        if not self._waiting:
            return
        held = {}
        sent = self.sent
        for name, batch in self._waiting.items():
            link = self._links.get(name)
            if link is not None:
                link.send(encode_frame(batch))
                for message in batch:
                    sent[type(message)] += 1
            elif name:
                held[name] = batch
        self._waiting = held

    def frames_sent(self) -> dict[str, int]:
        """By name of the receiver: frames that were sent to its living incarnation."""
        return {name: link.sent for name, link in self._links.items()}

    def of_kind(self, kind: str) -> list[Peer]:
        """Living incarnations of this kind of actor: several listeners, at most one and its successor of the others."""
        return [peer for peer in self.peers.values() if peer.kind == kind]

    def close(self, linger_ms: int) -> None:
        """Let go of all sockets, giving what was sent linger_ms to leave."""
        for link in self._links.values():
            link.close(linger_ms)
        self._links.clear()
        self._supervisor.close(linger=linger_ms)
