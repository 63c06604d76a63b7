"""Whether a process is to be a member or a proxy: what its data directory is of goes before what its flags say."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from etcdz.bootstrap.errors import BootstrapError
from etcdz.config import MemberConfig

OFF: Final = "off"
ON: Final = "on"
_BOTH: Final = "invalid datadir; both member and proxy directories exist"


def decide(config: MemberConfig) -> MemberConfig:
    """config, with proxy as it is to be. raises BootstrapError. Source: etcd 3.5 identifyDataDirOrDie"""
    data_dir = Path(config.data_dir)
    is_member, is_proxy = (data_dir / "member").exists(), (data_dir / "proxy").exists()
    if is_member and is_proxy:
        raise BootstrapError(_BOTH)
    if is_member and config.proxy != OFF:
        return replace(config, proxy=OFF)
    if is_proxy and config.proxy == OFF:
        return replace(config, proxy=ON)
    return config
