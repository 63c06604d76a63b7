"""What other members ask over HTTP and another actor answers: about leases the lessor, all else a listener."""

from typing import Any, Final, NamedTuple, Protocol

from actors.peer.accepted import AcceptedConnection
from actors.runtime.event_loop import Clocked
from actors.runtime.link import Links
from etcdz.ipc.messages import PeerAsk, PeerReply
from etcdz.peer.answers import asked_answer, text_error
from etcdz.peer.directory import Directory
from etcdz.peer.heads import RequestHead

OVERDUE_S: Final = 10.0
"""The actor that is asked has its own deadline, which is shorter; this one is for an actor that has ended."""
ASKS_MAX: Final = 1024
"""Under way at a time."""


class Host(Protocol):
    """What these need of the actor."""

    event_loop: Any
    links: Links
    directory: Directory
    clocked: set[Clocked]

    def start_clock(self) -> None: ...


class _Ask(NamedTuple):
    connection: AcceptedConnection
    path: bytes
    overdue_at: float


class Asks:
    """Those under way, by number, in the order in which they are overdue."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._under_way: dict[int, _Ask] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, connection: AcceptedConnection, request: RequestHead, body: bytes) -> None:
        name = self._answerer(request.path)
        if not name or len(self._under_way) >= ASKS_MAX:
            connection.answer(text_error(500, "no process of this member can answer now"))
            return
        self._last_id += 1
        self._host.clocked.add(self)
        self._host.start_clock()
        overdue_at = self._host.event_loop.time() + OVERDUE_S
        self._under_way[self._last_id] = _Ask(connection, request.path, overdue_at)
        ask = PeerAsk(self._last_id, request.method.decode(), request.path.decode("latin-1"), body)
        self._host.links.send(name, ask)
        self._host.links.flush()

    def _answerer(self, path: bytes) -> str:
        """Name of the actor; "" if none is there."""
        kind = "lessor" if path.startswith(b"/leases") else "listener"
        peers = self._host.links.of_kind(kind)
        return peers[self._last_id % len(peers)].name if peers else ""

    def on_reply(self, reply: PeerReply) -> None:
        ask = self._under_way.pop(reply.id, None)
        if ask is not None:
            answer = asked_answer(self._host.directory, ask.path, reply.status, reply.content_type, reply.body)
            ask.connection.answer_later(answer)

    def check(self, now: float) -> None:
        """Answer what will not be answered any more."""
        for id_, ask in list(self._under_way.items()):
            if now < ask.overdue_at:
                return
            del self._under_way[id_]
            ask.connection.answer_later(text_error(408, "request timed out"))
        self._host.clocked.discard(self)
