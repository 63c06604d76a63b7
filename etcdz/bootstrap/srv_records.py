"""The members of a new cluster out of DNS: --discovery-srv=DOMAIN.

    _etcd-server-ssl[-NAME]._tcp.DOMAIN     members with https
    _etcd-server[-NAME]._tcp.DOMAIN         members with http

Each target is one member. The one at this member's own address gets its name, the others are numbered: only their URLs
count. Source: etcd 3.5 client/pkg/srv and embed.GetDNSClusterNames.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from etcdz.bootstrap.errors import BootstrapError
from etcdz.client.srv import look_up_weighted
from etcdz.config.bootstrap import Resolve
from etcdz.config.literals import quote
from etcdz.config.urls import parse_url
from etcdz.telemetry import logs

SERVICES: Final = (("https", "etcd-server-ssl"), ("http", "etcd-server"))

log = logs.get("supervisor")


class Target(NamedTuple):
    """host: without the dot at its end"""

    host: str
    port: int


class Lookup(Protocol):
    """Name -> targets, by priority. raises OSError: none, or no answer"""

    def __call__(self, name: str) -> list[Target]: ...


def lookup(name: str) -> list[Target]:
    """By the system's name servers. raises OSError"""
    return [Target(found.host, found.port) for found in look_up_weighted(name)]


def initial_cluster(
    name: str, advertised: Sequence[str], domain: str, suffix: str, resolve: Resolve, look_up: Lookup = lookup
) -> str:
    """name=url,... of all members. advertised: own peer URLs. raises BootstrapError: none, or none of this member"""
    own = _addresses(advertised, resolve)
    entries: list[str] = []
    failures: list[str] = []
    for scheme, service in SERVICES:
        full = f"{service}-{suffix}" if suffix else service
        try:
            found = _members(scheme, full, look_up(f"_{full}._tcp.{domain}"), own, name, resolve)
        except OSError as error:
            failures.append(f"error querying DNS SRV records for _{full} {error}")
            continue
        log.info(f"get cluster for {service} SRV", service_scheme=scheme, service_name=full, found_cluster=found)
        entries += found
    if failures:
        log.warn("failed to resolve during SRV discovery", error="; ".join(failures))
    if not entries:
        raise BootstrapError(f"error setting up initial cluster: {'; '.join(failures)}")
    if all(entry.partition("=")[0] != name for entry in entries):
        raise BootstrapError(
            f"error setting up initial cluster: cannot find local etcd member {quote(name)} in SRV records"
        )
    return ",".join(entries)


def _members(
    scheme: str, service: str, targets: list[Target], own: dict[tuple[str, int], str], name: str, resolve: Resolve
) -> list[str]:
    """raises OSError: none of them can be used"""
    found: list[str] = []
    why: OSError | None = None
    others = 0
    for host, port in targets:
        try:
            own_url = own.get((resolve(host), port))
        except OSError as error:
            why = error
            continue
        url = f"{scheme}://{host}:{port}"
        if own_url is not None and parse_url(own_url).scheme != scheme:
            why = OSError(f"bootstrap at {url} from DNS for {service} has scheme mismatch with expected peer {own_url}")
        elif own_url is not None:
            found.append(f"{name}={url}")
        else:
            found.append(f"{others}={url}")
            others += 1
    if not found and why is not None:
        raise why
    return found


def _addresses(urls: Sequence[str], resolve: Resolve) -> dict[tuple[str, int], str]:
    """(address, port) -> own URL. raises OSError as BootstrapError"""
    found = {}
    for text in urls:
        host, port = parse_url(text).host_port
        try:
            found[resolve(host), int(port)] = text
        except (OSError, ValueError) as error:
            raise BootstrapError(f"error setting up initial cluster: {error}") from None
    return found
