"""The addresses of a listener: which protocols are spoken on each, and what can be asked there.

An address that is given as http and as https is one socket. Source: etcd 3.5 embed/serve.go
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from etcdz.config.urls import parse_url
from etcdz.net.address import address_of


class Offer(NamedTuple):
    """What can be asked on a connection.

    grpc            gRPC, over HTTP/2
    http1, http2    the endpoints of HTTP, over either version
    metrics_only    of these only the ones for monitoring
    is_secure       over TLS
    """

    grpc: bool = True
    http1: bool = True
    http2: bool = False
    metrics_only: bool = False
    is_secure: bool = False


PLAIN: Final = Offer()
"""HTTP/2 without TLS is for gRPC alone."""


class Port(NamedTuple):
    """One address.

    is_plain, is_secure     which of TLS and none is spoken; at least one
    plain, secure           what can be asked then
    """

    is_plain: bool
    is_secure: bool
    plain: Offer
    secure: Offer


def ports_of(
    addresses: Iterable[str], client_urls: Iterable[str], http_urls: Iterable[str], metrics_urls: Iterable[str]
) -> list[Port]:
    """addresses    as Address.text
    client_urls  --listen-client-urls: gRPC and HTTP, or gRPC alone if there are http_urls
    http_urls    --listen-client-http-urls
    metrics_urls --listen-metrics-urls
    return       one for each address
    """
    clients, https, metrics = _schemes(client_urls), _schemes(http_urls), _schemes(metrics_urls)
    ports = []
    for address in addresses:
        if address in metrics:
            plain, schemes = Offer(grpc=False, metrics_only=True), metrics[address]
        elif address in https:
            plain, schemes = Offer(grpc=False), https[address]
        else:
            plain, schemes = Offer(http1=not https), clients[address]
        ports.append(Port(False in schemes, True in schemes, plain, plain._replace(http2=plain.http1, is_secure=True)))
    return ports


def _schemes(urls: Iterable[str]) -> dict[str, set[bool]]:
    """Address -> whether its URLs are secure."""
    found: dict[str, set[bool]] = {}
    for url in urls:
        found.setdefault(address_of(url).text, set()).add(parse_url(url).is_secure)
    return found
