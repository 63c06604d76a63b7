"""What all connections of a proxy share: the loop, the sockets, the way to the cluster, and the end.

Everything runs in one event loop. An exception over one client ends its connection alone.
"""

import asyncio
import signal
import socket
import time
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import uvloop

from etcdz import limits
from etcdz.api import methods as m
from etcdz.api.errors import REQUEST_TOO_MANY_REQUESTS, Code
from etcdz.cli.grpc_proxy import figures
from etcdz.cli.grpc_proxy.callers import Caller
from etcdz.cli.grpc_proxy.calls import Calls
from etcdz.cli.grpc_proxy.client_watches import ClientWatches
from etcdz.cli.grpc_proxy.connection import STREAM_TAGS, ClientStream, ProxyConnection, Service
from etcdz.cli.grpc_proxy.http_paths import HttpPaths
from etcdz.cli.grpc_proxy.keep_alives import KeepAlives
from etcdz.cli.grpc_proxy.key_calls import KeyCalls
from etcdz.cli.grpc_proxy.members import Members
from etcdz.cli.grpc_proxy.ordering import Ordering
from etcdz.cli.grpc_proxy.pass_through import PassThrough
from etcdz.cli.grpc_proxy.settings import Settings
from etcdz.cli.grpc_proxy.shared_watches import SharedWatches
from etcdz.client import methods
from etcdz.client.aio import Client
from etcdz.client.endpoints import parse_endpoints
from etcdz.client.errors import EtcdError
from etcdz.client.loop import Loop
from etcdz.client.options import Options
from etcdz.client.pending import Request as Asked
from etcdz.proto import etcdserverpb as pb
from etcdz.telemetry import logs
from etcdz.tls.contexts import TlsError
from etcdz.tls.files import TlsFiles
from etcdz.wire.call_tally import CallTally
from etcdz.wire.http1 import Request
from etcdz.wire.keepalive import rules_of_flags
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from etcdz.wire.unfinished import UnfinishedRequests
from supervisor.runtime.service_manager import READY, STOPPING, notify

log = logs.get()

MESSAGE_BYTES_MAX: Final = 4 << 20
"""Of a request, as grpc-go has it where nobody says otherwise."""
UNSENT_BYTES_MAX: Final = 512 << 20
"""What all clients together may leave unread; beyond, those with most lose their connections."""
CORK_BYTES: Final = 256 << 10
"""Of one client's large answers that are written before the others have their turn."""
TIMER_S: Final = 0.25
KEEP_ALIVE_EVERY_S: Final = 1.0
DRAIN_S: Final = 2.0
ACCEPT_PAUSE_S: Final = 0.1
LONG_STREAMS_MAX: Final = 64
"""Snapshots and streamed ranges at a time; each may hold a window's worth for a client that does not read."""
_LONG_STREAMS: Final = (m.SNAPSHOT, m.RANGE_STREAM)


