"""The members of a cluster by SRV records: `--discovery-srv`.

    _etcd-client-ssl[-NAME]._tcp.DOMAIN     members with https
    _etcd-client[-NAME]._tcp.DOMAIN         members with http

Unless told that records need not be secure, only those count that have https and can prove it.
Source: etcd 3.5 server/etcdmain/util.go, client/pkg/srv.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Final

from etcdz.cli.gateway.remotes import Record
from etcdz.client import srv
from etcdz.telemetry import logs

log = logs.get()

SERVICES: Final = (("https", "etcd-client-ssl"), ("http", "etcd-client"))
PROOF_S: Final = 5.0

Lookup = Callable[[str], list[srv.Weighted]]


def discover(
    domain: str, suffix: str, ca_file: str, is_insecure: bool, look_up: Lookup = srv.look_up_weighted
) -> list[Record]:
    """raises OSError: there are no such records"""
    found: list[tuple[str, Record]] = []
    failures = []
    for scheme, service in SERVICES:
        full = f"{service}-{suffix}" if suffix else service
        try:
            targets = look_up(f"_{full}._tcp.{domain}")
        except OSError as error:
            failures.append(str(error))
            continue
        found += [(scheme, Record(host, port, priority, weight)) for host, port, priority, weight in targets]
    if len(failures) == len(SERVICES):
        raise OSError(f"dns lookup errors: {' and '.join(failures)}")
    endpoints = [f"{scheme}://{record}" for scheme, record in found]
    log.info("discovered cluster from SRV", srv_server=domain, endpoints=endpoints)
    if is_insecure:
        return [record for _, record in found]
    log.info("validating discovered SRV endpoints", srv_server=domain, endpoints=endpoints)
    good, bad = [], []
    for scheme, record in found:
        why = _why_insecure(scheme, record, domain, ca_file)
        if why:
            bad.append(why)
        else:
            good.append(record)
    shown = [f"https://{record}" for record in good]
    if bad:
        text = "failed to validate discovered endpoints"
        log.warn(text, srv_server=domain, endpoints=shown, error=",".join(bad))
    else:
        log.info("using validated discovered SRV endpoints", srv_server=domain, endpoints=shown)
    return good


def _why_insecure(scheme: str, record: Record, domain: str, ca_file: str) -> str:
    """ "" if it has shown a certificate for domain"""
    if scheme != "https":
        return f'"{scheme}://{record}" is insecure'
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        with socket.create_connection((record.host, record.port), PROOF_S) as plain:
            with context.wrap_socket(plain, server_hostname=domain):
                return ""
    except OSError as error:
        return str(error)
