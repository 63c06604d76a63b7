"""The actor of a proxy: it accepts clients, and asks the members now and then who they are.

Their peer URLs are kept in <data-dir>/proxy/cluster, so that a proxy that starts again finds them although none of the
first members is there any more.
"""

import asyncio
import json
import os
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from actors.proxy.client import ProxyClient
from actors.proxy.endpoints import Endpoint, Endpoints
from actors.proxy.upstream import Timeouts, Upstream
from actors.runtime.event_loop import EventLoopActor
from actors.runtime.loop import run_actor
from etcdz import limits
from etcdz.bootstrap.errors import BootstrapError
from etcdz.bootstrap.other_members import RunningCluster, running_cluster
from etcdz.config import MemberConfig
from etcdz.config.urls import parse_url
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Listen
from etcdz.net.address import address_of
from etcdz.net.tls_socket import TlsDialler
from etcdz.tls.contexts import client_context
from etcdz.tls.files import TlsFiles

BACKLOG: Final = 512
PATIENT_S: Final = 30.0
"""Who is to look so seldom looks every second while nobody is known."""
IMPATIENT_S: Final = 1.0


class ProxyActor(EventLoopActor):
    """One per proxy. clients: connections"""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        config = self.config = MemberConfig.from_dict(boot.config)
        self.is_readonly = config.proxy == "readonly"
        self.body_bytes_max = limits.body_bytes_max(config.max_request_bytes)
        self.endpoints = Endpoints(config.proxy_failure_ms / 1000, self.log)
        self.clients: set[ProxyClient] = set()
        dial_ms, write_ms = config.proxy_dial_timeout_ms, config.proxy_write_timeout_ms
        self._timeouts = Timeouts(dial_ms / 1000, write_ms / 1000, config.proxy_read_timeout_ms / 1000)
        self._file = Path(config.data_dir) / "proxy" / "cluster"
        self._peer_urls = self._kept() or [url for urls in config.initial_cluster.values() for url in urls]
        self._sockets = [socket.socket(fileno=fd) for fd in boot.fds]
        members = config.client_tls if config.client_tls.cert_file else config.peer_tls
        self._to_members = client_context(replace(members, insecure_skip_verify=config.client_auto_tls))
        self._to_peers = TlsDialler(TlsFiles(config.peer_tls, self.log))
        self._for_clients: ssl.SSLContext | None = None
        if any(parse_url(url).is_secure for url in config.listen_client_urls):
            self._for_clients = TlsFiles(config.client_tls, self.log).server_context()
        self._first_look: asyncio.Future[None] = self.event_loop.create_future()
        self.handlers |= {Listen: self.on_listen}

    def on_start(self) -> dict[str, Any]:
        return {"addresses": [address for address, _ in self.boot.listen_sockets]}

    def on_listen(self, message: Listen) -> None:
        """All sockets are its."""

    def open(self) -> None:
        secure = {address_of(url).text for url in self.config.listen_client_urls if parse_url(url).is_secure}
        sockets = iter(self._sockets)
        for address, count in self.boot.listen_sockets:
            context = self._for_clients if address in secure else None
            self.start_task(self._listen(address, [next(sockets) for _ in range(count)], context))
        self.start_task(self._refresh())

    async def _listen(self, address: str, sockets: list[socket.socket], context: ssl.SSLContext | None) -> None:
        """NB: a server closes its socket when it ends, which is why it gets a duplicate."""
        await self._first_look
        for sock in sockets:
            is_unix = sock.family == socket.AF_UNIX
            create: Any = self.event_loop.create_unix_server if is_unix else self.event_loop.create_server
            await create(lambda: ProxyClient(self), sock=sock.dup(), backlog=BACKLOG, ssl=context)
        self.log.info("v2 proxy started listening on client requests", host=address)

    async def close_connections(self) -> None:
        for client in list(self.clients):
            client.close()
        await asyncio.sleep(0)

    def summary(self) -> dict[str, Any]:
        return {"serving": True, "clients": len(self.clients), "endpoints": len(self.endpoints.available(self.now()))}

    # ---- for clients ----

    def now(self) -> float:
        return self.event_loop.time()

    def new_upstream(self, is_head: bool) -> Upstream:
        return Upstream(is_head, self._timeouts)

    async def connect(self, upstream: Upstream, endpoint: Endpoint, request: bytes) -> None:
        """raises Failed"""
        await upstream.connect(endpoint.url, self._to_members, request)

    # ---- who the members are ----

    def _kept(self) -> list[str]:
        """Peer URLs of the last life. raises ValueError, KeyError: the file is damaged"""
        try:
            urls = list(json.loads(self._file.read_text())["PeerURLs"])
        except FileNotFoundError:
            return []
        self.log.info("proxy using peer URLS from cluster file", peer_urls=urls, cluster_file=str(self._file))
        return urls

    async def _refresh(self) -> None:
        every_s = self.config.proxy_refresh_ms / 1000
        while True:
            cluster = await self.event_loop.run_in_executor(None, self._ask)
            self._learn(cluster)
            if not self._first_look.done():
                self._first_look.set_result(None)
            is_patient = every_s >= PATIENT_S and not self.endpoints.available(self.now())
            await asyncio.sleep(IMPATIENT_S if is_patient else every_s)

    def _ask(self) -> RunningCluster | None:
        """In a thread."""
        try:
            return running_cluster(self._peer_urls, self._timeouts.dial_s, self._to_peers)
        except BootstrapError as error:
            self.log.warn("failed to get cluster from remote peers", peer_urls=self._peer_urls, error=str(error))
            return None

    def _learn(self, cluster: RunningCluster | None) -> None:
        if cluster is None:
            self.endpoints.learn([])
            return
        self.endpoints.learn(sorted(url for member in cluster.members for url in member.client_urls))
        peer_urls = sorted(url for member in cluster.members for url in member.peer_urls)
        if peer_urls != self._peer_urls:
            self.log.info("proxy updated peer URLS", **{"from": self._peer_urls}, to=peer_urls)
        self._peer_urls = peer_urls
        self._keep()

    def _keep(self) -> None:
        temporary = self._file.with_name("cluster.bak")
        try:
            with temporary.open("w") as file:
                file.write(json.dumps({"PeerURLs": self._peer_urls}, separators=(",", ":")))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._file)
        except OSError as error:
            self.log.warn("proxy failed to write cluster file", error=str(error))


def run(boot: Boot) -> int:
    """Runs a proxy in this process. return its exit status"""
    return run_actor(ProxyActor, boot)
