"""Endpoints by SRV records: --discovery-srv, --discovery-srv-name, --insecure-discovery."""

import sys
from collections.abc import Callable, Sequence

from etcdz.cli.command_tree import CommandError
from etcdz.client import srv
from etcdz.config.literals import quote

Lookup = Callable[[str], Sequence[tuple[str, int]]]


def discover(domain: str, suffix: str, is_insecure: bool, look_up: Lookup = srv.look_up) -> list[str]:
    """Without is_insecure: of those with https alone. raises CommandError: there are no such records"""
    try:
        found = srv.discover(domain, suffix, look_up)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from None
    if is_insecure:
        return found
    for endpoint in found:
        if endpoint.startswith("http://"):
            sys.stderr.write(f"ignoring discovered insecure endpoint {quote(endpoint)}\n")
    return [endpoint for endpoint in found if endpoint.startswith("https://")]
