"""A real etcd to ask."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.etcd_process import RealEtcd, find_program

ETCD = find_program("etcd")


class RunningEtcd(NamedTuple):
    """Its URLs."""

    client: str
    peer: str


class _ReachableEtcd(RealEtcd):
    """It advertises the address at which others reach it."""

    def _own_flags(self) -> list[str]:
        peer = f"http://127.0.0.1:{self.peer_port}"
        return [*super()._own_flags(), f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[RunningEtcd]:
    """One member that is alone, with the v2 API."""
    with _ReachableEtcd(tmp_path, "--enable-v2") as member:
        yield RunningEtcd(member.client_url, f"http://127.0.0.1:{member.peer_port}")
        member.kill9()
