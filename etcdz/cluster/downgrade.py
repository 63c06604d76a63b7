"""Which versions a cluster may be downgraded to, as etcd 3.5 checks it."""

import re
from typing import Final

from etcdz.api import errors
from etcdz.api.errors import EtcdError

VALIDATE, ENABLE, CANCEL = 0, 1, 2
_VERSION: Final = re.compile(
    r"(?P<major>\d+)\.(?P<minor>\d+)\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
_INT64_MAX: Final = (1 << 63) - 1


def parse_target(text: str) -> str | EtcdError:
    """ "3.4", "3.4.9" or "3.4.9-rc.1+x" -> "3.4.0", as a cluster version has no patch level."""
    found = _VERSION.fullmatch(text) or _VERSION.fullmatch(f"{text}.0")
    if found is None or any(int(number) > _INT64_MAX for number in re.findall(r"\d+", found.group(0))[:3]):
        return errors.WRONG_DOWNGRADE_VERSION_FORMAT
    return f"{int(found['major'])}.{int(found['minor'])}.0"


def check(action: int, version: str, cluster_version: str | None, under_way: str) -> EtcdError | None:
    """Why an action may not be taken; None: it may.

    action           VALIDATE, ENABLE or CANCEL
    version          the target, as the client writes it
    cluster_version  "3.5.0", or None while no leader has set it
    under_way        target of the downgrade that is under way, or ""
    """
    if action == CANCEL:
        return None if under_way else errors.NO_INFLIGHT_DOWNGRADE
    if cluster_version is None:
        return errors.CLUSTER_VERSION_UNAVAILABLE
    target = parse_target(version)
    if isinstance(target, EtcdError):
        return target
    major, minor = cluster_version.split(".")[:2]
    if target != f"{major}.{int(minor) - 1}.0":
        return errors.INVALID_DOWNGRADE_TARGET_VERSION
    return errors.DOWNGRADE_IN_PROCESS if under_way else None
