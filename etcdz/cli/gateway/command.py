"""`etcdz gateway start`, with etcd's flags, words and exit codes."""

import asyncio
import random
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from etcdz.cli.command_tree import Command, Flag, UsageError, Values, execute
from etcdz.cli.gateway.discovery import discover
from etcdz.cli.gateway.relay import Relay
from etcdz.cli.gateway.remotes import Record, Remotes
from etcdz.config.literals import parse_bool, parse_duration, quote
from etcdz.telemetry import logs

log = logs.get()

_MONITOR_S: Final = 300.0
"""For --retry-delay=0."""
_BACKLOG: Final = 4_096


class GatewayError(Exception):
    """Why it cannot start, for people."""


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdz gateway`. return the exit status."""
    return execute(COMMAND, argv)


def start(arguments: list[str], values: Values) -> int:
    """Proxies until a signal ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        retry_s = parse_duration(values["retry-delay"]) / 1e9 or _MONITOR_S
        is_insecure = parse_bool(values["insecure-discovery"])
    except ValueError as error:
        raise UsageError(str(error)) from None
    if retry_s < 0:
        raise UsageError(f"retry-delay is less than nothing: {values['retry-delay']}")
    log.info("Running: ", args=list(sys.argv))
    try:
        records = _records(values, is_insecure)
        listening = _listen(values["listen-addr"], records)
    except GatewayError as error:
        print(error)
        return 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    asyncio.run(Relay(Remotes(records, random.randrange), retry_s).run(listening))
    return 0


def _records(values: Values, is_insecure: bool) -> list[Record]:
    """raises OSError: no answer of name servers; GatewayError: there are none"""
    found: list[Record] = []
    if values["discovery-srv"]:
        suffix, ca_file = values["discovery-srv-name"], values["trusted-ca-file"]
        found = discover(values["discovery-srv"], suffix, ca_file, is_insecure)
    found = found or [record_of(text) for text in values["endpoints"].split(",") if text]
    if not found:
        raise GatewayError("no endpoints found")
    return found


def record_of(endpoint: str) -> Record:
    """Of an endpoint with or without a scheme. raises GatewayError"""
    host, port = _split(endpoint)
    if host is None:
        raise GatewayError(f"error parsing endpoint {quote(endpoint)}")
    return Record(host, port)


def _split(address: str) -> tuple[str | None, int]:
    """(host, port); no host: it is no address"""
    try:
        url = urlsplit(address if "://" in address else f"//{address}")
    except ValueError:  # a bracket is missing
        return None, 0
    host, colon, port = url.netloc.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 1 << 16
    return (host.strip("[]"), int(port)) if colon and is_number else (None, 0)


def _listen(address: str, records: list[Record]) -> socket.socket:
    """raises GatewayError, OSError"""
    host, port = _split(address)
    if host is None:
        raise GatewayError(f"failed to validate listen address: {address}")
    own = _addresses(host, "failed to resolve listen host")
    for record in records:
        theirs = _addresses(record.host, "failed to resolve endpoint host")
        if record.port == port and own & theirs:
            raise GatewayError(
                f"SRV or endpoint ({record}->{min(own & theirs)}:{port}) should not resolve to the gateway listen addr "
                f"({address})"
            )
    made = socket.create_server((host, port), family=_family(host, port), backlog=_BACKLOG)
    made.setblocking(False)
    return made


def _family(host: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0][0]


def _addresses(host: str, what: str) -> set[str]:
    """raises GatewayError"""
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):  # UnicodeError: no name of a host can be so
        raise GatewayError(f"{what}: {host}") from None


START: Final = Command(
    "start",
    "start the gateway",
    run=start,
    flags=(
        Flag("listen-addr", "listen address", "127.0.0.1:23790"),
        Flag("discovery-srv", "DNS domain used to bootstrap initial cluster"),
        Flag("discovery-srv-name", "service name to query when using DNS discovery"),
        Flag("insecure-discovery", "accept insecure SRV records", is_bool=True),
        Flag("trusted-ca-file", "CA that certificates of discovered endpoints must come from"),
        Flag("endpoints", "comma separated etcd cluster endpoints", "127.0.0.1:2379"),
        Flag("retry-delay", "duration of delay before retrying failed endpoints", "1m0s"),
    ),
)
COMMAND: Final = Command("etcdz gateway", "gateway related command", children=(START,))
