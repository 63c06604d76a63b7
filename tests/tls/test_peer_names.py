"""Whether a member may come from where it comes."""

import pytest

from etcdz.tls.certificate import PeerNames
from etcdz.tls.peer_names import Resolver, needs_resolver, san_error

HOSTS = {"10.0.0.1": ["a.example.com."], "10.0.0.3": ["c.sub.example.com"]}
ADDRESSES = {"b": ["10.0.0.2"], "b6": ["fd00:0::2"]}


def fail(_: str) -> list[str]:
    raise OSError("lookup: no such host")


KNOWN = Resolver(lambda ip: HOSTS.get(ip, []), lambda host: ADDRESSES.get(host, []))
BROKEN = Resolver(fail, fail)


@pytest.mark.parametrize(
    ("names", "ip", "error"),
    [
        (PeerNames("any"), "10.9.9.9", None),
        (PeerNames("", (), ("10.0.0.1", "10.0.0.2")), "10.0.0.2", None),
        (PeerNames("", (), ("10.0.0.2",)), "::ffff:10.0.0.2", None),
        (PeerNames("", (), ("fd00::2",)), "fd00:0:0::2%eth0", None),
        (PeerNames("", (), ("::1", "fd::1")), "10.0.0.3", "x509: certificate is valid for ::1, fd::1, not 10.0.0.3"),
        (PeerNames("", ("a.example.com",)), "10.0.0.1", None),
        (PeerNames("", ("*.example.com",)), "10.0.0.1", None),
        (PeerNames("", ("*.example.com",)), "10.0.0.3", None),  # a suffix here, as in etcd; not one label
        (PeerNames("", ("b",)), "10.0.0.2", None),
        (PeerNames("", ("b6",)), "fd00::2", None),
        (PeerNames("", ("x", "b"), ("10.9.9.9",)), "10.0.0.2", None),
        (PeerNames("", ("x", "*.y")), "10.0.0.2", 'tls: "10.0.0.2" does not match any of DNSNames ["x" "*.y"]'),
        (PeerNames("", ("example.com",)), "10.0.0.1", 'tls: "10.0.0.1" does not match any of DNSNames ["example.com"]'),
    ],
)  # fmt: skip
def test_names_and_addresses_against_the_ip(names: PeerNames, ip: str, error: str | None) -> None:
    assert san_error(names, ip, KNOWN) == error


def test_what_cannot_be_resolved_does_not_match() -> None:
    names = PeerNames("", ("x",))
    assert san_error(names, "10.0.0.1", BROKEN) == (
        'tls: "10.0.0.1" does not match any of DNSNames ["x"] (lookup: no such host)'
    )


def test_name_servers_are_asked_for_names_alone() -> None:
    assert not needs_resolver(PeerNames("cn"), "10.0.0.1")
    assert not needs_resolver(PeerNames("", (), ("10.0.0.2",)), "10.0.0.1")
    assert not needs_resolver(PeerNames("", ("b",), ("10.0.0.1",)), "10.0.0.1")
    assert needs_resolver(PeerNames("", ("b",), ("10.0.0.2",)), "10.0.0.1")
    for names in (PeerNames("cn"), PeerNames("", ("b",), ("10.0.0.1",))):
        assert san_error(names, "10.0.0.1", BROKEN) is None
