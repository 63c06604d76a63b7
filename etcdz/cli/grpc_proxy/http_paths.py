"""What the proxy answers over HTTP/1.1: /metrics and /health of the cluster, and /proxy/metrics and /proxy/health.


Source: etcd 3.5 grpcproxy/metrics.go, health.go and etcdhttp/metrics.go.
"""

import asyncio
import http.client
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from etcdz.api import errors as api
from etcdz.client import methods
from etcdz.client.dialling import make_context
from etcdz.client.endpoints import Endpoint
from etcdz.client.errors import EtcdError
from etcdz.client.loop import Loop
from etcdz.client.options import Options, Tls
from etcdz.client.pending import Request as Asked
from etcdz.client.watches import WatchOptions
from etcdz.proto import etcdserverpb as pb
from etcdz.telemetry import logs
from etcdz.wire.http1 import Header, Request

log = logs.get()

HEALTH_S: Final = 1.0
WATCH_S: Final = 3.0
SCRAPE_S: Final = 10.0
METRICS_BYTES_MAX: Final = 64 << 20
_PLAIN: Final = b"text/plain; charset=utf-8"
_METRICS: Final = b"text/plain; version=0.0.4"
_PROXY_METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"
_NO_SNIFF: Final = (b"X-Content-Type-Options", b"nosniff")
_KEY: Final = b"a"
"""What is read to see whether anything can be read."""


class HttpPaths:
    """shell: to the cluster; own: Options of a client of this proxy itself, None: it is not told where it is"""

    def __init__(self, shell: Loop, own: Options | None, tls: Tls, figures: Callable[[], bytes]) -> None:
        self._shell = shell
        self._own = own
        self._tls = tls
        self._figures = figures
        self._scrape: asyncio.Task[bytes | None] | None = None
        self._checks: dict[bytes, asyncio.Task[tuple[str, str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, connection: Any, request: Request) -> None:
        """The answer comes by connection.http1.respond, now or later."""
        path = request.path
        if path in (b"/health", b"/proxy/health"):
            if request.method != b"GET":
                allow = (b"Allow", b"GET")
                respond(connection, request, 405, b"Method Not Allowed\n", _PLAIN, allow, _NO_SNIFF)
                return
            self._later(self._health(connection, request))
        elif path == b"/metrics":
            self._later(self._metrics(connection, request))
        elif path == b"/proxy/metrics":
            respond(connection, request, 200, self._figures(), _PROXY_METRICS)
        else:
            respond(connection, request, 404, b"404 page not found\n", _PLAIN, _NO_SNIFF)

    def _later(self, answering: Any) -> None:
        task = asyncio.get_running_loop().create_task(answering)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- health ----

    async def _health(self, connection: Any, request: Request) -> None:
        """Who asks while it is being looked for has the same answer."""
        path = request.path
        check = self._checks.get(path)
        if check is None:
            looks = self._check(self._shell) if path == b"/health" else self._check_self()
            check = self._checks[path] = asyncio.get_running_loop().create_task(looks)
            check.add_done_callback(lambda _: self._checks.pop(path, None))
        health, reason = await asyncio.shield(check)
        if health != "true":
            log.warn("serving /health false")
        body = json.dumps({"health": health, "reason": reason}, separators=(",", ":")).encode()
        respond(connection, request, 200 if health == "true" else 503, body, _PLAIN)

    async def _check(self, shell: Loop) -> tuple[str, str]:
        """(true or false, why not)"""
        body = pb.RangeRequest(key=_KEY).SerializeToString()
        try:
            await shell.do(Asked(methods.RANGE, body, pb.RangeResponse.FromString, HEALTH_S))
        except EtcdError as error:
            if error.text != api.PERMISSION_DENIED.text:
                return "false", f"GET ERROR:{error.text}"
        return "true", ""

    async def _check_self(self) -> tuple[str, str]:
        if self._own is None:
            return "false", "no connection to proxy"
        shell = Loop(self._own)
        try:
            found = await self._check(shell)
            if found[0] == "true" and not await self._can_watch(shell):
                return "false", "WATCH TIMEOUT"
            return found
        finally:
            await shell.close()

    async def _can_watch(self, shell: Loop) -> bool:
        made = asyncio.Event()
        watcher = shell.enter(lambda core: core.watches.add(WatchOptions(_KEY)))
        watcher.created.tell = made.set
        try:
            async with asyncio.timeout(WATCH_S):
                await made.wait()
        except TimeoutError:
            return False
        return True

    # ---- metrics of the cluster ----

    async def _metrics(self, connection: Any, request: Request) -> None:
        if self._scrape is None:
            endpoints = list(self._shell.core.options.endpoints)
            random.shuffle(endpoints)
            scrape = asyncio.to_thread(_read_metrics, endpoints, self._tls)
            self._scrape = asyncio.get_running_loop().create_task(scrape)
            self._scrape.add_done_callback(lambda _: setattr(self, "_scrape", None))
        found = await asyncio.shield(self._scrape)
        if found is None:
            respond(connection, request, 500, b"Internal server error\n", _PLAIN, _NO_SNIFF)
        else:
            respond(connection, request, 200, found, _METRICS)


def _read_metrics(endpoints: Sequence[Endpoint], tls: Tls) -> bytes | None:
    """Of the first of them that answers; None: none does."""
    for endpoint in endpoints:
        if endpoint.path:
            continue
        try:
            return _get_metrics(endpoint, tls)
        except (OSError, http.client.HTTPException) as error:
            log.debug("an endpoint has not told its metrics", endpoint=endpoint.text, error=str(error))
    return None


def _get_metrics(endpoint: Endpoint, tls: Tls) -> bytes:
    """raises OSError, HTTPException"""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=SCRAPE_S)
    if endpoint.is_secure:
        context = make_context(tls)
        context.set_alpn_protocols(["http/1.1"])
        connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=SCRAPE_S, context=context)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read(METRICS_BYTES_MAX)
    finally:
        connection.close()


def respond(connection: Any, request: Request, status: int, body: bytes, kind: bytes, *headers: Header) -> None:
    if connection.http1 is not None:
        connection.http1.respond(request.id, status, body, kind, headers)
        connection.host.flush_later(connection)
