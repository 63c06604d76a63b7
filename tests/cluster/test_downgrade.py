"""Which versions a cluster may be downgraded to: etcd's grammar of versions, and its order of checks."""

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.cluster.downgrade import CANCEL, ENABLE, VALIDATE, check, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("3.4", "3.4.0"),
        ("3.4.9", "3.4.0"),
        ("3.4.9-rc.1+x", "3.4.0"),
        ("", errors.WRONG_DOWNGRADE_VERSION_FORMAT),
        ("3", errors.WRONG_DOWNGRADE_VERSION_FORMAT),
        ("3.4.5.6", errors.WRONG_DOWNGRADE_VERSION_FORMAT),
        ("v3.4", errors.WRONG_DOWNGRADE_VERSION_FORMAT),
        ("3.99999999999999999999", errors.WRONG_DOWNGRADE_VERSION_FORMAT),
    ],
)
def test_a_target_has_no_patch_level(text: str, target: str | EtcdError) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("action", "version", "cluster_version", "under_way", "error"),
    [
        (VALIDATE, "3.4", "3.5.0", "", None),
        (ENABLE, "3.4.7", "3.5.0", "", None),
        (ENABLE, "3.4", None, "", errors.CLUSTER_VERSION_UNAVAILABLE),
        (ENABLE, "x", "3.5.0", "", errors.WRONG_DOWNGRADE_VERSION_FORMAT),
        (ENABLE, "3.5", "3.5.0", "", errors.INVALID_DOWNGRADE_TARGET_VERSION),
        (ENABLE, "3.3", "3.5.0", "", errors.INVALID_DOWNGRADE_TARGET_VERSION),
        (ENABLE, "3.4", "3.5.0", "3.4.0", errors.DOWNGRADE_IN_PROCESS),
        (ENABLE, "3.3", "3.5.0", "3.4.0", errors.INVALID_DOWNGRADE_TARGET_VERSION),
        (CANCEL, "", "3.5.0", "3.4.0", None),
        (CANCEL, "", "3.5.0", "", errors.NO_INFLIGHT_DOWNGRADE),
    ],
)
def test_one_minor_version_down_and_one_downgrade_at_a_time(
    action: int, version: str, cluster_version: str | None, under_way: str, error: EtcdError | None
) -> None:
    assert check(action, version, cluster_version, under_way) == error
