"""Sockets for the shells: TCP or unix, plain or by TLS with HTTP/2 agreed upon."""

import socket
from typing import TYPE_CHECKING

from etcdz.client.endpoints import Endpoint
from etcdz.client.options import Tls

if TYPE_CHECKING:
    import ssl


def make_context(tls: Tls) -> "ssl.SSLContext":
    """raises OSError: a file is no good (ssl.SSLError is one)"""
    import ssl

    context = ssl.create_default_context(cafile=tls.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key)
    context.set_alpn_protocols(["h2"])
    return context


def not_now(endpoint: Endpoint) -> tuple[type[OSError], ...]:
    """What a connection to it raises that can neither take nor give anything at the moment."""
    if not endpoint.is_secure:
        return (BlockingIOError,)
    import ssl

    return BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError


def server_name(endpoint: Endpoint, tls: Tls) -> str:
    """Whose certificate it must be."""
    return tls.server_name or endpoint.host or "localhost"


def open_socket(endpoint: Endpoint, tls: Tls, timeout_s: float) -> socket.socket:
    """Connected, and not blocking. raises OSError"""
    if endpoint.path:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        connection.settimeout(timeout_s)
        if endpoint.path:
            connection.connect(endpoint.path)
        if endpoint.is_secure:
            connection = make_context(tls).wrap_socket(connection, server_hostname=server_name(endpoint, tls))
        connection.setblocking(False)
    except BaseException:
        connection.close()
        raise
    return connection
