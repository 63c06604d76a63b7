"""PEM files: the blocks in them, and why a pair of certificate and key is none, in the words of Go's tls package."""

import base64
import binascii
import re
from contextlib import suppress
from typing import Final

CERTIFICATE: Final = "CERTIFICATE"
CRL: Final = "X509 CRL"

_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")


def blocks(text: bytes, label: str) -> list[bytes]:
    """Contents of all blocks with this label; what is no base64 is left out, as by Go."""
    begin, end = f"-----BEGIN {label}-----".encode(), f"-----END {label}-----".encode()
    found = []
    start = text.find(begin)
    while start >= 0 and (stop := text.find(end, start)) >= 0:
        inside = text[text.rfind(begin, start, stop) + len(begin) : stop]  # of one that never ends nothing is taken
        with suppress(binascii.Error):
            found.append(base64.b64decode(inside))
        start = text.find(begin, stop)
    return found


def labels(text: bytes) -> list[str]:
    """Of all blocks that begin."""
    return [label.decode() for label in _BEGIN.findall(text)]


def pair_error(cert_labels: list[str], key_labels: list[str]) -> str:
    """Why these files are no pair that a library loads, by the labels of their blocks.

    source  Go's tls.X509KeyPair
    """
    if not cert_labels:
        return "tls: failed to find any PEM data in certificate input"
    if CERTIFICATE not in cert_labels:
        if len(cert_labels) == 1 and _is_key(cert_labels[0]):
            return (
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
                "PEM inputs may have been switched"
            )
        return f'tls: failed to find "CERTIFICATE" PEM block in certificate input {_skipped(cert_labels)}'
    return _key_error(key_labels)


def _key_error(key_labels: list[str]) -> str:
    if not key_labels:
        return "tls: failed to find any PEM data in key input"
    if any(_is_key(label) for label in key_labels):
        return "tls: failed to parse private key"
    if key_labels == [CERTIFICATE]:
        return "tls: found a certificate rather than a key in the PEM for the private key"
    return f'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input {_skipped(key_labels)}'


def _skipped(labels: list[str]) -> str:
    return f"after skipping PEM blocks of the following types: [{' '.join(labels)}]"


def _is_key(label: str) -> bool:
    return label == "PRIVATE KEY" or label.endswith(" PRIVATE KEY")
