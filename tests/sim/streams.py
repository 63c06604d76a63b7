"""Messages on the ways that the peer actor has for them: two streams that keep their order and break, and POSTs.

What one member says to another goes through the real outbox, codecs and screen (etcdz.peer). A stream that breaks loses
all that is on its way, and what waits for it; the sender's raft is told. Snapshots go otherwise.
"""

from collections.abc import Callable

from etcdz.peer.appends import Append
from etcdz.peer.http1 import ResponseReader
from etcdz.peer.message_stream import MessageDecoder, decode_post
from etcdz.peer.msgapp_stream import MsgappDecoder
from etcdz.peer.outbox import MESSAGE, MSGAPP, Outbox
from etcdz.peer.screen import Screen
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.messages import MSG_APP, Message
from tests.sim.world import World

REDIAL_MS = 200
_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Connection:
    """Of one stream, dialled by one life of its reader."""

    def __init__(self, kind: str, sender: int, target: int, life: int) -> None:
        screen = Screen(target)
        self.kind = kind
        self.life = life
        self.arrives_ms = 0  # the last chunk; the next one comes no earlier
        self._reader = ResponseReader(is_stream=True)
        self._reader.receive(_HEAD)
        self._decoder = MessageDecoder(screen) if kind == MESSAGE else MsgappDecoder(screen, sender)

    def receive(self, data: bytes) -> list[Message]:
        pieces = [piece for piece in self._reader.receive(data) if isinstance(piece, bytes)]
        return [decode_message(encoded) for piece in pieces for encoded in self._decoder.receive(piece)]


class Link:
    """From one life of a member to another member.

    deliver      (message) -> whether there was anybody to take it
    is_cut       whether nothing gets through now
    delay_ms     how long something takes
    life_of      of a member; one that has died has closed its connections
    unreachable  tells the sender's raft
    """

    def __init__(
        self,
        world: World,
        ends: tuple[int, int],
        deliver: Callable[[Message], bool],
        is_cut: Callable[[], bool],
        delay_ms: Callable[[], int],
        life_of: Callable[[int], int],
        unreachable: Callable[[], None],
    ) -> None:
        self._world = world
        self._sender, self._target = ends
        self._deliver = deliver
        self._is_cut = is_cut
        self._delay_ms = delay_ms
        self._life_of = life_of
        self._unreachable = unreachable
        self._outbox = Outbox(*ends)
        self._connections: dict[str, _Connection] = {}
        self._dialling: set[str] = set()

    def send(self, m: Message) -> None:
        if m.type == MSG_APP:
            entries = [entry.encoded for entry in m.entries]
            self._outbox.append(Append(m.term, m.log_term, m.index, m.commit, entries))
        else:
            self._outbox.send(encode_message(m))
        self._flush()

    def break_one(self) -> None:
        """One of the streams, if there are any."""
        if self._connections:
            self._break(self._world.random.choice(list(self._connections.values())))
            self._flush()

    def _flush(self) -> None:
        for kind in (MESSAGE, MSGAPP):
            connection = self._connections.get(kind)
            if connection is None:
                self._dial_soon(kind)
                continue
            while chunk := self._outbox.take(kind):
                connection.arrives_ms = max(connection.arrives_ms, self._world.now + self._delay_ms())
                self._world.after(connection.arrives_ms - self._world.now, self._arrive, connection, chunk)
        while (post := self._outbox.next_post()) is not None:
            self._world.after(self._delay_ms(), self._arrive_post, post)
        if self._outbox.take_unreachable():
            self._unreachable()

    # ---- connections ----

    def _dial_soon(self, kind: str) -> None:
        if kind not in self._dialling:
            self._dialling.add(kind)
            self._world.after(self._world.up_to(REDIAL_MS), self._dial, kind)

    def _dial(self, kind: str) -> None:
        self._dialling.discard(kind)
        if not self._is_cut() and kind not in self._connections:
            self._connections[kind] = _Connection(kind, self._sender, self._target, self._life_of(self._target))
            self._outbox.attach(kind)
            self._world.counts["streams dialled"] += 1

    def _arrive(self, connection: _Connection, chunk: bytes) -> None:
        if self._connections.get(connection.kind) is not connection:
            self._world.counts["messages lost"] += 1
            return
        if self._is_cut() or self._life_of(self._target) != connection.life:
            self._break(connection)
            return
        at = self._world.random.randrange(len(chunk))
        for piece in (chunk[:at], chunk[at:]):
            for message in connection.receive(piece):
                if not self._deliver(message):
                    self._break(connection)
                    return

    def _arrive_post(self, body: bytes) -> None:
        encoded = None if self._is_cut() else decode_post(Screen(self._target), body)
        if encoded is None or not self._deliver(decode_message(encoded)):
            self._world.counts["messages lost"] += 1
            self._outbox.on_post_failed()

    def _break(self, connection: _Connection) -> None:
        if self._connections.get(connection.kind) is connection:
            del self._connections[connection.kind]
            self._outbox.detach(connection.kind)
            self._world.counts["streams broken"] += 1
