"""The alert to whoever shows a certificate that OpenSSL accepts and etcd's rules refuse: bad_certificate.

The standard library can ask only when a handshake is done, and then has no way to send an alert: the other end would
see nothing but a closed connection. Go asks within the handshake. So does this, by OpenSSL's own callback, where the
library that Python uses can be reached; elsewhere the question is asked behind the handshake, without an alert.
"""

import ctypes
import ssl
from collections.abc import Callable
from typing import Any, Final

from etcdz.tls import openssl

REJECTED: Final = 28
"""X509_V_ERR_CERT_REJECTED, which OpenSSL itself says of no certificate that has come from a CA file."""


def ask(context: ssl.SSLContext, is_allowed: Callable[[bytes], bool]) -> bool:
    """Handshakes of this context ask of each leaf that is verified, in DER. Refused, it ends the handshake with
    ssl.SSLCertVerificationError, whose verify_code is REJECTED.

    return  whether they do; False: nothing was done
    """
    library = openssl.library()
    if library is None:
        return False

    def verify(store: int, _argument: int | None) -> int:
        if library.X509_verify_cert(store) <= 0:
            return 0
        allowed = False
        try:
            allowed = is_allowed(_leaf(library, store))
        finally:
            if not allowed:
                library.X509_STORE_CTX_set_error(store, REJECTED)
        return int(allowed)

    callback = openssl.Verify(verify)
    context.__dict__["verify_callback"] = callback  # it must live as long as the context does
    library.SSL_CTX_set_cert_verify_callback(openssl.pointer(context), callback, None)
    return True


def _leaf(library: Any, store: int) -> bytes:
    """DER of the certificate that is verified."""
    certificate = library.X509_STORE_CTX_get0_cert(store)
    data = ctypes.create_string_buffer(library.i2d_X509(certificate, None))
    end = ctypes.c_void_p(ctypes.addressof(data))
    library.i2d_X509(certificate, ctypes.byref(end))
    return data.raw
