"""A member that has not joined its cluster yet: its clients wait, and who monitors it does not."""

import http.client
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster_process import FAST, Cluster, ClusterMember, until
from tests.etcd_process import free_port
from tests.process.trial import actors_of

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
WAITS_S = 240.0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, ["etcdz", "etcdz"], *FAST, "--enable-v2")
    try:
        yield cluster
    finally:
        cluster.discard()


def asked(port: int, path: str) -> http.client.HTTPConnection:
    """With a request that is not answered yet, as soon as somebody listens there."""

    def connected() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=WAITS_S)
        except ConnectionRefusedError:
            return None

    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = until(connected, WAITS_S, lambda: f"nobody listens on {port}")
    connection.request("GET", path)
    return connection


def told(connection: http.client.HTTPConnection) -> tuple[int, str]:
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def kill_listener(member: ClusterMember) -> None:
    before = actors_of(member.data_dir)["listener-1"]
    os.kill(before["pid"], signal.SIGKILL)
    until(
        lambda: actors_of(member.data_dir)["listener-1"]["incarnation"] > before["incarnation"],
        WAITS_S,
        lambda: "it is not started again",
    )


def test_clients_of_a_first_start_wait_until_the_member_is_known_and_never_again(pair: Cluster) -> None:
    first, metrics = pair["m0"], free_port()
    first.flags = (*first.flags, f"--listen-metrics-urls=http://127.0.0.1:{metrics}")
    pair.launch("m0")
    waiting = asked(first.client_port, "/v2/machines")
    assert told(asked(metrics, "/health")) == (503, '{"health":"false","reason":"RAFT NO LEADER"}\n')
    pair.launch("m1")
    status, machines = told(waiting)
    assert (status, first.client_url in machines) == (200, True)
    first.wait_ready()
    pair["m1"].wait_ready()
    pair["m1"].stop()
    kill_listener(first)
    assert told(asked(first.client_port, "/version"))[0] == 200, "it has lost its cluster, and is known"
    first.stop()
    pair.launch("m0")
    assert told(asked(first.client_port, "/version"))[0] == 200
