"""What must hold at the first start, when there is no log yet that names the members.

Source: etcd 3.5 embed.StartEtcd and ServerConfig.VerifyBootstrap, same order and words. Unlike etcd, names are looked
up only when the URLs differ as text: a member that is consistent with itself need not wait for a name server.
"""

import socket
from collections.abc import Callable, Mapping, Sequence

from etcdz.config.literals import quote
from etcdz.config.member import MemberConfig
from etcdz.config.retention import parse_retention
from etcdz.config.urls import is_ip, parse_url

Resolve = Callable[[str], str]
"""Host name -> address. raises OSError: unknown."""


def resolve(host: str) -> str:
    """One address of a host, as the system's resolver says. raises OSError: unknown"""
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])


def listen_error(config: MemberConfig) -> str | None:
    """Why the listen URLs cannot be served: TLS needs a certificate. At every start, before all else."""
    for text in config.listen_peer_urls:
        url = parse_url(text)
        if url.is_secure:
            return f"cannot listen on TLS for {url.socket_path}: KeyFile and CertFile are not presented"
    for text in config.listen_client_urls:
        if parse_url(text).is_secure:
            return f"TLS key/cert (--cert-file, --key-file) must be provided for client url {text} with HTTPS scheme"
    return None


def retention_error(config: MemberConfig) -> str | None:
    """Why the member could not compact by itself. At every start, after all else."""
    try:
        parse_retention(config.auto_compaction_mode, config.auto_compaction_retention)
    except ValueError as error:
        return str(error)
    return None


def cluster_error(config: MemberConfig, resolve: Resolve) -> str | None:
    """Why this member cannot found its cluster; only for a member without a log."""
    try:
        urls_of = config.initial_cluster
    except ValueError as error:
        return f"error setting up initial cluster: {error}"
    return members_error(config.name, urls_of, config.initial_advertise_peer_urls, resolve)


def join_error(config: MemberConfig) -> str | None:
    """Why this member cannot join a cluster that exists; only for a member without a log that is told to.

    source  etcd 3.5 ServerConfig.VerifyJoinExisting
    """
    try:
        urls_of = config.initial_cluster
    except ValueError as error:
        return f"error setting up initial cluster: {error}"
    if refusal := _name_error(config.name, urls_of) or _duplicate_error(urls_of):
        return refusal
    return "discovery URL should not be set when joining existing initial cluster" if config.is_discovered else None


def members_error(
    name: str, urls_of: Mapping[str, tuple[str, ...]], advertised: Sequence[str], resolve: Resolve
) -> str | None:
    """What keeps a member of this name and these peer URLs from being one of a new cluster.

    urls_of     sorted peer URLs of each first member, by name
    advertised  those that this member tells others
    """
    if refusal := _name_error(name, urls_of):
        return refusal
    if mismatch := _advertise_error(name, tuple(sorted(advertised)), urls_of[name], resolve):
        return mismatch
    return _duplicate_error(urls_of)


def _name_error(name: str, urls_of: Mapping[str, tuple[str, ...]]) -> str | None:
    return None if name in urls_of else f"couldn't find local name {quote(name)} in the initial cluster configuration"


def _duplicate_error(urls_of: Mapping[str, tuple[str, ...]]) -> str | None:
    every = [url for urls in urls_of.values() for url in urls]
    if len(set(every)) < len(every):
        return f"initial cluster {_as_text(urls_of)} has duplicate url"
    return None


def _advertise_error(name: str, advertised: tuple[str, ...], initial: tuple[str, ...], resolve: Resolve) -> str | None:
    """Whether the URLs that the member tells others are those that the cluster expects of it."""
    if advertised == initial:
        return None
    why = difference(advertised, initial, resolve)
    if why is None:
        return None
    missing = [url for url in initial if url not in advertised]
    if missing:
        lacking = ",".join(f"{name}={url}" for url in missing)
        told = ",".join(advertised)
        return f"--initial-cluster has {lacking} but missing from --initial-advertise-peer-urls={told} ({why})"
    missing = [url for url in advertised if url not in initial]
    expected = _as_text({name: advertised})
    if missing:
        return f"--initial-advertise-peer-urls has {','.join(missing)} but missing from --initial-cluster={expected}"
    return f"failed to resolve {','.join(advertised)} to match --initial-cluster={expected} ({why})"


def difference(left: tuple[str, ...], right: tuple[str, ...], resolve: Resolve) -> str | None:
    """How two lists of URLs differ once names have become addresses; None if they do not."""
    if len(left) != len(right):
        return f"len({_listed(left)}) != len({_listed(right)})"
    try:
        pairs = zip(
            sorted((_resolved(u, resolve), u) for u in left),
            sorted((_resolved(u, resolve), u) for u in right),
            strict=True,
        )
    except ValueError as error:
        return str(error)
    for (a, a_before), (b, b_before) in pairs:
        if a != b:
            return f"{quote(a)}(resolved from {quote(a_before)}) != {quote(b)}(resolved from {quote(b_before)})"
    return None


def _resolved(text: str, resolve: Resolve) -> str:
    url = parse_url(text)
    if url.is_unix:
        return text
    host, port = url.host_port
    if host == "localhost" or is_ip(host):
        return text
    try:
        address = resolve(host)
    except OSError as error:
        raise ValueError(f"failed to resolve {quote(text)} ({error.strerror or error})") from None
    return text.replace(url.host, f"[{address}]:{port}" if ":" in address else f"{address}:{port}", 1)


def _as_text(urls_of: Mapping[str, Sequence[str]]) -> str:
    return ",".join(sorted(f"{name}={url}" for name, urls in urls_of.items() for url in urls))


def _listed(urls: Sequence[str]) -> str:
    return "[" + " ".join(map(quote, urls)) + "]"
