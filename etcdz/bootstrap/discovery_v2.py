"""Members of a new cluster find each other in a v2 key space that they all know: --discovery=URL.

The URL's path names a directory there, of which somebody has set `_config/size`. Each member creates a key in it,
named after its id, with its part of an initial cluster as value, and waits until there are as many as the size says.
Who comes too late is refused. Source: etcd 3.5 api/v2discovery, same order, texts and keys.
"""

import json
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from etcdz.bootstrap.errors import DiscoveryError
from etcdz.bootstrap.requests import RequestFailed, request
from etcdz.bootstrap.retries import Retries
from etcdz.config.member import parse_initial_cluster
from etcdz.config.urls import parse_url
from etcdz.net.tls_socket import TlsDialler
from etcdz.telemetry import logs
from etcdz.tls.files import TlsFiles
from etcdz.tls.settings import TlsSettings

REQUEST_S: Final = 5.0
WATCH_S: Final = 300.0
"""A watch that has heard nothing for so long is begun again: nobody tells it that the service is gone."""
KEY_NOT_FOUND: Final = 100
NODE_EXISTS: Final = 105
SIZE_MAX: Final = (1 << 64) - 1

log = logs.get("supervisor")


class _Node(NamedTuple):
    """name: the last part of its key, which is a member's id"""

    created: int
    name: str
    value: str


class _Refused(Exception):
    """The service's own error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Discovery:
    """One member's way through it."""

    def __init__(self, url: str, proxy: str, member_id: int, retries: Retries) -> None:
        self._url = url
        self._directory = "/" + parse_url(url).path.strip("/")
        self._base = url.partition(parse_url(url).path)[0] if parse_url(url).path else url
        self._proxy = proxy
        self._name = f"{member_id:x}"
        self._retries = retries
        self._tls = TlsDialler(TlsFiles(TlsSettings(), log))
        """Whoever this system trusts."""

    def join(self, own: str) -> str:
        """Take a place, wait for the others. own: name=url,... return the initial cluster. raises DiscoveryError"""
        self._look()
        self._create_self(own)
        size, nodes, index = self._look()
        while len(nodes) < size:
            missing = size - len(nodes)
            log.info(
                "found peers from discovery server; waiting for more",
                discovery_url=self._url,
                found_peers=len(nodes),
                needed_peers=missing,
            )
            self._watch(index)
            size, nodes, index = self._look()
        log.info("found all needed peers from discovery server", discovery_url=self._url, found_peers=size)
        return _initial_cluster(nodes[:size], size)

    def _look(self) -> tuple[int, list[_Node], int]:
        """(size, members in the order in which they came, index of the key space); until the service answers."""
        while True:
            try:
                found = self._read()
            except RequestFailed as error:
                self._retries.failed("cluster status check", error)
                continue
            self._retries.worked()
            return found

    def _read(self) -> tuple[int, list[_Node], int]:
        """raises RequestFailed, DiscoveryError"""
        try:
            node, _ = self._ask(f"{self._directory}/_config/size")
        except _Refused as error:
            raise DiscoveryError(
                "discovery: size key not found" if error.code == KEY_NOT_FOUND else str(error)
            ) from None
        text = str(node.get("value", ""))
        if not text.isascii() or not text.isdigit() or not 0 < int(text) <= SIZE_MAX:
            raise DiscoveryError("discovery: size key is bad")
        try:
            directory, index = self._ask(self._directory)
        except _Refused as error:
            raise DiscoveryError(str(error)) from None
        size, nodes = int(text), sorted(_nodes(directory))
        if all(node.name != self._name for node in nodes[:size]) and len(nodes) >= size:
            raise DiscoveryError("discovery: cluster is full")
        return size, nodes, index

    def _create_self(self, own: str) -> None:
        """raises DiscoveryError. NB: as in etcd, a failure of the service ends it: the key may be there."""
        body = urlencode({"value": own}).encode()
        try:
            self._ask(f"{self._directory}/{self._name}", "PUT", "prevExist=false", body)
        except _Refused as error:
            raise DiscoveryError("discovery: found duplicate id" if error.code == NODE_EXISTS else str(error)) from None
        except RequestFailed as error:
            raise DiscoveryError(str(error)) from None

    def _watch(self, index: int) -> None:
        """Until something has changed since index, or may have."""
        query = urlencode({"wait": "true", "recursive": "true", "waitIndex": index + 1})
        try:
            self._ask(self._directory, query=query, timeout_s=WATCH_S)
        except RequestFailed as error:
            if not error.is_late:
                self._retries.failed("waiting for other nodes", error)
        except _Refused:
            pass  # the events since then are gone: what is there tells as much

    def _ask(
        self, key: str, method: str = "GET", query: str = "", body: bytes | None = None, timeout_s: float = REQUEST_S
    ) -> tuple[dict[str, Any], int]:
        """(node, index of the key space). raises RequestFailed, _Refused, DiscoveryError: this is no such service"""
        path = quote(key) + (f"?{query}" if query else "")
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        response = request(self._base, path, timeout_s, method, body, headers, self._proxy, self._tls)
        if response.status >= 500:
            raise RequestFailed(f"the discovery service answers with status {response.status}")
        try:
            answer = json.loads(response.body)
            if response.status not in (200, 201):
                text = (
                    f"{answer['errorCode']}: {answer['message']} ({answer.get('cause', '')}) [{answer.get('index', 0)}]"
                )
                raise _Refused(int(answer["errorCode"]), text)
            index = int(response.headers.get("x-etcd-index", 0))
            node = answer["node"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise DiscoveryError("discovery: bad discovery endpoint") from None
        if not isinstance(node, dict):
            raise DiscoveryError("discovery: bad discovery endpoint")
        return node, index


def _nodes(directory: dict[str, Any]) -> list[_Node]:
    """The members in it. raises DiscoveryError"""
    try:
        return [
            _Node(int(node["createdIndex"]), str(node["key"]).rpartition("/")[2], str(node["value"]))
            for node in directory.get("nodes") or ()
            if not str(node["key"]).endswith("/_config")
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DiscoveryError("discovery: bad discovery endpoint") from None


def _initial_cluster(nodes: list[_Node], size: int) -> str:
    text = ",".join(node.value for node in nodes)
    try:
        members = parse_initial_cluster(text)
    except ValueError:
        raise DiscoveryError("discovery: invalid URL") from None
    if len(members) != size:
        raise DiscoveryError("discovery: found duplicate name")
    return text
