"""The initial cluster out of SRV records, with name servers that are made up."""

import pytest

from etcdz.bootstrap.errors import BootstrapError
from etcdz.bootstrap.srv_records import Target, initial_cluster

ADDRESSES = {"a.example": "10.0.0.1", "b.example": "10.0.0.2", "c.example": "10.0.0.3", "10.0.0.2": "10.0.0.2"}
RECORDS = {
    "_etcd-server._tcp.example": [Target("a.example", 2380), Target("b.example", 2380), Target("c.example", 2380)],
    "_etcd-server-x._tcp.example": [Target("b.example", 1)],
    "_etcd-server-ssl._tcp.secure": [Target("a.example", 2380), Target("b.example", 2380)],
    "_etcd-server._tcp.lost": [Target("gone.example", 2380)],
}


def resolve(host: str) -> str:
    if host not in ADDRESSES:
        raise OSError(f"no such host: {host}")
    return ADDRESSES[host]


def look_up(name: str) -> list[Target]:
    if name not in RECORDS:
        raise OSError(f"lookup {name}: no such host")
    return RECORDS[name]


def found(domain: str, suffix: str = "", own: str = "http://10.0.0.2:2380") -> str:
    return initial_cluster("me", (own,), domain, suffix, resolve, look_up)


def test_the_target_at_the_own_address_gets_the_own_name_and_the_others_numbers() -> None:
    assert found("example") == "0=http://a.example:2380,me=http://b.example:2380,1=http://c.example:2380"
    assert found("secure", own="https://b.example:2380") == "0=https://a.example:2380,me=https://b.example:2380"
    assert found("example", "x", "http://b.example:1") == "me=http://b.example:1"


@pytest.mark.parametrize(
    ("domain", "own", "text"),
    [
        (
            "none",
            "http://b.example:2380",
            "error setting up initial cluster: error querying DNS SRV records for _etcd-server-ssl lookup "
            "_etcd-server-ssl._tcp.none: no such host; error querying DNS SRV records for _etcd-server lookup "
            "_etcd-server._tcp.none: no such host",
        ),
        ("example", "http://b.example:9", 'cannot find local etcd member "me" in SRV records'),
        ("secure", "http://b.example:2380", 'cannot find local etcd member "me" in SRV records'),
        ("lost", "http://b.example:2380", "error querying DNS SRV records for _etcd-server no such host: gone.example"),
        ("example", "http://gone.example:1", "no such host: gone.example"),
    ],
)
def test_records_that_do_not_name_this_member_are_of_no_use(domain: str, own: str, text: str) -> None:
    with pytest.raises(BootstrapError) as raised:
        found(domain, own=own)
    assert text in str(raised.value)
