"""Members that speak to each other by TLS, real etcd among them; certificates that are replaced and that expire."""

import socket
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from etcdz.testing.certificates import Authority, Issued
from tests.cluster_process import STEADY, Cluster, until
from tests.clusters.conftest import ClusterMaker
from tests.clusters.test_snapshots import EVERY, flags_of, put_many, wait_installed

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

HERE = ["127.0.0.1"]


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def peer_flags(ca: Authority, issued: Issued) -> tuple[str, ...]:
    return (
        f"--peer-cert-file={issued.cert}",
        f"--peer-key-file={issued.key}",
        f"--peer-trusted-ca-file={ca.ca}",
        "--peer-client-cert-auth",
    )


@pytest.mark.parametrize(
    ("kinds", "sender", "receiver"),
    [
        ("old-etcd,etcd,etcdz", "etcd", "etcdz"),
        ("etcd,etcdz,etcdz", "etcdz", "etcd"),
        ("old-etcd,old-etcd,etcdz", "old-etcd", "etcdz"),
        ("etcdz,etcdz,etcdz", "etcdz", "etcdz"),
    ],
)
def test_members_of_all_kinds_lead_and_send_snapshots(
    kinds: str, sender: str, receiver: str, make_cluster: ClusterMaker, ca: Authority, is_long: bool
) -> None:
    if not is_long and kinds != "old-etcd,etcd,etcdz":
        pytest.skip("all mixes only with --long")
    flags = (*STEADY, EVERY, *peer_flags(ca, ca.issue("member", ips=HERE)))
    cluster = make_cluster(kinds, *flags, peer_scheme="https")
    for member in cluster:
        member.flags += flags_of(member.kind)
    with cluster:
        for member in list(cluster):
            cluster.move_leader(member.name)
            put_many(member, 60)
        cluster.move_leader(next(member.name for member in cluster if member.kind == sender))
        put_many(cluster.leader())
        new = cluster.announce(receiver, *flags_of(receiver), is_learner=True)
        cluster.launch(new.name).wait_ready()
        cluster.promote(new.name)
        put_many(new, 20, b"after")
        cluster.assert_equal_stores()
        assert wait_installed(new) == 1


def served_serial(cluster: Cluster, name: str, own: Issued) -> int:
    """Of the certificate that a member shows now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(own.cert, own.key)
    with socket.create_connection(("127.0.0.1", cluster[name].peer_port), 10) as sock, context.wrap_socket(sock) as tls:
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def reconnect(cluster: Cluster) -> None:
    """All connections between members end, and come back."""
    for member in cluster:
        cluster.network.isolate(member.name)
    cluster.network.heal()
    cluster.leader()
    put_many(cluster.leader(), 3)
    cluster.assert_equal_stores()


def test_certificates_and_ca_are_replaced_while_the_cluster_runs(
    make_cluster: ClusterMaker, ca: Authority, tmp_path: Path, is_long: bool
) -> None:
    """First both authorities are trusted, then the new one's certificate is shown, then the old one is trusted no more;
    members go on, and connections that are cut come back each time. For one actor: tests/actors/peer/test_tls.py"""
    if not is_long:
        pytest.skip("only with --long")
    issued = ca.issue("member", ips=HERE)
    after = Authority(tmp_path / "after", "next authority")
    later = after.issue("member", ips=HERE)
    old, new = ca.ca.read_bytes(), after.ca.read_bytes()
    with make_cluster("etcdz,etcdz", *STEADY, *peer_flags(ca, issued), peer_scheme="https", proxied=True) as cluster:
        assert served_serial(cluster, "m0", issued) == issued.serial
        ca.ca.write_bytes(old + new)
        reconnect(cluster)
        issued.key.write_bytes(later.key.read_bytes())
        issued.cert.write_bytes(later.cert.read_bytes())
        for name in ("m0", "m1"):
            until(lambda name=name: served_serial(cluster, name, later) == later.serial, 60, lambda: "not shown")
        ca.ca.write_bytes(new)
        reconnect(cluster)


def test_a_certificate_that_expires_ends_no_connection_and_a_new_one_brings_those_that_were_cut_back(
    make_cluster: ClusterMaker, ca: Authority, is_long: bool
) -> None:
    if not is_long:
        pytest.skip("only with --long")
    lasts_s = 60
    ends_at = time.monotonic() + lasts_s
    issued = ca.issue("member", ips=HERE, days=lasts_s / 86_400)
    with make_cluster("etcdz,etcdz", *STEADY, *peer_flags(ca, issued), peer_scheme="https", proxied=True) as cluster:
        until(lambda: time.monotonic() > ends_at + 1, lasts_s + 30, lambda: "")
        put_many(cluster.leader(), 20)
        cluster.assert_equal_stores()
        cluster.network.isolate("m1")
        cluster.network.heal()
        for member in cluster:
            member.wait_for_log("certificate has expired or is not yet valid", 60)
        ca.issue("member", ips=HERE)
        cluster.leader(timeout_s=60)
        put_many(cluster.leader(), 20)
        cluster.assert_equal_stores()
