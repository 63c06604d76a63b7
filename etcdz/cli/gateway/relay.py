"""The connections of a gateway: bytes go both ways as they come, until both ends have said their last.

NB: one end that is done is told to the other, which may go on; etcd's gateway drops what is under way then.
"""

import asyncio
import errno
import socket
from contextlib import suppress
from typing import Final

from etcdz.cli.gateway.remotes import Record, Remotes
from etcdz.telemetry import logs

log = logs.get()

CHUNK_BYTES: Final = 64 << 10
DIAL_S: Final = 5.0
"""etcd has no limit but the kernel's of minutes, in which a client waits for a host that is gone."""


KEEP_ALIVE_S: Final = 15
_OWN_ERRORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
"""They say nothing of the member that was dialled, which goes on to be asked."""


class Relay:
    """retry_s: when an inactive member is tried again"""

    def __init__(self, remotes: Remotes, retry_s: float) -> None:
        self._remotes = remotes
        self._retry_s = retry_s
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket) -> None:
        """Until cancelled."""
        server = await asyncio.start_server(self._accepted, sock=listening, limit=CHUNK_BYTES)
        log.info("ready to proxy client requests", endpoints=[str(record) for record in self._remotes])
        try:
            await self._try_again_and_again()
        finally:
            server.close()
            for task in list(self._connections):
                task.cancel()

    async def _try_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._retry_s)
            await asyncio.gather(*[self._try_again(record) for record in self._remotes.inactive])

    async def _try_again(self, record: Record) -> None:
        try:
            _, writer = await self._dial(record)
        except OSError as error:
            text = "failed to activate endpoint (stay inactive for another interval)"
            log.warn(text, address=str(record), interval=_duration(self._retry_s), error=str(error))
            return
        writer.close()
        self._remotes.activate(record)
        log.info("activated", address=str(record))

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keep_alive(writer)
        remote = await self._connect()
        if remote is None:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, remote[1]))
                both.create_task(_copy(remote[0], writer))
        except* OSError:  # one end is gone, and all that was under way with it
            pass
        finally:
            for end in (writer, remote[1]):
                with suppress(OSError):
                    end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while (record := self._remotes.pick()) is not None:
            try:
                return await self._dial(record)
            except OSError as error:
                if error.errno in _OWN_ERRORS:
                    log.warn("failed to dial for want of this process's own resources", error=str(error))
                    return None
                self._remotes.deactivate(record)
                address, interval = str(record), _duration(self._retry_s)
                log.warn("deactivated endpoint", address=address, interval=interval, error=str(error))
        return None

    async def _dial(self, record: Record) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """raises OSError"""
        try:
            async with asyncio.timeout(DIAL_S):
                remote = await asyncio.open_connection(record.host, record.port, limit=CHUNK_BYTES)
        except TimeoutError:
            raise OSError(f"dial tcp {record}: i/o timeout") from None
        keep_alive(remote[1])
        return remote


def keep_alive(end: asyncio.StreamWriter) -> None:
    """An end whose host is gone without a word is noticed, as by Go's: else its connection would stay for ever."""
    sock = end.get_extra_info("socket")
    with suppress(OSError):  # it has just ended
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            sock.setsockopt(socket.IPPROTO_TCP, option, KEEP_ALIVE_S)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """raises OSError"""
    while data := await source.read(CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


def _duration(seconds: float) -> str:
    """As Go writes it."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
