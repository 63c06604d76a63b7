"""The cluster version: what all members understand, major and minor alone, "3.5.0".

Source: etcd 3.5 monitorVersions, decideClusterVersion and IsValidVersionChange.
"""

import re
from collections.abc import Iterable
from typing import Final

MIN_CLUSTER_VERSION: Final = "3.0.0"
"""While it is not known what some member understands."""
_VERSION: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?:[-+][0-9A-Za-z.+-]*)?")


def major_minor(version: str) -> tuple[int, int] | None:
    """None: not three decimal numbers."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None


def lowest(versions: Iterable[str]) -> str | None:
    """The cluster version that members of these versions understand; None: one of them says no version."""
    found = [major_minor(version) for version in versions]
    known = [version for version in found if version is not None]
    if not known or len(known) < len(found):
        return None
    return "{}.{}.0".format(*min(known))


def next_version(current: str, common: str | None) -> str | None:
    """What the leader is to set; None: it stays.

    current  the version that the cluster has; "": none yet
    common   the newest that all members understand; None: some member has not said what it is
    """
    if not current:
        return common or MIN_CLUSTER_VERSION
    had, wanted = major_minor(current), major_minor(common or "")
    if had is None or wanted is None or had[0] != wanted[0]:
        return None
    return common if wanted > had or wanted[1] == had[1] - 1 else None


def is_beyond(cluster_version: str, server_version: str) -> bool:
    """Whether a server of this version is too old for the cluster."""
    cluster, server = major_minor(cluster_version), major_minor(server_version)
    return cluster is not None and server is not None and cluster > server
