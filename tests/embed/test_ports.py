"""Ports that are held for a member."""

import socket

import pytest

from etcdz.embed import ports


def test_a_server_can_listen_on_a_held_port_and_nobody_else_finds_it_free() -> None:
    with ports.hold() as held, socket.socket() as server, socket.socket() as other:
        address = ("127.0.0.1", ports.port_of(held))
        with pytest.raises(OSError):
            other.bind(address)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen()
        with socket.create_connection(address):
            pass


def test_each_gets_a_port_of_its_own() -> None:
    held = [ports.hold() for _ in range(50)]
    assert len({ports.port_of(each) for each in held}) == 50
    for each in held:
        each.close()
