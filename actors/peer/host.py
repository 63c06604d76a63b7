"""What the connections of the peer actor need of it."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from actors.peer.peer_tls import PeerTls
from actors.runtime.event_loop import Clocked
from etcdz.peer.dialling import Dialler
from etcdz.peer.directory import Directory
from etcdz.peer.screen import Screen


class Host(Protocol):
    """The actor.

    clocked  what is checked several times a second
    dial_s   an election timeout
    """

    event_loop: asyncio.AbstractEventLoop
    directory: Directory
    dialler: Dialler
    screen: Screen
    clocked: set[Clocked]
    dial_s: float
    tls: PeerTls
    log: Any

    def deliver(self, messages: Sequence[bytes]) -> None:
        """Encoded messages, to raft."""

    def start_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """An error of it ends the actor."""

    def on_connection_error(self, what: str, error: Exception) -> None:
        """A connection has ended because of a defect here; all else goes on."""

    def on_removed(self) -> None:
        """Another member says that this one is no member any more."""
