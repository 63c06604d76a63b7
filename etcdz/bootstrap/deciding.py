"""Found a cluster, or join one: what a member without a log decides, with etcd's checks in etcd's order and words.

Source: etcd 3.5 NewServer, its two cases without a log.
"""

import importlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any

from etcdz import ETCD_VERSION
from etcdz.bootstrap.errors import BootstrapError, DiscoveryError
from etcdz.bootstrap.other_members import (
    RunningCluster,
    RunningMember,
    is_downgrade_enabled,
    running_cluster,
    versions,
)
from etcdz.bootstrap.retries import Retries
from etcdz.cluster.founding import FirstMember, Founding
from etcdz.cluster.founding import found as found_cluster
from etcdz.cluster.versions import MIN_CLUSTER_VERSION, major_minor
from etcdz.config import MemberConfig
from etcdz.config.bootstrap import Resolve, cluster_error, difference, join_error, resolve
from etcdz.config.member import parse_initial_cluster
from etcdz.net.tls_socket import TlsDialler
from etcdz.telemetry import logs
from etcdz.tls.files import TlsFiles

JOIN_S = 10.0
"""For the answer of each member that is asked about its cluster."""
BOOTSTRAPPED_S = 1.0
"""The same where most likely nobody is up yet."""

log = logs.get("supervisor")


def decide(config: MemberConfig, resolve: Resolve = resolve) -> Founding:
    """Who this member is and whom it begins with. May take minutes.

    raises    BootstrapError
    Requires: what the settings alone say was checked (etcdz.config.bootstrap)
    """
    if config.discovery_srv:
        config = _out_of_dns(config, resolve)
    tls = TlsDialler(TlsFiles(config.peer_tls, log))
    if config.initial_cluster_state == "existing":
        return _join(config, resolve, tls)
    founding = config.first_founding
    if _is_bootstrapped(founding, tls):
        raise BootstrapError(f"member {founding.member_id:x} has already been bootstrapped")
    if config.is_discovered:
        return _discover(config, founding)
    return founding


def _out_of_dns(config: MemberConfig, resolve: Resolve) -> MemberConfig:
    """With the initial cluster that name servers say. What could be said of it before is looked at now."""
    lookup = importlib.import_module("etcdz.bootstrap.srv_records")
    urls, domain, suffix = config.initial_advertise_peer_urls, config.discovery_srv, config.discovery_srv_name
    text = lookup.initial_cluster(config.name, urls, domain, suffix, resolve)
    config = replace(config, initial_cluster_text=text, discovery_srv="")
    is_join = config.initial_cluster_state == "existing"
    if error := join_error(config) if is_join else cluster_error(config, resolve):
        raise BootstrapError(error)
    return config


def _discover(config: MemberConfig, own: Founding) -> Founding:
    """With all that a discovery service knows in the end; the ids are those that each member had before."""
    entry = ",".join(f"{config.name}={url}" for url in sorted(config.initial_advertise_peer_urls))
    found = parse_initial_cluster(_service(config, own.member_id).join(entry))
    if len({url for urls in found.values() for url in urls}) < sum(map(len, found.values())):
        listed = ",".join(sorted(f"{name}={url}" for name, urls in found.items() for url in urls))
        raise BootstrapError(f"discovery cluster {listed} has duplicate url")
    if config.name not in found:
        raise DiscoveryError("discovery: found duplicate name")
    return found_cluster(found, config.cluster_token, config.name)


def _service(config: MemberConfig, member_id: int) -> Any:
    """What has `join`; what speaks to it is loaded only for who needs it."""
    if config.discovery_url:
        v2 = importlib.import_module("etcdz.bootstrap.discovery_v2")
        return v2.Discovery(config.discovery_url, config.discovery_proxy, member_id, Retries(config.discovery_url))
    v3 = importlib.import_module("etcdz.bootstrap.discovery_v3")
    user, _, password = config.discovery_user.partition(":")
    who = (user, config.discovery_password or password)
    retries = Retries(",".join(config.discovery_endpoints))
    return v3.Discovery(
        config.discovery_token,
        config.discovery_endpoints,
        who,
        config.discovery_request_s,
        member_id,
        retries,
        config.discovery_tls,
    )


