"""The same in the keys of any etcd cluster: --discovery-token and --discovery-endpoints.

    /_etcd/registry/<token>/_config/size        how many members there are to be, in decimal
    /_etcd/registry/<token>/members/<id>        name=url,... of one, in the order of creation

Source: etcd 3.6 api/v3discovery.
"""

from collections.abc import Sequence
from typing import Any, Final

from etcdz.bootstrap.errors import DiscoveryError
from etcdz.bootstrap.retries import Retries
from etcdz.config.member import parse_initial_cluster
from etcdz.net.blocking_channel import Channel, RpcError, connect
from etcdz.net.tls_socket import TlsDialler
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import printable
from etcdz.telemetry import logs
from etcdz.tls.files import TlsFiles
from etcdz.tls.settings import TlsSettings
from etcdz.wire.client import ClientSettings
from etcdz.wire.header_block import Field

RANGE: Final = "/etcdserverpb.KV/Range"
PUT: Final = "/etcdserverpb.KV/Put"
WATCH: Final = "/etcdserverpb.Watch/Watch"
AUTHENTICATE: Final = "/etcdserverpb.Auth/Authenticate"
WATCH_S: Final = 30.0
"""A watch that has heard nothing for so long is begun again: nobody tells it that the service is gone."""
SIZE_MAX: Final = (1 << 63) - 1

log = logs.get("supervisor")


class Discovery:
    """One member's way through it. endpoints: the first that answers is asked. user: empty, or a name. tls: None, those
    that do not say https:// are asked without"""

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
        prefix = f"/_etcd/registry/{token}"
        self._size_key = f"{prefix}/_config/size".encode()
        self._members_prefix = f"{prefix}/members/".encode()
        self._own_key = self._members_prefix + f"{member_id:x}".encode()
        self._endpoints = endpoints
        self._user, self._password = user
        self._request_s = request_s
        self._retries = retries
        self._asks_by_tls = tls is not None
        self._tls = TlsDialler(TlsFiles(tls or TlsSettings(), log), ("h2",))
        self._channel: Channel | None = None
        self._metadata: tuple[Field, ...] = ()

    def join(self, own: str) -> str:
        """Take a place, wait for the others. own: name=url,... return the initial cluster. raises DiscoveryError"""
        try:
            self._persist("cluster status check", self._look)
            self._persist(
                "register member itself", lambda: self._call(PUT, pb.PutRequest(key=self._own_key, value=own.encode()))
            )
            while True:
                size, members, revision = self._persist("cluster status check", self._look)
                if len(members) >= size:
                    return _initial_cluster(members[:size])
                log.info("waiting for peers from discovery service", cluster_size=size, found_peers=len(members))
                self._watch(revision)
        finally:
            self._hang_up()

    def _persist(self, step: str, work: Any) -> Any:
        """What work() returns, once the service has done it."""
        while True:
            try:
                done = work()
            except RpcError as error:
                self._hang_up()
                self._retries.failed(step, error)
                continue
            self._retries.worked()
            return done

    def _look(self) -> tuple[int, list[str], int]:
        """(size, what the members have registered in the order in which they came, revision). raises RpcError,
        DiscoveryError"""
        found = pb.RangeResponse.FromString(self._call(RANGE, pb.RangeRequest(key=self._size_key)))
        if not found.kvs:
            raise DiscoveryError("discovery: size key not found")
        text = found.kvs[0].value
        if not text.isdigit() or not 0 < int(text) <= SIZE_MAX:
            raise DiscoveryError("discovery: size key is bad")
        size, end = int(text), self._members_prefix[:-1] + b"0"
        listed = pb.RangeResponse.FromString(
            self._call(RANGE, pb.RangeRequest(key=self._members_prefix, range_end=end))
        )
        rows = sorted(listed.kvs, key=lambda kv: kv.create_revision)
        members = [(kv.key, kv.value.decode("utf-8", "replace").strip()) for kv in rows]
        for key, value in members:
            if "=" not in value:
                log.warn("invalid peer info returned from discovery service", member_key=key.decode("utf-8", "replace"))
        members = [(key, value) for key, value in members if "=" in value]
        if len(members) >= size and all(key != self._own_key for key, _ in members[:size]):
            raise DiscoveryError("discovery: cluster is full")
        return size, [value for _, value in members], listed.header.revision

    def _watch(self, revision: int) -> None:
        """Until something has changed since then, or may have."""
        try:
            stream = self._connected().stream(WATCH, metadata=self._metadata)
            create = pb.WatchRequest()
            create.create_request.key = self._members_prefix
            create.create_request.range_end = self._members_prefix[:-1] + b"0"
            create.create_request.start_revision = revision + 1
            stream.send(create.SerializeToString())
            while (message := stream.recv(WATCH_S)) is not None:
                if pb.WatchResponse.FromString(message).events:
                    break
            stream.cancel()
        except (RpcError, TimeoutError):
            self._hang_up()

    def _call(self, path: str, message: Any) -> bytes:
        return self._connected().unary(path, message.SerializeToString(), self._request_s, self._metadata)

    def _connected(self) -> Channel:
        """raises RpcError: no endpoint answers, or the user is refused"""
        if self._channel is not None:
            return self._channel
        failure = RpcError(14, "no endpoint")
        for endpoint in self._endpoints:
            channel = self._channel_to(endpoint)
            try:
                self._metadata = self._sign_in(channel)
            except RpcError as error:
                channel.close()
                failure = error
                continue
            self._channel = channel
            return channel
        raise failure

    def _channel_to(self, endpoint: str) -> Channel:
        """Connects when first used."""
        scheme, _, address = endpoint.rpartition("://")
        if scheme != "https" and (scheme or not self._asks_by_tls):
            return Channel(endpoint)
        host = address.rpartition(":")[0].strip("[]")
        settings = ClientSettings(authority=address.encode(), scheme=b"https")
        return Channel(address, lambda target, timeout_s: self._tls.wrap(connect(target, timeout_s), host), settings)

    def _sign_in(self, channel: Channel) -> tuple[Field, ...]:
        """Metadata of the calls. Asks something in any case, so that an endpoint that is away is passed over."""
        if not self._user:
            request = pb.RangeRequest(key=self._size_key, serializable=True)
            channel.unary(RANGE, request.SerializeToString(), self._request_s)
            return ()
        request_ = pb.AuthenticateRequest(name=self._user, password=self._password)
        answer = channel.unary(AUTHENTICATE, request_.SerializeToString(), self._request_s)
        return ((b"token", printable(pb.AuthenticateResponse.FromString(answer).token).encode()),)

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _initial_cluster(values: list[str]) -> str:
    text = ",".join(values)
    try:
        parse_initial_cluster(text)
    except ValueError:
        raise DiscoveryError("discovery: invalid peer URL") from None
    return text
