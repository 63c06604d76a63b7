"""What MemberList answers: the proxies that have registered, or this one, or the members of the cluster.

A proxy registers at <resolver-prefix>/<advertised address>, with a lease that it keeps alive:

    {"Op":0,"Addr":"10.0.0.1:23790","Metadata":"{\\"name\\":\\"host\\"}"}

Source: etcd 3.5 grpcproxy/register.go, cluster.go, client/v3/naming/endpoints.
"""

import asyncio
import json
import socket
from typing import Final

from etcdz.client.aio import Client
from etcdz.client.errors import EtcdError
from etcdz.client.results import DELETE
from etcdz.proto import etcdserverpb as pb
from etcdz.telemetry import logs

log = logs.get()

RETRY_S: Final = 1.0


class Members:
    """prefix: where proxies register, empty: they do not; address: of this one, empty: it is not told"""

    def __init__(self, client: Client, prefix: bytes, address: str) -> None:
        self._client = client
        self._prefix = prefix
        self._address = address
        self._name = socket.gethostname()
        self._found: dict[bytes, tuple[str, str]] = {}

    def answer(self, body: bytes) -> bytes | None:
        """To a MemberListRequest. None: the cluster is to say"""
        if not self._address:
            return None
        members = sorted(self._found.values()) or [(self._name, self._address)]
        listed = [pb.Member(name=name, clientURLs=[address]) for name, address in members]
        return pb.MemberListResponse(members=listed).SerializeToString()

    # ---- registration ----

    async def register(self, ttl_s: int) -> None:
        """Goes on until it is cancelled."""
        while True:
            try:
                await self._stay_registered(ttl_s)
                log.warn("session expired; possible network partition or server restart")
                log.warn("creating a new session to rejoin")
            except EtcdError as error:
                log.warn("failed to create a session", error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _stay_registered(self, ttl_s: int) -> None:
        """Until the lease is lost. raises EtcdError"""
        metadata = json.dumps({"name": self._name}, separators=(",", ":"))
        value = json.dumps({"Op": 0, "Addr": self._address, "Metadata": metadata}, separators=(",", ":"))
        lost = asyncio.Event()
        async with self._client.lease(ttl_s, on_lost=lost.set) as lease:
            await self._client.put(self._prefix + b"/" + self._address.encode(), value, lease=lease)
            log.info("registered session with lease", addr=self._address, lease_ttl=ttl_s)
            await lost.wait()

    # ---- who else has ----

    async def follow(self) -> None:
        """Goes on until it is cancelled."""
        prefix = self._prefix + b"/"
        while True:
            try:
                await self._follow(prefix)
            except EtcdError as error:
                log.warn("failed to establish endpoint watch", prefix=self._prefix, error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _follow(self, prefix: bytes) -> None:
        """raises EtcdError"""
        async with self._client.watch(prefix=prefix) as events:
            self._found = {}
            async for kv in self._client.range(prefix=prefix):
                self._learn(kv.key, kv.value)
            async for event in events:
                if event.type == DELETE:
                    self._found.pop(event.key, None)
                elif event.kv is not None:
                    self._learn(event.key, event.kv.value)

    def _learn(self, key: bytes, value: bytes) -> None:
        """NB: anybody may write there."""
        try:
            said = json.loads(value)
            address, metadata = str(said["Addr"]), json.loads(said["Metadata"])
            self._found[key] = str(metadata["name"]), address
        except (ValueError, KeyError, TypeError):
            log.warn("what is registered there is no proxy", key=key.decode("utf-8", "replace"))
