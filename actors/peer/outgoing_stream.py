"""A stream of raft messages from this member to another, which has dialled: the answer to its GET."""

import asyncio
from typing import Final

from etcdz.peer.chunks import LAST_CHUNK
from etcdz.peer.outbox import CHUNK_BYTES, LINK_HEARTBEAT_S, Outbox

WRITE_S: Final = 5.0
"""A connection that has taken nothing for so long is cut."""


class OutgoingStream:
    """One connection's. The outbox is told that the stream is attached by whoever makes this.

    filters  whether the one that has dialled takes no proposal twice, if it is marked
    """

    def __init__(
        self, transport: asyncio.Transport, outbox: Outbox, kind: str, now: float, filters: bool = False
    ) -> None:
        self.kind = kind
        self.filters = filters
        self._transport = transport
        self._outbox = outbox
        self._is_paused = False
        self._paused_at = self._wrote_at = now
        self._closing_since: float | None = None
        transport.set_write_buffer_limits(high=CHUNK_BYTES)

    def flush(self) -> None:
        """Write what waits, as far as the connection takes it."""
        take, kind = self._outbox.take, self.kind
        while not self._is_paused and not self._transport.is_closing():
            chunk = take(kind)
            if not chunk:
                return
            self._transport.write(chunk)

    def pause(self, now: float) -> None:
        self._is_paused = True
        self._paused_at = now

    def resume(self) -> None:
        self._is_paused = False
        self.flush()

    def check(self, now: float) -> None:
        """Say something if nothing was said for long; cut a connection that takes nothing, not even its end."""
        if self._transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > WRITE_S:
                self._transport.abort()
        elif self._is_paused:
            if now - self._paused_at > WRITE_S:
                self._transport.abort()
        elif now - self._wrote_at >= LINK_HEARTBEAT_S:
            self._wrote_at = now
            self._outbox.heartbeat(self.kind)
            self.flush()

    def close(self) -> None:
        """No more will come: this actor ends, or the other member is none any more."""
        if not self._is_paused:
            self._transport.write(LAST_CHUNK)
        self._transport.close()
