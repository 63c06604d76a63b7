"""The sockets that listeners accept from: several for each port, one for a unix socket."""

import socket
from pathlib import Path

import pytest

from etcdz.net.address import Address, AddressError
from etcdz.net.listen_sockets import KEEPALIVE_S, SOCKETS_PER_ADDRESS, bind_tcp, open_listen_sockets
from tests.etcd_process import free_port


def test_all_sockets_of_an_address_are_bound_to_its_port_and_none_listens_yet() -> None:
    address = Address("127.0.0.1", free_port())
    text, sockets = open_listen_sockets(address)
    try:
        assert (text, len(sockets)) == (address.text, SOCKETS_PER_ADDRESS)
        assert {sock.getsockname() for sock in sockets} == {("127.0.0.1", address.port)}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", address.port))
    finally:
        for sock in sockets:
            sock.close()


def test_who_accepts_alone_needs_one_socket() -> None:
    [sock] = open_listen_sockets(Address("127.0.0.1", 0), 1).sockets
    sock.close()


def test_the_path_of_a_unix_socket_is_bound_once(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    [sock] = open_listen_sockets(Address(path=path)).sockets
    with sock:
        assert sock.getsockname() == path


def test_a_port_that_is_taken_is_refused_in_gos_words() -> None:
    with bind_tcp(Address("127.0.0.1"), reuse_port=False) as other:
        port = other.getsockname()[1]
        other.listen()
        with pytest.raises(AddressError, match=rf"^listen tcp 127.0.0.1:{port}: bind: address already in use$"):
            open_listen_sockets(Address("127.0.0.1", port))


def test_0_0_0_0_takes_ipv6_too() -> None:
    with bind_tcp(Address("0.0.0.0")) as wildcard:
        wildcard.listen()
        port = wildcard.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        if socket.has_ipv6 and wildcard.family == socket.AF_INET6:
            assert Address(*wildcard.getsockname()[:2]).text == f"[::]:{port}"


def test_an_accepted_socket_finds_out_that_its_client_has_vanished() -> None:
    [listening] = open_listen_sockets(Address("127.0.0.1", 0), 1).sockets
    listening.listen()
    with listening, socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_S
