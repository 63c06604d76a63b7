"""Functions of the OpenSSL behind module ssl that the module does not offer, where that library can be reached."""

import _ssl
import ctypes
import functools
import ssl
import sys
from typing import Any, Final

Verify: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
"""(X509_STORE_CTX *, argument) -> whether the chain is accepted"""

_SET_SESSION_CACHE_MODE: Final = 44
"""SSL_CTRL_SET_SESS_CACHE_MODE; the mode 0 is off."""


def keep_no_sessions(context: ssl.SSLContext) -> bool:
    """A server with this context resumes nothing, and remembers nothing of clients that are gone.

    return  whether that could be done; else it keeps sessions of TLS 1.2, some KiB each
    """
    found = library()
    if found is not None:
        found.SSL_CTX_ctrl(pointer(context), _SET_SESSION_CACHE_MODE, 0, None)
    return found is not None


def pointer(context: ssl.SSLContext) -> int | None:
    """SSL_CTX *, the first field behind the head of the object."""
    return ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value


@functools.cache
def library() -> Any:
    """None where its functions cannot be found: it may be a part of the program."""
    if sys.implementation.name != "cpython":
        return None
    try:
        found = ctypes.CDLL(_ssl.__file__)
        found.SSL_CTX_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
        found.SSL_CTX_ctrl.restype = ctypes.c_long
        found.SSL_CTX_set_cert_verify_callback.argtypes = (ctypes.c_void_p, Verify, ctypes.c_void_p)
        found.SSL_CTX_set_cert_verify_callback.restype = None
        found.X509_verify_cert.argtypes = (ctypes.c_void_p,)
        found.X509_STORE_CTX_set_error.argtypes = (ctypes.c_void_p, ctypes.c_int)
        found.X509_STORE_CTX_set_error.restype = None
        found.X509_STORE_CTX_get0_cert.argtypes = (ctypes.c_void_p,)
        found.X509_STORE_CTX_get0_cert.restype = ctypes.c_void_p
        found.i2d_X509.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    except (AttributeError, OSError):
        return None
    return found
