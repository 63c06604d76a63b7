"""Endpoints by SRV records: --discovery-srv, --discovery-srv-name, --insecure-discovery.

_etcd-client-ssl[-NAME]._tcp.DOMAIN     endpoints with https
_etcd-client[-NAME]._tcp.DOMAIN         endpoints with http
"""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from etcdz.cli.command_tree import CommandError
from etcdz.config.literals import quote

SERVICES: Final = (("https", "etcd-client-ssl"), ("http", "etcd-client"))

Lookup = Callable[[str], Sequence[tuple[str, int]]]


def discover(domain: str, suffix: str, is_insecure: bool, look_up: Lookup | None = None) -> list[str]:
    """Without is_insecure: of those with https alone. raises CommandError: there are no such records"""
    if look_up is None:
        from etcdz.bootstrap.srv_records import lookup

        look_up = lookup
    found, failures = [], []
    for scheme, service in SERVICES:
        full = f"{service}-{suffix}" if suffix else service
        try:
            found += [f"{scheme}://{host}:{port}" for host, port in look_up(f"_{full}._tcp.{domain}")]
        except OSError as error:
            failures.append(str(error))
    if len(failures) == len(SERVICES):
        raise CommandError(f"dns lookup errors: {' and '.join(failures)}")
    if is_insecure:
        return found
    for endpoint in found:
        if endpoint.startswith("http://"):
            sys.stderr.write(f"ignoring discovered insecure endpoint {quote(endpoint)}\n")
    return [endpoint for endpoint in found if endpoint.startswith("https://")]
