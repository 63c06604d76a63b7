"""Endpoints out of DNS, as etcdctl's --discovery-srv finds them.

    _etcd-client-ssl[-NAME]._tcp.DOMAIN     endpoints with https
    _etcd-client[-NAME]._tcp.DOMAIN         endpoints with http

Source: etcd 3.5 client/pkg/srv
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

SERVICES: Final = (("https", "etcd-client-ssl"), ("http", "etcd-client"))
LOOKUP_S: Final = 10.0
"""For one question, all name servers and repetitions together."""


class Weighted(NamedTuple):
    """A target as its record has it: lower priorities first, more to greater weights. host: without its last dot"""

    host: str
    port: int
    priority: int
    weight: int


def look_up_weighted(name: str) -> list[Weighted]:
    """By the system's name servers, by priority.

    raises  OSError: none, or no answer; ValueError: the package dnspython is missing
    """
    try:
        import dns.exception
        import dns.rdatatype
        import dns.resolver
    except ImportError:
        raise ValueError("SRV records need the package dnspython") from None
    try:
        answer = dns.resolver.resolve(name, dns.rdatatype.SRV, lifetime=LOOKUP_S)
    except dns.exception.DNSException as error:
        raise OSError(f"lookup {name}: {error}") from None
    records = sorted(answer, key=lambda record: (record.priority, -record.weight))
    return [
        Weighted(str(record.target).removesuffix("."), record.port, record.priority, record.weight)
        for record in records
    ]


def look_up(name: str) -> list[tuple[str, int]]:
    """(host, port) of each. raises as look_up_weighted"""
    return [(found.host, found.port) for found in look_up_weighted(name)]


def discover(domain: str, suffix: str, look_up: Callable[[str], Sequence[tuple[str, int]]] = look_up) -> list[str]:
    """URLs of all endpoints. raises OSError: there are no such records"""
    found: list[str] = []
    failures: list[str] = []
    for scheme, service in SERVICES:
        full = f"{service}-{suffix}" if suffix else service
        try:
            found += [f"{scheme}://{host}:{port}" for host, port in look_up(f"_{full}._tcp.{domain}")]
        except OSError as error:
            failures.append(str(error))
    if len(failures) == len(SERVICES):
        raise OSError(f"dns lookup errors: {' and '.join(failures)}")
    return found
