"""Proxies as processes: etcdz's and etcd's."""

import sys
from pathlib import Path

from tests.etcd_process import Member, RealEtcd


class Proxy(Member):
    """`etcdz grpc-proxy start` in front of these endpoints. No flag of it is set but --endpoints and --listen-addr."""

    kind = "proxy"
    ready_text = "started gRPC proxy"

    def __init__(self, tmp_dir: Path, endpoints: str, *flags: str) -> None:
        super().__init__(tmp_dir, *flags)
        self._endpoints = endpoints

    @classmethod
    def program(cls) -> list[str] | None:
        return [sys.executable, "-m", "etcdz.cli.main", "grpc-proxy", "start"]

    def _own_flags(self) -> list[str]:
        return [
            f"--endpoints={self._endpoints}",
            f"--listen-addr={self.target}",
            f"--advertise-client-url={self.target}",
        ]


class RealProxy(Proxy):
    """etcd's."""

    kind = "etcd-proxy"

    @classmethod
    def program(cls) -> list[str] | None:
        etcd = RealEtcd.program()
        return [*etcd, "grpc-proxy", "start"] if etcd else None