class Process:
    """client_options: of the way to the cluster; own_options: to this proxy itself; tls_files: what it shows clients"""

    def __init__(
        self, settings: Settings, client_options: Options, own_options: Options | None, tls_files: TlsFiles | None
    ) -> None:
        self.settings = settings
        self.shell = Loop(client_options)
        self.keys = KeyCalls(settings.namespace.encode("utf-8", "surrogateescape"), keeps=not settings.is_ordered)
        self.calls = Calls(self.keys, self.shell, settings.send_bytes_max, Ordering() if settings.is_ordered else None)
        self.watches = SharedWatches(self.shell, self.keys.namespace)
        self.keep_alives = KeepAlives(self.shell)
        self.registrar = Client(client_options)
        prefix = settings.namespace + settings.resolver_prefix
        self.members = Members(self.registrar, prefix.encode("utf-8", "surrogateescape"), settings.advertise_client_url)
        self.calls.own[m.MEMBER_LIST] = self.members.answer
        self.logs_calls = settings.logs_calls
        self.tally = CallTally()
        self.connections: set[ProxyConnection] = set()
        self.paths = HttpPaths(self.shell, own_options, client_options.tls, self._figures)
        self._tls_files = tls_files
        self._began_s = time.monotonic()
        self._unfinished = UnfinishedRequests(limits.UNFINISHED_BYTES_MAX)
        self._methods = {
            path: Method(path, tag not in STREAM_TAGS, tag, streams=tag in STREAM_TAGS)
            for path, tag in (m.PATHS | m.AUTH_PATHS | m.STREAM_PATHS).items()
        }
        self._server_settings = ServerSettings(
            message_bytes_max=MESSAGE_BYTES_MAX,
            max_concurrent_streams=settings.streams_max,
            cork_bytes=CORK_BYTES,
            keepalive=rules_of_flags(
                settings.keepalive_min_s, settings.keepalive_interval_s, settings.keepalive_timeout_s
            ),
        )
        self._dirty: list[ProxyConnection] = []
        self._long_streams: set[PassThrough] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- for connections ----

    def new_grpc(self) -> GrpcServerConnection:
        return GrpcServerConnection(self._methods, self._server_settings, time.monotonic, self._unfinished, self.tally)

    def open_stream(self, stream: ClientStream, tag: int, path: bytes, caller: Caller) -> Service | None:
        if self.settings.logs_calls:
            log.info("started call", method=path.decode())
        if tag == m.WATCH:
            return ClientWatches(self.watches, stream, caller)
        if tag == m.LEASE_KEEP_ALIVE:
            return self.keep_alives.open(stream, caller)
        if tag == m.RANGE_STREAM and self.settings.namespace:
            stream.finish(Code.UNIMPLEMENTED, "RangeStream is not served in a namespace")
            return None
        if tag in _LONG_STREAMS and len(self._long_streams) >= LONG_STREAMS_MAX:
            stream.finish(REQUEST_TOO_MANY_REQUESTS.code, REQUEST_TOO_MANY_REQUESTS.text)
            return None
        passing = PassThrough(self.shell, stream, path, caller, self._long_streams.discard)
        if tag in _LONG_STREAMS:
            self._long_streams.add(passing)
        return passing

    def serve_http(self, connection: ProxyConnection, request: Request) -> None:
        self.paths.serve(connection, request)

    def refuse_certificate(self, transport: Any) -> bool:
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is None or self._tls_files is None:
            return False
        why = self._tls_files.check_certificate(ssl_object)
        if why is not None:
            log.warn("rejected connection", remote_addr=str(transport.get_extra_info("peername")), error=why)
        return why is not None

    def flush_later(self, connection: ProxyConnection) -> None:
        """One write for all that it is told in this turn."""
        if not connection.is_dirty:
            connection.is_dirty = True
            if not self._dirty:
                asyncio.get_running_loop().call_soon(self._flush)
            self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            try:
                if connection.is_dirty:
                    connection.flush()
            except Exception as error:
                connection.fail(error)

    def on_defect(self, connection: ProxyConnection, error: Exception) -> None:
        text = "".join(traceback.format_exception(error))
        log.error("a defect ended a connection", error=repr(error), stack=text)

    def _figures(self) -> bytes:
        living = [connection.grpc for connection in self.connections if connection.grpc is not None]
        return figures.encode(self._began_s, self.tally, living, self.keys.cache, self.watches)

    # ---- the loop ----

    def run(self, listening: socket.socket, metrics: socket.socket | None, metrics_tls: bool) -> int:
        """Until a signal ends it. return the exit status"""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._run(listening, metrics, metrics_tls))

    async def _run(self, listening: socket.socket, metrics: socket.socket | None, metrics_tls: bool) -> int:
        loop = asyncio.get_running_loop()
        self.shell.loop = loop
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        self._start(self._accept(listening, self._tls_files, False))
        if metrics is not None:
            self._start(self._accept(metrics, self._tls_files if metrics_tls else None, True))
        self._start(self._look_at_time())
        if self.settings.resolver_prefix:
            self._start(self.members.register(self.settings.resolver_ttl))
            self._start(self.members.follow())
        if self.settings.sync_s > 0:
            self._start(self._sync())
        log.info("started gRPC proxy", address=self.settings.listen_addr)
        notify(READY)
        if metrics is not None:
            log.info("gRPC proxy server metrics URL serving")
        await ended.wait()
        notify(STOPPING)
        await self._end(listening)
        return 0

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            stack = "".join(traceback.format_exception(error))
            log.fatal("a part of the proxy has ended", error=repr(error), stack=stack)
            signal.raise_signal(signal.SIGTERM)

    async def _accept(self, listening: socket.socket, tls_files: TlsFiles | None, only_http: bool) -> None:
        """NB: a context for each connection, since its files may have changed."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:  # for want of files
                log.warn("failed to accept a connection", error=str(error))
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if accepted.family != socket.AF_UNIX:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(accepted, tls_files, only_http)

    def _serve(self, accepted: socket.socket, tls_files: TlsFiles | None, only_http: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(accepted, tls_files, only_http))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket, tls_files: TlsFiles | None, only_http: bool) -> None:
        loop = asyncio.get_running_loop()
        secure: dict[str, Any] = {}
        try:
            if tls_files is not None:
                secure = {"ssl": tls_files.server_context(), "ssl_handshake_timeout": limits.HANDSHAKE_S}
            await loop.connect_accepted_socket(lambda: ProxyConnection(self, only_http), accepted, **secure)
        except (OSError, TlsError) as error:
            log.warn("rejected connection", error=str(error))
            accepted.close()

    async def _look_at_time(self) -> None:
        next_keep_alive = 0.0
        while True:
            await asyncio.sleep(TIMER_S)
            now = time.monotonic()
            is_due = now >= next_keep_alive
            for connection in list(self.connections):
                try:
                    connection.expire(now)
                    if is_due:
                        connection.keep_alive(now, limits.MUTE_S)
                except Exception as error:
                    connection.fail(error)
            if is_due:
                next_keep_alive = now + KEEP_ALIVE_EVERY_S
            self._relieve()

    def _relieve(self) -> None:
        """Too much is held for clients that do not go on, or do not read."""
        if self._unfinished.total > self._unfinished.bytes_max:
            overdue = set(self._unfinished.find_overdue())
            for connection in list(self.connections):
                if connection.grpc in overdue:
                    connection.give_up_unfinished()
        unsent = {connection: connection.unsent_bytes for connection in self.connections}
        total = sum(unsent.values())
        while total > UNSENT_BYTES_MAX:
            worst = max(unsent, key=lambda connection: unsent[connection])
            total -= unsent.pop(worst)
            log.warn("a client does not read what it is told", remote_addr=worst.remote)
            worst.transport.abort()

    async def _sync(self) -> None:
        """Who the members are, again and again (--endpoints-auto-sync-interval)."""
        body = pb.MemberListRequest(linearizable=False).SerializeToString()
        while True:
            await asyncio.sleep(self.settings.sync_s)
            with suppress(EtcdError, ValueError):
                found = await self.shell.do(Asked(methods.MEMBER_LIST, body, pb.MemberListResponse.FromString))
                urls = [url for member in found.members for url in member.clientURLs]
                self.shell.core.set_endpoints(parse_endpoints(urls, self.settings.has_cluster_tls))
                self.shell.schedule()

    async def _end(self, listening: socket.socket) -> None:
        """Clients are told to go elsewhere, and what is under way may end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        listening.close()
        for connection in list(self.connections):
            connection.drain()
        until = time.monotonic() + DRAIN_S
        while any(connection.waiting for connection in self.connections) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.transport.close()
        await self.shell.close()
        await self.registrar.close()
        log.info("stop listening gRPC proxy client requests", address=self.settings.listen_addr)
