"""What members of a running cluster say of it over their peer URLs. All that they say is checked before it is used."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from etcdz.bootstrap.errors import BootstrapError
from etcdz.bootstrap.requests import RequestFailed, Response, request
from etcdz.cluster.founding import FirstMember
from etcdz.cluster.versions import major_minor
from etcdz.net.tls_socket import TlsDialler
from etcdz.telemetry import logs

ID_MAX: Final = (1 << 64) - 1
_HEX: Final = re.compile(r"[0-9a-fA-F]{1,16}")

log = logs.get("supervisor")


class RunningMember(NamedTuple):
    """One member as another tells of it. client_urls: empty until it has told them"""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    is_learner: bool
    client_urls: tuple[str, ...]


class RunningCluster(NamedTuple):
    """members: ascending by id."""

    id: int
    members: tuple[RunningMember, ...]

    def __str__(self) -> str:
        """As etcd prints it into its errors."""
        members = " ".join(
            f"&{{ID:{m.id:x} RaftAttributes:{{PeerURLs:{_listed(m.peer_urls)} IsLearner:{str(m.is_learner).lower()}}} "
            f"Attributes:{{Name:{m.name} ClientURLs:{_listed(m.client_urls)}}}}}"
            for m in self.members
        )
        return f"{{ClusterID:{self.id:x} Members:[{members}] RemovedMemberIDs:[]}}"


class Versions(NamedTuple):
    """cluster: None while it is not decided. Both (major, minor)."""

    cluster: tuple[int, int] | None
    cluster_text: str


def running_cluster(
    urls: Iterable[str], timeout_s: float, tls: TlsDialler | None = None, is_silent: bool = False
) -> RunningCluster:
    """What the first of these peer URLs says that says anything.

    timeout_s   for each
    tls         for https URLs
    is_silent   whether nobody wants to read in the log why one says nothing
    raises      BootstrapError: none does, or it knows no members
    source      etcd 3.5 GetClusterFromRemotePeers, same texts
    """
    for url in urls:
        try:
            cluster = _read_cluster(request(url, "/members", timeout_s, tls=tls))
        except (RequestFailed, ValueError) as error:
            if not is_silent:
                log.warn("failed to get cluster response", address=f"{url}/members", error=str(error))
            continue
        if not cluster.members:
            raise BootstrapError("failed to get raft cluster member(s) from the given URLs")
        return cluster
    raise BootstrapError("could not retrieve cluster information from the given URLs")


def versions(member: FirstMember, timeout_s: float, tls: TlsDialler | None = None) -> Versions | None:
    """Which versions a member says, None if it does not say. tls: for https URLs"""
    for url in member.peer_urls:
        try:
            text = _text_of(_object(request(url, "/version", timeout_s, tls=tls)), "etcdcluster")
        except (RequestFailed, ValueError) as error:
            log.warn(
                "failed to reach the peer URL",
                address=f"{url}/version",
                remote_member_id=f"{member.id:x}",
                error=str(error),
            )
            continue
        return Versions(major_minor(text), text)
    log.warn("failed to get version", remote_member_id=f"{member.id:x}")
    return None


def is_downgrade_enabled(members: Sequence[FirstMember], timeout_s: float, tls: TlsDialler | None = None) -> bool:
    """What the first of them says that knows; etcd 3.4 does not. tls: for https URLs"""
    for member in members:
        for url in member.peer_urls:
            try:
                response = request(url, "/downgrade/enabled", timeout_s, tls=tls)
            except RequestFailed:
                continue
            if response.body in (b"true", b"false"):
                return response.body == b"true"
        log.warn("failed to get downgrade enabled status", remote_member_id=f"{member.id:x}")
    return False


def _read_cluster(response: Response) -> RunningCluster:
    """raises ValueError: it is none"""
    listed = _decode(response.body)
    if listed is not None and not isinstance(listed, list):
        raise ValueError("not a list of members")
    members = tuple(sorted(map(_read_member, listed or ())))
    header = response.headers.get("x-etcd-cluster-id", "")
    if not _HEX.fullmatch(header):
        raise ValueError(f"failed to parse cluster ID {header!r}")
    return RunningCluster(int(header, 16), members)


def _read_member(value: Any) -> RunningMember:
    if not isinstance(value, dict):
        raise ValueError("a member that is no object")
    id_ = value.get("id", 0)
    if type(id_) is not int or not 0 <= id_ <= ID_MAX:
        raise ValueError("a member without an id")
    is_learner = value.get("isLearner", False)
    if type(is_learner) is not bool:
        raise ValueError("isLearner is no truth value")
    return RunningMember(
        id_, _text_of(value, "name"), _texts_of(value, "peerURLs"), is_learner, _texts_of(value, "clientURLs")
    )


def _decode(body: bytes) -> Any:
    """raises ValueError"""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _object(response: Response) -> dict[str, Any]:
    value = _decode(response.body)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _text_of(value: dict[str, Any], name: str) -> str:
    text = value.get(name) or ""
    if not isinstance(text, str):
        raise ValueError(f"{name} is no text")
    return text


def _texts_of(value: dict[str, Any], name: str) -> tuple[str, ...]:
    texts = value.get(name) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} is no list of texts")
    return tuple(texts)


def _listed(texts: Sequence[str]) -> str:
    return f"[{' '.join(texts)}]"
