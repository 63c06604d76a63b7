"""A TCP proxy in front of each member of a cluster, so that links between members can be slow, one-way or cut.

    python -m tests.peer_proxy FD        FD: a connected stream socket; see tests/peer_network.py for the other end

Members advertise the proxy's port and listen on another. Who dials is found out by the process that owns the other end
of the connection: neither the address nor all requests tell. A link is a direction between two members, whoever has
made the connection; bytes are only ever late or never there, and never others or in another order.

It is a process of its own, so that what a test does beside it does not slow the links down. It ends with its FD.
"""

import asyncio
import json
import os
import random
import socket
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import uvloop

from tests.etcd_process import free_port

HELD_BYTES_MAX: Final = 4 << 20
"""Of one direction of a connection; beyond, its sender feels that nobody reads."""
_HOST: Final = "127.0.0.1"


class Rule(NamedTuple):
    """What happens to the bytes of a link. frozen: they stay where they are, the end of a connection as well"""

    frozen: bool = False
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Up to so much more, for each piece; they stay in order."""
    bytes_per_s: float = 0.0
    """0: no limit."""


class Door(NamedTuple):
    """The way to one member. port: what others dial; target: where it listens"""

    port: int
    target: int


class Proxy:
    """All doors, and the state of all links."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.doors: dict[str, Door] = {}
        self.sessions: dict[str, int] = {}
        """Member -> the session that its processes are in."""
        self.rules: dict[tuple[str, str], Rule] = {}
        self.cut: set[frozenset[str]] = set()
        self.connections: set[Connection] = set()
        self.bytes: dict[str, int] = {}
        """"a>b" -> what has passed from a to b."""
        self.strangers = 0
        self._dialers: dict[str, int] = {}
        """Member -> its process that dialled last."""

    # ---- orders

    async def open_door(self, name: str, target: int) -> int:
        """return the port that others have to dial"""
        while True:
            port = free_port()
            try:
                await self.loop.create_server(lambda: Dialled(self, name), _HOST, port, reuse_address=True)
            except OSError:
                continue
            self.doors[name] = Door(port, target)
            return port

    def set_links(self, rules: list[list[Any]], cut: list[list[str]]) -> None:
        """All at once. rules: (from, to, fields of Rule); cut: pairs whose connections break, new ones too"""
        self.rules = {(source, target): Rule(**fields) for source, target, fields in rules}
        self.cut = {frozenset(pair) for pair in cut}
        for connection in list(self.connections):
            if frozenset((connection.dialer, connection.name)) in self.cut:
                connection.abort()
            else:
                connection.pump()

    def statistics(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "connections": len(self.connections), "strangers": self.strangers}

    # ---- who dials

    def owner(self, port: int, door: int) -> str | None:
        """The member with a socket from this port to the door, None if there is none (any more)."""
        inode = _inode(port, door)
        if inode is None:
            return None
        link = f"socket:[{inode}]"
        for name, pid in self._dialers.items():
            if _has(pid, link):
                return name
        by_session = {session: name for name, session in self.sessions.items()}
        for pid, session in _sessions():
            if session in by_session and _has(pid, link):
                self._dialers[by_session[session]] = pid
                return by_session[session]
        return None


def _inode(port: int, door: int) -> int | None:
    """Of the socket of this machine whose own port is `port`, and whose other end is `door`."""
    ends = f"0100007F:{port:04X} 0100007F:{door:04X} "
    with open("/proc/net/tcp") as table:
        line = next((line for line in table if ends in line), None)
    return int(line.split()[9]) if line else None


def _sessions() -> Iterator[tuple[int, int]]:
    """(process, its session)"""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                yield int(name), os.getsid(int(name))


def _has(pid: int, link: str) -> bool:
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for fd in os.listdir(folder):
            with suppress(OSError):
                if os.readlink(f"{folder}/{fd}") == link:
                    return True
    return False


class Connection:
    """From a member that dials to the one behind the door."""

    def __init__(self, proxy: Proxy, name: str, dialled: "Dialled") -> None:
        self.proxy = proxy
        self.name = name
        self.dialer = ""
        self.dialled = dialled
        self.target: Side | None = None

    async def open(self) -> None:
        port = self.dialled.transport.get_extra_info("peername")[1]
        dialer = self.proxy.owner(port, self.proxy.doors[self.name].port)
        if dialer is None:
            self.proxy.strangers += 1
        if dialer is None or frozenset((dialer, self.name)) in self.proxy.cut:
            self.dialled.transport.abort()
            return
        self.dialer = dialer
        self.proxy.connections.add(self)
        try:
            _, self.target = await self.proxy.loop.create_connection(
                lambda: Side(self), _HOST, self.proxy.doors[self.name].target
            )
        except OSError:
            self.abort()
            return
        there = Pipe(self, dialer, self.name, self.dialled.transport, self.target.transport)
        back = Pipe(self, self.name, dialer, self.target.transport, self.dialled.transport)
        self.dialled.join(there, back)
        self.target.join(back, there)

    def abort(self) -> None:
        self.proxy.connections.discard(self)
        for side in (self.dialled, self.target):
            if side is not None:
                side.transport.abort()

    def pump(self) -> None:
        for side in (self.dialled, self.target):
            if side is not None and side.sends is not None:
                side.sends.pump()


