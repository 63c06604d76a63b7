"""What a client URL says as an address."""

import pytest

from etcdz.net.address import Address, address_of


@pytest.mark.parametrize(
    ("url", "address", "text"),
    [
        ("http://127.0.0.1:2379", Address("127.0.0.1", 2379), "127.0.0.1:2379"),
        ("http://localhost:2379", Address("127.0.0.1", 2379), "127.0.0.1:2379"),
        ("http://[::1]:2379", Address("::1", 2379), "[::1]:2379"),
        ("http://[::ffff:127.0.0.1]:2379", Address("127.0.0.1", 2379), "127.0.0.1:2379"),
        ("http://0.0.0.0:", Address("0.0.0.0", 0), "0.0.0.0:0"),
        ("unix://localhost:2379", Address(path="localhost:2379"), "localhost:2379"),
        ("unix:///run/a.sock", Address(path="/run/a.sock"), "/run/a.sock"),
    ],
)
def test_addresses_are_those_that_etcd_binds(url: str, address: Address, text: str) -> None:
    assert (address_of(url), address_of(url).text) == (address, text)
