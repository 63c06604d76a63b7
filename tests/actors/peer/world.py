"""Peer actors in one event loop with real sockets; messages in place of the other actors of each member."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from actors.peer.actor import PeerActor
from actors.runtime import event_loop as module
from actors.runtime.link import Peer
from etcdz.cluster.founding import Founding, found
from etcdz.config import MemberConfig
from etcdz.embed import ports
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Send
from etcdz.net.address import Address
from etcdz.net.listen_sockets import bind_tcp
from etcdz.raft.codec import encode_message
from etcdz.raft.messages import Message
from etcdz.tls.settings import NO_TLS, TlsSettings

TOKEN = "t"
PATIENCE_S = 240.0
"""Only how long a broken test takes: every wait ends with the event that it waits for."""
NOT_SECURE: Mapping[str, TlsSettings] = {}
LISTENER, LESSOR, RAFT = (Peer(name, name, 0, number, "") for number, name in enumerate(("listener", "lessor", "raft")))


class Log:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, msg: str, **fields: Any) -> None:
        self.lines.append((msg, fields))

    warn = error = info

    def log(self, level: str, msg: str, **fields: Any) -> None:
        self.lines.append((msg, fields))

    def errors(self, msg: str) -> list[str]:
        """Of the lines with this message."""
        return [fields["error"] for text, fields in self.lines if text == msg]


class World:
    """An event loop, and ports for members whose names are given: `start` makes some of them peer actors."""

    def __init__(
        self,
        directory: Path,
        patch: pytest.MonkeyPatch,
        names: str = "abc",
        tls: Mapping[str, TlsSettings] = NOT_SECURE,
    ) -> None:
        """tls: of each member; with any, all peer URLs are https"""
        self._directory = directory
        self.tls = tls
        self._patch = patch
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        patch.setattr(module.uvloop, "new_event_loop", lambda: self.loop)
        self._held = {name: ports.hold() for name in names}
        self.ports = {name: ports.port_of(held) for name, held in self._held.items()}
        scheme = "https" if tls else "http"
        self.urls = {name: f"{scheme}://127.0.0.1:{port}" for name, port in self.ports.items()}
        self.members: dict[str, Member] = {}

    def founding(self, name: str) -> Founding:
        return found({each: [url] for each, url in self.urls.items()}, TOKEN, name)

    def id_of(self, name: str) -> int:
        return self.founding(name).member_id

    def start(self, name: str, founding: Founding | None = None) -> "Member":
        directory = self._directory / name
        directory.mkdir()
        member = self.members[name] = Member(self, name, directory, founding or self.founding(name))
        self._patch.setattr(member.actor.links, "send", lambda to, message: member.sent.append((to, message)))
        self._patch.setattr(member.actor.links, "incarnation_of", member.alive.count)
        self._patch.setattr(
            member.actor.links, "of_kind", lambda kind: [p for p in member.neighbours if p.kind == kind]
        )
        member.actor.links.peers = {peer.name: peer for peer in member.neighbours}
        member.actor.open()
        return member

    def until(self, is_true: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not is_true():
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(asyncio.wait_for(wait(), PATIENCE_S))
        for member in self.members.values():
            if member.actor.failure is not None:
                raise member.actor.failure

    def run(self, work: Any) -> Any:
        """The result of a coroutine."""
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE_S))

    def close(self) -> None:
        for member in self.members.values():
            member.actor.on_stop()
            member.actor.close(0)
        self.loop.run_until_complete(asyncio.sleep(0))
        for held in self._held.values():
            held.close()


class Member:
    """One peer actor, and what it has sent. alive: names of the actors beside it."""

    def __init__(self, world: World, name: str, directory: Path, founding: Founding) -> None:
        self.world = world
        self.id = founding.member_id
        self.sent: list[tuple[str, Any]] = []
        self.alive = ["raft"]
        self.neighbours = [LISTENER, LESSOR, RAFT]
        port = world.ports[name]
        config = MemberConfig(
            name=name,
            data_dir=str(directory / "data"),
            listen_peer_urls=(world.urls[name],),
            initial_advertise_peer_urls=(world.urls[name],),
            founding=founding,
            peer_tls=world.tls.get(name, NO_TLS),
        ).to_dict()
        endpoint, supervisor = (f"ipc://{directory}/{part}" for part in ("p", "s"))
        sock = bind_tcp(Address("127.0.0.1", port)).detach()
        boot = Boot("peer", "peer", 0, 7, str(directory), endpoint, supervisor, [], config, {})
        boot = boot._replace(listen_sockets=[(f"127.0.0.1:{port}", 1)], fds=[sock])
        self.actor = PeerActor(boot)
        self.actor.log = self.log = Log()

    def of(self, kind: type[Any], to: str = "") -> list[Any]:
        """What it has sent of this kind, to this actor or to all."""
        return [message for name, message in self.sent if isinstance(message, kind) and to in ("", name)]

    def received(self) -> list[bytes]:
        from etcdz.ipc.messages import Received

        return [one for message in self.of(Received) for one in message.messages]

    def send(self, *messages: Message, appends: Any = (), forwarded: Any = ()) -> None:
        """As raft does in one turn."""
        pairs = [(message.to, encode_message(message)) for message in messages]
        self.actor.on_send(Send(1, pairs, list(appends), forwarded))
        self.actor.flush()
