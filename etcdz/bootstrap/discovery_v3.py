"""The same in the keys of any etcd cluster: --discovery-token and --discovery-endpoints.

    /_etcd/registry/<token>/_config/size        how many members there are to be, in decimal
    /_etcd/registry/<token>/members/<id>        name=url,... of one, in the order of creation

Source: etcd 3.6 api/v3discovery.
"""

from collections.abc import Sequence
from typing import Any, Final

from etcdz.bootstrap.errors import DiscoveryError
from etcdz.bootstrap.retries import Retries
from etcdz.client import Client
from etcdz.client.endpoints import parse_endpoints
from etcdz.client.errors import EtcdError
from etcdz.client.options import Options, Tls
from etcdz.config.member import parse_initial_cluster
from etcdz.telemetry import logs
from etcdz.tls.settings import TlsSettings

WATCH_S: Final = 30.0
"""A watch that has heard nothing for so long is left, and the service asked: it says if it refuses."""
SIZE_MAX: Final = (1 << 63) - 1

log = logs.get("supervisor")


class Discovery:
    """One member's way through it. user: empty, or a name. tls: None, endpoints that do not say https:// have none"""

    def __init__(
        self,
        token: str,
        endpoints: Sequence[str],
        user: tuple[str, str],
        request_s: float,
        member_id: int,
        retries: Retries,
        tls: TlsSettings | None = None,
    ) -> None:
        """raises DiscoveryError: an endpoint is none"""
        prefix = f"/_etcd/registry/{token}"
        self._size_key = f"{prefix}/_config/size"
        self._members_prefix = f"{prefix}/members/"
        self._own_key = f"{self._members_prefix}{member_id:x}"
        self._retries = retries
        try:
            parsed = parse_endpoints(endpoints, is_secure=tls is not None)
        except ValueError as error:
            raise DiscoveryError(f"discovery: {error}") from None
        self._db = Client(Options(parsed, _as_client(tls or TlsSettings()), *user, timeout_s=request_s))

    def join(self, own: str) -> str:
        """Take a place, wait for the others. own: name=url,... return the initial cluster. raises DiscoveryError"""
        try:
            self._persist("cluster status check", self._look)
            self._persist("register member itself", lambda: self._db.put(self._own_key, own))
            while True:
                size, members, revision = self._persist("cluster status check", self._look)
                if len(members) >= size:
                    return _initial_cluster(members[:size])
                log.info("waiting for peers from discovery service", cluster_size=size, found_peers=len(members))
                self._watch(revision)
        finally:
            self._db.close()

    def _persist(self, step: str, work: Any) -> Any:
        """What work() returns, once the service has done it."""
        while True:
            try:
                done = work()
            except EtcdError as error:
                self._retries.failed(step, error)
                continue
            self._retries.worked()
            return done

    def _look(self) -> tuple[int, list[str], int]:
        """(size, what the members have registered in the order in which they came, revision). raises EtcdError,
        DiscoveryError"""
        found = self._db.get(self._size_key)
        if found is None:
            raise DiscoveryError("discovery: size key not found")
        if not found.value.isdigit() or not 0 < int(found.value) <= SIZE_MAX:
            raise DiscoveryError("discovery: size key is bad")
        size = int(found.value)
        listed = self._db.page(prefix=self._members_prefix, sort="create")
        rows = [(kv.key.decode("utf-8", "replace"), kv.value.decode("utf-8", "replace").strip()) for kv in listed.kvs]
        for key, value in rows:
            if "=" not in value:
                log.warn("invalid peer info returned from discovery service", member_key=key)
        members = [(key, value) for key, value in rows if "=" in value]
        if len(members) >= size and all(key != self._own_key for key, _ in members[:size]):
            raise DiscoveryError("discovery: cluster is full")
        return size, [value for _, value in members], listed.revision

    def _watch(self, revision: int) -> None:
        """Until something has changed since then, or may have."""
        try:
            with self._db.watch(prefix=self._members_prefix, start=revision + 1) as events:
                events.get(WATCH_S)
        except (EtcdError, TimeoutError):
            return  # who looks again finds out


def _as_client(tls: TlsSettings) -> Tls:
    return Tls(tls.trusted_ca_file, tls.cert_file, tls.key_file, tls.server_name, skip_verify=tls.insecure_skip_verify)


def _initial_cluster(values: list[str]) -> str:
    text = ",".join(values)
    try:
        parse_initial_cluster(text)
    except ValueError:
        raise DiscoveryError("discovery: invalid peer URL") from None
    return text
