"""Whether a member may come from where it comes: names and addresses of its certificate against its IP.

Source: etcd 3.5 client/pkg/transport/listener_tls.go, checkCertSAN.
"""

import ipaddress
from collections.abc import Callable
from typing import NamedTuple

from etcdz.tls.certificate import PeerNames


class Resolver(NamedTuple):
    """Look-ups, which take as long as name servers like.

    names_of        IP -> host names, by reverse look-up; empty: none
    addresses_of    host name -> IPs; empty: none
    """

    names_of: Callable[[str], list[str]]
    addresses_of: Callable[[str], list[str]]


def needs_resolver(names: PeerNames, remote_ip: str) -> bool:
    """Whether san_error() would ask its resolver, and therefore belongs in a thread."""
    return bool(names.dns_names) and _normal(remote_ip) not in names.ip_addresses


def san_error(names: PeerNames, remote_ip: str, resolver: Resolver) -> str | None:
    """etcd's text if a certificate with these SANs may not come from remote_ip, else None.

    remote_ip   as the socket has it
    An OSError of the resolver counts as an empty answer, and the last one stands in the text.
    """
    if not names.dns_names and not names.ip_addresses:
        return None
    ip = _normal(remote_ip)
    if ip in names.ip_addresses:
        return None
    if not names.dns_names:
        return f"x509: certificate is valid for {', '.join(names.ip_addresses)}, not {ip}"
    trouble: list[OSError] = []
    if _matches_reverse(names, ip, resolver, trouble) or _matches_forward(names, ip, resolver, trouble):
        return None
    listed = " ".join([f'"{name}"' for name in names.dns_names])
    why = f" ({trouble[-1]})" if trouble else ""
    return f'tls: "{remote_ip}" does not match any of DNSNames [{listed}]{why}'


def _matches_reverse(names: PeerNames, ip: str, resolver: Resolver, trouble: list[OSError]) -> bool:
    """Whether the address has one of the names; *.a.b stands for all that end in .a.b."""
    found: list[str] = []
    try:
        found = [name.removesuffix(".") for name in resolver.names_of(ip)]
    except OSError as error:
        trouble.append(error)
    suffixes = tuple([name[1:] for name in names.dns_names if name.startswith("*.")])
    return any(name in names.dns_names or name.endswith(suffixes) for name in found)


def _matches_forward(names: PeerNames, ip: str, resolver: Resolver, trouble: list[OSError]) -> bool:
    for name in names.dns_names:
        if name.startswith("*."):
            continue
        try:
            if ip in map(_normal, resolver.addresses_of(name)):
                return True
        except OSError as error:
            trouble.append(error)
    return False


def _normal(ip: str) -> str:
    """Without a zone; an IPv4 address in IPv6 form is the IPv4 address."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    return str(getattr(address, "ipv4_mapped", None) or address)