def _is_bootstrapped(founding: Founding, tls: TlsDialler) -> bool:
    """Whether a cluster knows a member of this id that has been up: its vote and its log are lost, and it must not come
    back as if it had never had any."""
    cluster = next(filter(None, _ask_at_once(_urls_of_others(founding), tls)), None)
    if cluster is None:
        return False
    return any(member.id == founding.member_id and member.client_urls for member in cluster.members)


def _ask_at_once(urls: Sequence[str], tls: TlsDialler) -> list[RunningCluster | None]:
    """What each of these says, None: nothing. All together, as most likely nobody is up yet, and etcd's one after the
    other takes a second for each."""
    said: list[RunningCluster | None] = [None] * len(urls)

    def ask(at: int) -> None:
        with suppress(BootstrapError):
            said[at] = running_cluster(urls[at : at + 1], BOOTSTRAPPED_S, tls, is_silent=True)

    threads = [Thread(target=ask, args=(at,), daemon=True) for at in range(len(urls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def _join(config: MemberConfig, resolve: Resolve, tls: TlsDialler) -> Founding:
    local = config.first_founding
    try:
        cluster = running_cluster(_urls_of_others(local), JOIN_S, tls)
    except BootstrapError as error:
        raise BootstrapError(f"cannot fetch cluster info from peer urls: {error}") from None
    try:
        joined = _with_ids(local, cluster, resolve)
    except BootstrapError as error:
        raise BootstrapError(f"error validating peerURLs {cluster}: {error}") from None
    if not _is_compatible(joined, config.request_timeout_s, tls):
        raise BootstrapError("incompatible with current running cluster")
    return joined


def _with_ids(local: Founding, cluster: RunningCluster, resolve: Resolve) -> Founding:
    """The members of the settings with the ids that the running cluster has given to their URLs."""
    if len(cluster.members) != len(local.members):
        raise BootstrapError("member count is unequal")
    own_name = next(member.name for member in local.members if member.id == local.member_id)
    joined = [_with_id(existing, local.members, resolve) for existing in cluster.members]
    own_id = next((member.id for member in joined if member.name == own_name), None)
    if own_id is None:
        raise BootstrapError(f"PeerURLs: no match found for local member {own_name}")
    return Founding(own_id, cluster.id, True, tuple(sorted(joined)))


def _with_id(existing: RunningMember, candidates: Sequence[FirstMember], resolve: Resolve) -> FirstMember:
    """The one with the URLs of a member that is there, as text or else by address."""
    urls = tuple(sorted(existing.peer_urls))
    found = next((member for member in candidates if member.peer_urls == urls), None)
    why: str | None = None
    for member in candidates if found is None else ():
        why = difference(urls, member.peer_urls, resolve)
        if why is None:
            found = member
            break
    if found is None:
        listed = " ".join(existing.peer_urls)
        raise BootstrapError(
            f"PeerURLs: no match found for existing member ({existing.id:x}, [{listed}]), last resolver error ({why})"
        )
    return found._replace(id=existing.id, is_learner=existing.is_learner)


def _is_compatible(joined: Founding, timeout_s: float, tls: TlsDialler) -> bool:
    """Whether at least one other member says a cluster version, and none one that is too old or too new for this
    member: some may be away."""
    others = [member for member in joined.members if member.id != joined.member_id]
    said = [(member, versions(member, timeout_s, tls)) for member in others]
    oldest, newest = major_minor(MIN_CLUSTER_VERSION), major_minor(ETCD_VERSION)
    if oldest is None or newest is None:
        raise ValueError(f"{ETCD_VERSION} is no version")
    if is_downgrade_enabled(others, timeout_s, tls):
        oldest = newest = (newest[0], newest[1] + 1)
    is_one_known = False
    for member, versions_ in said:
        if versions_ is None:
            continue
        fields = {"remote_member_id": f"{member.id:x}", "remote_member_cluster_version": versions_.cluster_text}
        if versions_.cluster is None:
            log.warn("failed to parse cluster version of remote member", **fields)
            continue
        if versions_.cluster < oldest:
            log.warn("cluster version of remote member is not compatible; too low", **fields)
            return False
        if versions_.cluster > newest:
            log.warn("cluster version of remote member is not compatible; too high", **fields)
            return False
        is_one_known = True
    return is_one_known


def _urls_of_others(founding: Founding) -> list[str]:
    return sorted(url for member in founding.members if member.id != founding.member_id for url in member.peer_urls)
