"""Embedded members for asyncio: what waits is awaited, and runs in a thread meanwhile.

async with etcdz.embed.aio.Member() as member:
    await member.actors.restart("wal")
"""

import asyncio
import signal
from typing import Any, Self

from etcdz.embed import actors, cluster, member
from etcdz.embed.entered import AsyncEntered
from etcdz.embed.member import READY_S, STOP_S


class Actors:
    """As etcdz.embed.Actors."""

    def __init__(self, orders: actors.Actors) -> None:
        self._orders = orders

    async def ps(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self._orders.ps)

    async def pid(self, name: str) -> int:
        return await asyncio.to_thread(self._orders.pid, name)

    async def restart(self, name: str, *, graceful: bool = False, upgrade: bool = False, force: bool = False) -> None:
        await asyncio.to_thread(self._orders.restart, name, graceful=graceful, upgrade=upgrade, force=force)

    async def stop(self, name: str, *, force: bool = False) -> None:
        await asyncio.to_thread(self._orders.stop, name, force=force)

    async def start(self, name: str) -> None:
        await asyncio.to_thread(self._orders.start, name)

    async def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        await asyncio.to_thread(self._orders.kill, name, signum)

    async def scale(self, kind: str, count: int) -> None:
        await asyncio.to_thread(self._orders.scale, kind, count)

    async def events(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self._orders.events)


class Member(AsyncEntered):
    """As etcdz.embed.Member, with the same arguments. `blocking` is that one."""

    def __init__(self, **options: Any) -> None:
        self.blocking = member.Member(**options)

    @property
    def endpoints(self) -> list[str]:
        return self.blocking.endpoints

    @property
    def running(self) -> bool:
        return self.blocking.running

    @property
    def actors(self) -> Actors:
        return Actors(self.blocking.actors)

    async def start(self, timeout_s: float = READY_S) -> Self:
        await asyncio.to_thread(self.blocking.start, timeout_s)
        return self

    async def stop(self, timeout_s: float = STOP_S) -> int | None:
        return await asyncio.to_thread(self.blocking.stop, timeout_s)

    async def kill(self) -> int | None:
        return await asyncio.to_thread(self.blocking.kill)

    async def restart(self, timeout_s: float = READY_S) -> Self:
        await asyncio.to_thread(self.blocking.restart, timeout_s)
        return self

    async def close(self) -> None:
        await asyncio.to_thread(self.blocking.close)


class Cluster(AsyncEntered):
    """As etcdz.embed.Cluster, with the same arguments. `blocking` is that one."""

    def __init__(self, size: int = 3, **options: Any) -> None:
        self.blocking = cluster.Cluster(size, **options)

    @property
    def endpoints(self) -> list[str]:
        return self.blocking.endpoints

    async def start(self, timeout_s: float = READY_S) -> Self:
        await asyncio.to_thread(self.blocking.start, timeout_s)
        return self

    async def stop(self) -> None:
        await asyncio.to_thread(self.blocking.stop)

    async def close(self) -> None:
        await asyncio.to_thread(self.blocking.close)
