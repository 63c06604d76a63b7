"""Versions that members tell each other in headers: three decimal numbers with dots.

NB: etcd's members panic on anything else in an answer, so nothing else is ever sent.
"""

import re
from typing import Final

from etcdz.peer.heads import Headers

MIN_CLUSTER_VERSION: Final = "3.0.0"
"""Of the oldest cluster that this member could be part of: the same in all of etcd 3.4 to 3.7."""
_ABSENT: Final = "2.0.0"
_VERSION: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?:[-+][0-9A-Za-z.+-]*)?")


def major_minor(version: str) -> tuple[int, int] | None:
    """None: not three numbers."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None


def are_compatible(headers: Headers, server_version: str) -> bool:
    """Whether a member with these headers and one of server_version may be in one cluster."""
    remote = major_minor(headers.get(b"x-server-version", _ABSENT.encode()).decode("latin-1"))
    remote_min = major_minor(headers.get(b"x-min-cluster-version", _ABSENT.encode()).decode("latin-1"))
    local, local_min = major_minor(server_version), major_minor(MIN_CLUSTER_VERSION)
    if remote is None or remote_min is None or local is None or local_min is None:
        return False
    return remote >= local_min and remote_min <= local
