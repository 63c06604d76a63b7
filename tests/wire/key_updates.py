"""A client that changes its keys again and again, which Python offers no function for."""

import ctypes

import pytest

from etcdz.tls import openssl
from etcdz.wire.tls_session import TlsSession


def key_updates(client: TlsSession, count: int, asks: bool) -> bytes:
    """So many records of TLS 1.3 that say nothing but that new keys follow. asks: that the other side does the same"""
    library = openssl.library()
    if library is None:
        pytest.skip("OpenSSL cannot be reached")
    library.SSL_key_update.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.SSL_do_handshake.argtypes = (ctypes.c_void_p,)
    # struct PySSLSocket: the head of an object, the socket, SSL *
    behind = id(client.ssl_object._sslobj) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)  # type: ignore[attr-defined]
    pointer = ctypes.c_void_p.from_address(behind).value
    records = []
    for _ in range(count):
        assert library.SSL_key_update(pointer, int(asks)) == 1
        assert library.SSL_do_handshake(pointer) == 1
        records.append(client.outgoing())
    return b"".join(records)
