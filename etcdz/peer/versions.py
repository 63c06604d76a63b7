"""Versions that members tell each other in headers: three decimal numbers with dots.

NB: etcd's members panic on anything else in an answer, so nothing else is ever sent.
"""

from typing import Final

from etcdz.cluster.versions import MIN_CLUSTER_VERSION, major_minor
from etcdz.peer.heads import Headers

_ABSENT: Final = "2.0.0"


def are_compatible(headers: Headers, server_version: str) -> bool:
    """Whether a member with these headers and one of server_version may be in one cluster."""
    remote = major_minor(headers.get(b"x-server-version", _ABSENT.encode()).decode("latin-1"))
    remote_min = major_minor(headers.get(b"x-min-cluster-version", _ABSENT.encode()).decode("latin-1"))
    local, local_min = major_minor(server_version), major_minor(MIN_CLUSTER_VERSION)
    if remote is None or remote_min is None or local is None or local_min is None:
        return False
    return remote >= local_min and remote_min <= local
