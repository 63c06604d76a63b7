"""Log lines by which people and tools follow a member's life: etcd's texts and fields, where it has them."""

import os
import platform
from collections.abc import Mapping
from typing import Any

from etcdz import ETCD_VERSION, __version__
from etcdz.config import MemberConfig
from etcdz.config.literals import format_duration
from etcdz.telemetry import logs

log = logs.get("supervisor")


def configuring_peers(config: MemberConfig) -> None:
    """Before the addresses for other members are claimed."""
    log.info("configuring peer listeners", listen_peer_urls=list(config.listen_peer_urls))


def configuring_clients(config: MemberConfig) -> None:
    """Before the addresses for clients are claimed."""
    log.info("configuring client listeners", listen_client_urls=list(config.listen_client_urls))


def starting(config: MemberConfig, listen_peer_urls: tuple[str, ...], listen_client_urls: tuple[str, ...]) -> None:
    """Versions, paths and settings, once nothing speaks against a start. listen_*_urls: with their real ports"""
    cpus = len(os.sched_getaffinity(0))
    log.info(
        "starting an etcd server",
        etcd_version=ETCD_VERSION,
        etcdz_version=__version__,
        python_version=platform.python_version(),
        max_cpu_available=cpus,
        name=config.name,
        data_dir=config.data_dir,
        wal_dir=config.wal_dir,
        member_dir=config.member_dir,
        heartbeat_interval=format_duration(config.heartbeat_ms * 10**6),
        election_timeout=format_duration(config.election_ms * 10**6),
        snapshot_count=config.snapshot_count,
        initial_advertise_peer_urls=list(config.initial_advertise_peer_urls),
        listen_peer_urls=list(listen_peer_urls),
        advertise_client_urls=list(config.advertise_client_urls),
        listen_client_urls=list(listen_client_urls),
        initial_cluster=config.initial_cluster_text,
        initial_cluster_state=config.initial_cluster_state,
        initial_cluster_token=config.initial_cluster_token,
        pre_vote=config.pre_vote,
        listeners=config.listeners,
        actor_placement=config.actor_placement,
    )


def closing(settings: Mapping[str, Any]) -> None:
    """The end begins. settings: MemberConfig.to_dict()"""
    log.info("closing etcd server", **_identity(settings))


def closed(settings: Mapping[str, Any]) -> None:
    """Nothing is left."""
    log.info("closed etcd server", **_identity(settings))


def removed(settings: Mapping[str, Any], reason: str) -> None:
    """Why the member stops, with nothing wrong. settings: MemberConfig.to_dict()"""
    log.error("server error", error=reason)
    log.warn("data-dir used by this member must be removed", data_dir=settings["data_dir"])


def refused(error: str) -> None:
    """Why there is no member; etcd says it twice, the second time under a heading of its own."""
    log.warn("failed to start etcd", error=error)
    log.fatal("discovery failed", error=error)


def not_discovered(settings: Mapping[str, Any], reason: str, error: str) -> None:
    """The discovery service has no place for this member. reason: etcd's text for it, a part of error"""
    token = settings["discovery_url"] or settings["discovery_token"]
    log.warn("failed to start etcd", error=error)
    if reason == "discovery: found duplicate id":
        fields = {"name": settings["name"], "discovery-token": token}
        log.warn("member has been registered with discovery service", **fields, error=reason)
        log.warn("but could not find valid cluster configuration", **{"data-dir": settings["data_dir"]})
        log.warn("check data dir if previous bootstrap succeeded")
        log.warn("or use a new discovery token if previous bootstrap failed")
        return
    if reason == "discovery: found duplicate name":
        log.warn("member with duplicated name has already been registered", discovery_token=token, error=reason)
        log.warn("cURL the discovery token URL for details")
    else:
        log.warn("failed to bootstrap; discovery token was already used", discovery_token=token, error=error)
    log.warn("do not reuse discovery token; generate a new one to bootstrap a cluster")


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": settings["name"],
        "data-dir": settings["data_dir"],
        "advertise-peer-urls": list(settings["initial_advertise_peer_urls"]),
        "advertise-client-urls": list(settings["advertise_client_urls"]),
    }
