"""One client of a proxy: its requests are handed on one after the other, in the order in which they have come.

A request goes to one member after the other until one answers. It may be done twice then, as by etcd: a member that
has taken it may have died before it could answer.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import quote_from_bytes

from actors.proxy.endpoints import Endpoint, Endpoints
from actors.proxy.upstream import Failed, Upstream
from etcdz.peer.heads import ResponseHead
from etcdz.wire.http1 import Header, Http1Connection, Http1Limits, Request

CONFIG_PATH: Final = b"/v2/config/local/proxy"
METRICS_PATH: Final = b"/metrics"
_JSON: Final = b"application/json"
_TEXT: Final = b"text/plain; charset=utf-8"
_NOT_ALLOWED: Final = b"Method Not Allowed\n"
_WHOLE_BYTES_MAX: Final = 1 << 20
"""Answers up to it, of a length that is told, are handed on with their length."""
_OF_ONE_CONNECTION: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailers upgrade transfer-encoding expect".split()
)
_WRITTEN_HERE: Final = _OF_ONE_CONNECTION | {b"content-length", b"content-type"}


class Host(Protocol):
    """What it needs of the actor."""

    endpoints: Endpoints
    log: Any
    is_readonly: bool
    body_bytes_max: int
    clients: set["ProxyClient"]

    def now(self) -> float: ...
    def new_upstream(self, is_head: bool) -> Upstream: ...
    async def connect(self, upstream: Upstream, endpoint: Endpoint, request: bytes) -> None: ...


class ProxyClient(asyncio.Protocol):
    """One connection."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._http = Http1Connection(Http1Limits(body_bytes_max=host.body_bytes_max))
        self._requests: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._transport: Any = None
        self._address = ""
        self._may_write = asyncio.Event()
        self._may_write.set()

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        name = transport.get_extra_info("peername")
        self._address = str(name[0]) if isinstance(name, tuple) else ""
        self._host.clients.add(self)

    def data_received(self, data: bytes) -> None:
        self._take(self._http.receive(data))

    def eof_received(self) -> bool:
        self._take(self._http.receive_eof())
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._host.clients.discard(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def close(self) -> None:
        """The proxy ends."""
        self._transport.abort()

    # ---- requests ----

    def _take(self, events: Any) -> None:
        self._requests.extend(event for event in events if isinstance(event, Request))
        if self._requests and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve_all())
        self._flush()

    async def _serve_all(self) -> None:
        try:
            while self._requests:
                await self._serve(self._requests.popleft())
        finally:
            self._task = None

    async def _serve(self, request: Request) -> None:
        if self._host.is_readonly and request.method != b"GET":
            self._answer(request, 501, b"", b"")
        elif request.path == CONFIG_PATH:
            self._tell_endpoints(request)
        elif request.path == METRICS_PATH:
            self._answer(request, 404, b"404 page not found\n", _TEXT)
        else:
            await self._hand_on(request)

    def _tell_endpoints(self, request: Request) -> None:
        if request.method != b"GET":
            self._answer(request, 405, _NOT_ALLOWED, _TEXT, (b"Allow", b"GET"), (b"X-Content-Type-Options", b"nosniff"))
            return
        urls = [endpoint.url for endpoint in self._host.endpoints.available(self._host.now())]
        text = json.dumps({"endpoints": urls}, separators=(",", ":")) + "\n"
        self._answer(request, 200, text.encode(), _TEXT)

    async def _hand_on(self, request: Request) -> None:
        host = self._host
        endpoints = host.endpoints.available(host.now())
        if not endpoints:
            self._refuse(request, 503, "zero endpoints currently available")
            return
        for endpoint in endpoints:
            upstream = host.new_upstream(request.method == b"HEAD")
            try:
                await host.connect(upstream, endpoint, self._encoded(request, endpoint))
                head = await upstream.head()
            except Failed as error:
                upstream.close()
                host.log.info("failed to direct request", url=endpoint.url, error=str(error))
                host.endpoints.on_failure(endpoint, host.now())
                continue
            except BaseException:
                upstream.close()
                raise
            try:
                await self._relay(request, head, upstream)
            finally:
                upstream.close()
            return
        self._refuse(request, 502, f"unable to get response from {len(endpoints)} endpoint(s)")

    def _encoded(self, request: Request, endpoint: Endpoint) -> bytes:
        """As it goes to a member."""
        target = quote_from_bytes(request.path, "/-_.~$&+,:;=@").encode()
        if request.query:
            target += b"?" + request.query
        fields = [(name, value) for name, value in request.headers.items() if name not in _OF_ONE_CONNECTION]
        fields = [(name, value) for name, value in fields if name not in (b"content-length", b"x-forwarded-for")]
        before = request.headers.get(b"x-forwarded-for")
        if self._address:
            fields.append((b"x-forwarded-for", (before + b", " if before else b"") + self._address.encode()))
        fields += [(b"content-length", b"%d" % len(request.body)), (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (request.method, target, lines, request.body)

    async def _relay(self, request: Request, head: ResponseHead, upstream: Upstream) -> None:
        headers = [(name, value) for name, value in head.headers.items() if name not in _WRITTEN_HERE]
        kind = head.headers.get(b"content-type", b"")
        is_whole = 0 <= head.length <= _WHOLE_BYTES_MAX and request.method != b"HEAD"
        try:
            if is_whole or head.status in (204, 304):
                body = b"".join([piece async for piece in upstream.body()])
                self._answer(request, head.status, body, kind, *headers)
                return
            self._http.begin(request.id, head.status, kind, headers)
            self._flush()
            async for piece in upstream.body():
                self._http.send(request.id, piece)
                self._flush()
                await self._may_write.wait()
            self._http.end(request.id)
        except Failed as error:
            self._host.log.info("failed to direct request", error=str(error))
            self._http.cut(request.id)
        self._flush()

    # ---- answers ----

    def _refuse(self, request: Request, status: int, text: str) -> None:
        self._host.log.info(text)
        body = json.dumps({"message": f"httpproxy: {text}"}, separators=(",", ":"))
        self._answer(request, status, body.encode(), _JSON)

    def _answer(self, request: Request, status: int, body: bytes, kind: bytes, *headers: Header) -> None:
        self._http.respond(request.id, status, body, kind, headers)
        self._flush()

    def _flush(self) -> None:
        data = self._http.take_output()
        if data:
            self._transport.write(data)
        if self._http.should_close:
            self._transport.close()


Make = Callable[[], ProxyClient]
