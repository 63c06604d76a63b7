"""A certificate revocation list as etcd uses it: serial numbers, and nothing else.

Neither issuer nor signature nor time of the list is looked at; docs/tls.md says what follows from that.
Source: etcd 3.5 client/pkg/transport/listener_tls.go, checkCRL.
"""

from pathlib import Path

from etcdz.tls import pem
from etcdz.tls.der import revoked_serials


def read_crl(path: str) -> frozenset[int]:
    """Serial numbers in a file with one list in DER (as newer etcd wants it) or some in PEM (as etcd 3.5.1 also takes).

    raises  OSError, ValueError: it cannot be read, or is no such file. A list of several that does not end, or is no
            base64, is not passed over: what it revokes would be let in
    """
    data = Path(path).read_bytes()
    lists = pem.blocks(data, pem.CRL) or [data]
    if pem.labels(data).count(pem.CRL) > len(lists):
        raise ValueError("a list in it is cut off or damaged")
    return frozenset().union(*map(revoked_serials, lists))
