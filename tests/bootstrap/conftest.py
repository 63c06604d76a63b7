"""A real etcd to ask."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.etcd_process import find_program

ETCD = find_program("etcd")


class RunningEtcd(NamedTuple):
    """Its URLs."""

    client: str
    peer: str


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[RunningEtcd]:
    """One member that is alone, with the v2 API."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            ports.append(sock.getsockname()[1])
    client, peer = (f"http://127.0.0.1:{port}" for port in ports)
    flags = {"listen-client-urls": client, "advertise-client-urls": client, "listen-peer-urls": peer}
    flags |= {
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "data-dir": str(tmp_path / "d"),
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    with subprocess.Popen([str(ETCD), "--enable-v2", *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "ready to serve client requests" in line:
                break
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield RunningEtcd(client, peer)
        process.kill()
        drain.join()
