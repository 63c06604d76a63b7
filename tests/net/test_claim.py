"""Which member may listen where: one member per address, stale unix sockets are removed, served ones stay."""

import os
import socket
from pathlib import Path

import pytest

from etcdz.net.address import Address, AddressError, address_of
from etcdz.net.claim import Claim
from etcdz.net.listen_sockets import bind_tcp
from tests.etcd_process import free_port

IN_USE = "listen tcp 127.0.0.1:{0}: bind: address already in use"


def test_a_port_that_is_none() -> None:
    with pytest.raises(AddressError, match=r"^listen tcp: address 99999: invalid port$"):
        Claim(["http://127.0.0.1:99999"], shared=False)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(AddressError, match=r"^listen tcp 192.0.2.1:1234: bind: cannot assign requested address$"):
        Claim(["http://192.0.2.1:1234"], shared=False)


def refusal(url: str, shared: bool = False) -> str:
    with pytest.raises(AddressError) as caught:
        Claim([url], shared)
    return str(caught.value)


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_that_somebody_serves_is_refused(reuse_port: bool) -> None:
    with bind_tcp(Address("127.0.0.1"), reuse_port=reuse_port) as other:
        other.listen()
        port = other.getsockname()[1]
        assert refusal(f"http://127.0.0.1:{port}") == IN_USE.format(port)
        if reuse_port:
            Claim([f"http://127.0.0.1:{port}"], shared=True).close()
        else:
            assert refusal(f"http://127.0.0.1:{port}", shared=True) == IN_USE.format(port)


def test_listeners_of_the_member_share_what_it_claims_and_nobody_else_gets_it() -> None:
    port = free_port()
    with Claim([f"http://127.0.0.1:{port}"], shared=False) as claim:
        assert refusal(f"http://localhost:{port}") == IN_USE.format(port), "before the first listener"
        with pytest.raises(ConnectionRefusedError):  # nobody serves it yet
            socket.create_connection(("127.0.0.1", port))
        first, second, *_ = claim.listen_sockets[0].sockets
        first.listen()
        second.listen()
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(OSError):  # all listeners are dead for now
            bind_tcp(Address("127.0.0.1", port), reuse_port=False)
    Claim([f"http://127.0.0.1:{port}"], shared=False).close()


def test_two_urls_of_one_address_exclude_each_other_unless_they_say_the_same() -> None:
    port = free_port()
    urls = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    with pytest.raises(AddressError) as caught:
        Claim(urls, shared=False)
    assert str(caught.value) == IN_USE.format(port)
    Claim([urls[0], urls[0]], shared=False).close()


def test_port_0_becomes_a_port_for_all_listeners() -> None:
    with Claim(["http://127.0.0.1:0", "http://localhost:0"], shared=False) as claim:
        ports = [address_of(url).port for url in claim.urls]
        assert all(ports) and ports[0] != ports[1]
        assert claim.urls == (f"http://127.0.0.1:{ports[0]}", f"http://localhost:{ports[1]}")
        assert [sockets.sockets[-1].getsockname()[1] for sockets in claim.listen_sockets] == ports


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return "a.sock"


def test_a_stale_unix_socket_is_replaced_and_the_file_goes_at_the_end(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(path)
    with Claim([f"unix://{path}"], shared=False) as claim:
        (sockets,) = claim.listen_sockets
        (listener,) = sockets.sockets
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    assert not os.path.exists(path)


def test_a_unix_socket_that_somebody_serves_is_refused_and_stays(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen(0)
        for _ in range(3):  # also when its queue is full
            assert refusal(f"unix://{path}", shared=True) == f"listen unix {path}: bind: address already in use"
        assert os.path.exists(path)


def test_a_file_in_the_place_of_a_unix_socket_is_kept(path: str) -> None:
    Path(path).write_text("mine")
    assert refusal(f"unix://{path}") == f"listen unix {path}: bind: address already in use"
    assert Path(path).read_text() == "mine"


def test_a_unix_socket_in_no_directory(path: str) -> None:
    assert refusal(f"unix://nowhere/{path}") == f"listen unix nowhere/{path}: bind: no such file or directory"
