"""HTTP requests of the v2 API: one endpoint after the other is asked until one answers."""

import http.client
import json
import random
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

from etcdz.client.dialling import make_context
from etcdz.client.options import Tls
from etcdz.config.literals import quote as go_quote

if TYPE_CHECKING:
    import ssl

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_REDIRECTS_MAX: Final = 10
NOT_JSON: Final = "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint"


class RequestError(Exception):
    """No endpoint has answered, or none with what can be read."""


class ClusterError(RequestError):
    """lines: what each endpoint did, as etcdctl shows them; is_of_connections: none could be talked to"""

    def __init__(self, errors: list[str], is_of_connections: bool) -> None:
        shown = [f"error #{at}: {error}" for at, error in enumerate(errors)]
        super().__init__("client: etcd cluster is unavailable or misconfigured; " + "\n; ".join(shown) + "\n")
        self.lines = shown
        self.is_of_connections = is_of_connections


class Login(NamedTuple):
    user: str
    password: str


class Request(NamedTuple):
    """query and form: in the order of their names, as Go writes them. once: never at a second endpoint"""

    verb: str
    path: str
    query: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    object: Any = None
    once: bool = False

    @property
    def target(self) -> str:
        query = f"?{urlencode(sorted(self.query.items()))}" if self.query else ""
        return quote(self.path, safe="/$&+,:;=@~") + query

    @property
    def body(self) -> bytes:
        if self.object is not None:
            return json.dumps(self.object, separators=(",", ":")).encode()
        return urlencode(sorted(self.form.items())).encode() if self.form is not None else b""

    @property
    def headers(self) -> dict[str, str]:
        if self.object is not None:
            return {"Content-Type": _JSON}
        return {"Content-Type": _FORM} if self.form is not None else {}


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """raises RequestError"""
        try:
            return json.loads(self.body)
        except ValueError:
            raise RequestError(NOT_JSON) from None

    def message(self) -> str:
        """What an answer of the members' and the users' API complains of."""
        try:
            return str(json.loads(self.body)["message"])
        except (ValueError, KeyError, TypeError):
            return f"unexpected status code {self.status}"


class Endpoints:
    """urls: asked in this order, from one drawn by lot. tell: is told of each request, as curl would do it"""

    def __init__(self, urls: list[str], tls: Tls, login: Login | None, timeout_s: float) -> None:
        self.urls = urls
        self.tell: Callable[[str], None] | None = None
        self._tls = tls
        self._login = login
        self._timeout_s = timeout_s

    def at(self, url: str) -> "Endpoints":
        """One endpoint alone, and nobody is logged in."""
        return Endpoints([url], self._tls, None, self._timeout_s)

    def do(self, request: Request, until: float | None) -> Answer:
        """until: on time.monotonic; None: however long it takes. raises RequestError"""
        errors: list[str] = []
        is_of_connections = True
        start = random.randrange(len(self.urls))
        for url in self.urls[start:] + self.urls[:start]:
            try:
                answer = self._ask(url, request, until)
            except OSError as error:
                if until is not None and time.monotonic() >= until:
                    raise RequestError("context deadline exceeded") from None
                errors.append(_said(error, url))
            except http.client.HTTPException as error:
                is_of_connections = False
                errors.append(f"net/http: {error or type(error).__name__}")
            except RequestError as error:
                is_of_connections = False
                errors.append(str(error))
            else:
                if answer.status < 500:
                    return answer
                is_of_connections = False
                errors.append(_of_status(answer.status, url))
            if request.once:
                break
        raise ClusterError(errors, is_of_connections)

    def _ask(self, url: str, request: Request, until: float | None) -> Answer:
        """raises OSError, HTTPException, RequestError"""
        target = urlsplit(url).path.rstrip("/") + request.target
        for _ in range(_REDIRECTS_MAX):
            answer = self._ask_once(url, target, request, until)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            where = urlsplit(urljoin(url + target, answer.headers.get("Location", "")))
            url = f"{where.scheme}://{where.netloc}"
            target = where.path + (f"?{where.query}" if where.query else "")
        raise RequestError("client: too many redirects")

    def _ask_once(self, url: str, target: str, request: Request, until: float | None) -> Answer:
        parts = urlsplit(url)
        left = self._timeout_s if until is None else max(0.001, min(self._timeout_s, until - time.monotonic()))
        connection = _connection(parts.scheme, parts.netloc, self._tls, left)
        headers = request.headers
        if self._login is not None:
            secret = b64encode(":".join(self._login).encode()).decode()
            headers["Authorization"] = f"Basic {secret}"
        if self.tell is not None:
            body = f" -d {go_quote(request.body.decode())}" if request.body else ""
            self.tell(f"cURL Command: curl -X {request.verb} {parts.scheme}://{parts.netloc}{target}{body}")
        try:
            connection.request(request.verb, target, request.body or None, headers)
            response = connection.getresponse()
            if until is None:
                connection.sock.settimeout(None)
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def _connection(scheme: str, place: str, tls: Tls, timeout_s: float) -> http.client.HTTPConnection:
    """raises RequestError"""
    if scheme == "http":
        return http.client.HTTPConnection(place, timeout=timeout_s)
    if scheme != "https":
        raise RequestError(f'unsupported protocol scheme "{scheme}"')
    context: ssl.SSLContext = make_context(tls)
    context.set_alpn_protocols(["http/1.1"])
    return http.client.HTTPSConnection(place, timeout=timeout_s, context=context)


def _said(error: OSError, url: str) -> str:
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if isinstance(error, TimeoutError):
        return f"client: endpoint {url} exceeded header timeout"
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {parts.hostname}: no such host"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {place}: connect: connection refused"
    return f"dial tcp {place}: {error.strerror or error}".lower()


def _of_status(status: int, url: str) -> str:
    if status in (500, 503):
        return f"client: etcd member {url} has no leader"
    return f"client: etcd member {url} returns server error [{http.client.responses.get(status, '')}]"
