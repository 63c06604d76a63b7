"""Where the client is: what two ticks in a row say."""

import os
import socket

from actors.listener.client_affinity import SILENT_TICKS, ClientAffinity, arrival_cpu


class _Client:
    def __init__(self, *cpus: int) -> None:
        self.cpus = list(cpus)

    def incoming_cpu(self) -> int:
        return self.cpus.pop(0)


def test_a_client_counts_when_two_ticks_agree_and_is_told_once() -> None:
    affinity, client = ClientAffinity(), _Client(1, 0, 0, 0, 1, 0, 1, 1)
    told = []
    for _ in range(8):
        affinity.latest = client
        told.append((affinity.on_tick(), affinity.cpu))
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
    affinity = ClientAffinity()
    assert not affinity.on_tick()
    affinity.latest = _Client(3, 3)
    assert not affinity.on_tick()
    assert not affinity.on_tick()
    assert affinity.cpu == -1


def test_who_has_been_silent_for_long_may_be_anywhere() -> None:
    affinity = ClientAffinity()
    client = _Client(3, 3)
    for _ in range(2):
        affinity.latest = client
        affinity.on_tick()
    told = []
    for _ in range(SILENT_TICKS):
        assert not affinity.on_tick()
        told.append(affinity.cpu)
    assert told == [3] * (SILENT_TICKS - 1) + [-1]


def test_a_connection_that_is_gone_is_not_asked() -> None:
    affinity, client = ClientAffinity(), _Client()
    affinity.latest = client
    affinity.forget(client)
    assert not affinity.on_tick()


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
