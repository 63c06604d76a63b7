"""Where the client is: what two ticks in a row say."""

import os
import socket

from actors.listener.client_affinity import SILENT_TICKS, Nearness, arrival_cpu


class _Client:
    def __init__(self, *cpus: int) -> None:
        self.cpus = list(cpus)

    def arrives_on(self) -> int:
        return self.cpus.pop(0)


def test_a_client_counts_when_two_ticks_agree_and_is_told_once() -> None:
    nearness, client = Nearness(), _Client(1, 0, 0, 0, 1, 0, 1, 1)
    told = []
    for _ in range(8):
        nearness.latest = client
        told.append((nearness.look(), nearness.cpu))
    assert told == [
        (False, -1),
        (False, -1),
        (True, 0),
        (False, 0),
        (False, 0),
        (False, 0),
        (False, 0),
        (True, 1),
    ]


def test_silence_is_no_news() -> None:
    nearness = Nearness()
    assert not nearness.look()
    nearness.latest = _Client(3, 3)
    assert not nearness.look()
    assert not nearness.look()
    assert nearness.cpu == -1


def test_who_has_been_silent_for_long_may_be_anywhere() -> None:
    nearness = Nearness()
    client = _Client(3, 3)
    for _ in range(2):
        nearness.latest = client
        nearness.look()
    told = []
    for _ in range(SILENT_TICKS):
        assert not nearness.look()
        told.append(nearness.cpu)
    assert told == [3] * (SILENT_TICKS - 1) + [-1]


def test_a_connection_that_is_gone_is_not_asked() -> None:
    nearness, client = Nearness(), _Client()
    nearness.latest = client
    nearness.forget(client)
    assert not nearness.look()


def test_the_kernel_says_on_which_cpu_bytes_came_in() -> None:
    allowed = os.sched_getaffinity(0)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        ours, _ = server.accept()
        with ours:
            cpu = max(allowed)
            os.sched_setaffinity(0, {cpu})
            try:
                client.sendall(b"x")
                assert ours.recv(1) == b"x"
                assert arrival_cpu(ours) == cpu
            finally:
                os.sched_setaffinity(0, allowed)


def test_a_unix_socket_has_no_such_cpu() -> None:
    assert arrival_cpu(None) == -1