class Side(asyncio.Protocol):
    """One of a connection's two ends at the proxy."""

    transport: asyncio.Transport

    def __init__(self, connection: Connection | None) -> None:
        self.connection = connection
        self.sends: Pipe | None = None
        """What comes from this end."""
        self.takes: Pipe | None = None
        """What goes to it."""
        self._early: list[bytes] = []
        """What came before it was known where it goes."""
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def join(self, sends: "Pipe", takes: "Pipe") -> None:
        self.sends, self.takes = sends, takes
        for data in self._early:
            sends.feed(data)
        self._early.clear()
        if self._is_lost:
            sends.end()

    def data_received(self, data: bytes) -> None:
        if self.sends is None:
            self._early.append(data)
        else:
            self.sends.feed(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_lost = True
        if self.sends is not None:
            self.sends.end()

    def pause_writing(self) -> None:
        if self.takes is not None:
            self.takes.hold(True)

    def resume_writing(self) -> None:
        if self.takes is not None:
            self.takes.hold(False)


class Dialled(Side):
    """The end that a member has dialled."""

    def __init__(self, proxy: Proxy, name: str) -> None:
        super().__init__(None)
        self._proxy, self._name = proxy, name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connection = Connection(self._proxy, self._name, self)
        self._opening = self._proxy.loop.create_task(self.connection.open())


class Pipe:
    """One direction of a connection: what has come and is not delivered yet, in order."""

    def __init__(
        self,
        connection: Connection,
        sender: str,
        receiver: str,
        source: asyncio.Transport,
        sink: asyncio.Transport,
    ) -> None:
        self._source = source
        self._sink = sink
        self._connection = connection
        self._proxy = connection.proxy
        self._link = (sender, receiver)
        self._count = f"{sender}>{receiver}"
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._sink_is_full = False

    def feed(self, data: bytes) -> None:
        rule = self._proxy.rules.get(self._link)
        if rule is None and not self._held:
            self._deliver(data)
            return
        rule = rule or Rule()
        due = self._proxy.loop.time() + rule.delay_s + self._proxy.random.uniform(0, rule.jitter_s)
        due = max(due, self._last_due) + (len(data) / rule.bytes_per_s if rule.bytes_per_s else 0)
        self._last_due = due
        self._held.append((due, data))
        self._held_bytes += len(data)
        self._adjust_reading()
        self.pump()

    def end(self) -> None:
        """Nothing more comes from the source."""
        self._ended = True
        self.pump()

    def hold(self, is_full: bool) -> None:
        self._sink_is_full = is_full
        self._adjust_reading()

    def pump(self) -> None:
        """Delivers what is due, and comes back for what is not."""
        rule = self._proxy.rules.get(self._link)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if rule is not None and rule.frozen:
            return
        now = self._proxy.loop.time()
        while self._held and (rule is None or self._held[0][0] <= now):
            _, data = self._held.popleft()
            self._held_bytes -= len(data)
            self._deliver(data)
        self._adjust_reading()
        if self._held:
            self._timer = self._proxy.loop.call_at(self._held[0][0], self.pump)
        elif self._ended:
            self._connection.proxy.connections.discard(self._connection)
            self._sink.close()

    def _deliver(self, data: bytes) -> None:
        self._proxy.bytes[self._count] = self._proxy.bytes.get(self._count, 0) + len(data)
        if not self._sink.is_closing():
            self._sink.write(data)

    def _adjust_reading(self) -> None:
        if self._source.is_closing():
            return
        if self._sink_is_full or self._held_bytes > HELD_BYTES_MAX:
            self._source.pause_reading()
        else:
            self._source.resume_reading()


# ---- control


async def serve(control: socket.socket, seed: int) -> None:
    """Orders are lines of JSON: [name, arguments]. Each has one line as its answer."""
    proxy = Proxy(seed)
    reader, writer = await asyncio.open_connection(sock=control)
    while line := await reader.readline():
        name, arguments = json.loads(line)
        answer: Any = None
        if name == "open_door":
            answer = await proxy.open_door(*arguments)
        elif name == "set_links":
            proxy.set_links(*arguments)
        elif name == "set_sessions":
            proxy.sessions = arguments[0]
        elif name == "statistics":
            answer = proxy.statistics()
        else:
            raise ValueError(f"no such order: {name}")
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(control, int(sys.argv[2])))


if __name__ == "__main__":
    main()
