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
from etcdz.tls.settings import TlsSettings

Resolve = Callable[[str], str]
"""Host name -> address. raises OSError: unknown."""


def resolve(host: str) -> str:
    """One address of a host, as the system's resolver says. raises OSError: unknown"""
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])


def listen_error(config: MemberConfig) -> str | None:
    """Why the listen URLs cannot be served: TLS needs a certificate. At every start, before all else."""
    return _cipher_error(config) or _peer_side_error(config) or _client_side_error(config) or _bound_twice(config)


def _cipher_error(config: MemberConfig) -> str | None:
    names = config.client_tls.cipher_suites
    if not names:
        return None
    from etcdz.tls import cipher_suites  # loads ssl: 5 MB that a member without TLS never needs

    if (name := cipher_suites.unknown(names)) is not None:
        return f"unexpected TLS cipher suite {quote(name)}"
    if len(cipher_suites.missing(names)) == len(names):
        return f"OpenSSL has none of the cipher suites {','.join(names)}"
    return None


def _peer_side_error(config: MemberConfig) -> str | None:
    """A certificate that is made at the start is none yet."""
    side, secure = config.peer_tls, _secure(config.listen_peer_urls)
    if not side.is_empty:
        return _files_error(side, is_server=bool(secure))
    return _unserved(secure[0]) if secure and not config.peer_auto_tls else None


def _client_side_error(config: MemberConfig) -> str | None:
    side, metrics = config.client_tls, _secure(config.listen_metrics_urls)
    secure = _secure((*config.listen_client_urls, *config.listen_client_http_urls))
    if not side.is_empty:
        return _files_error(side, is_server=True) if secure or metrics else None
    if config.client_auto_tls:
        return None
    if secure:
        return f"TLS key/cert (--cert-file, --key-file) must be provided for client url {secure[0]} with HTTPS scheme"
    return _unserved(metrics[0]) if metrics else None


def _files_error(side: TlsSettings, is_server: bool) -> str | None:
    from etcdz.tls import start_checks  # loads ssl, too

    return start_checks.server_error(side) if is_server else start_checks.client_error(side)


def _secure(urls: Sequence[str]) -> list[str]:
    return [text for text in urls if parse_url(text).is_secure]


def _unserved(url: str) -> str:
    return f"cannot listen on TLS for {parse_url(url).socket_path}: KeyFile and CertFile are not presented"


def _bound_twice(config: MemberConfig) -> str | None:
    """An address has one use. Source: etcd 3.6 embed.configureClientListeners; 3.5 misspells the flags"""
    grpc = {parse_url(text).socket_path for text in config.listen_client_urls}
    for text in config.listen_client_http_urls:
        if parse_url(text).socket_path in grpc:
            flags = "--listen-client-urls and --listen-client-http-urls"
            return f"cannot bind both {flags} on the same url {text}"
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
