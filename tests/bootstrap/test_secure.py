"""What a member asks of others before its first start, of an etcd that lets in only who shows a certificate."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from etcdz.bootstrap.deciding import decide
from etcdz.bootstrap.errors import BootstrapError
from etcdz.bootstrap.other_members import running_cluster
from etcdz.bootstrap.requests import RequestFailed, request
from etcdz.config import MemberConfig
from etcdz.net.blocking_channel import Channel, connect
from etcdz.net.tls_socket import TlsDialler
from etcdz.proto import etcdserverpb as pb
from etcdz.testing.certificates import Authority
from etcdz.tls.files import TlsFiles
from etcdz.tls.settings import TlsSettings
from tests.config.cases import resolve
from tests.etcd_process import MEMBER_ID, RealEtcd, free_port

pytestmark = pytest.mark.process


class Secure(NamedTuple):
    """shown: settings of a client that is let in"""

    client: str
    peer: str
    shown: TlsSettings

    def dialler(self, *alpn: str) -> TlsDialler:
        return TlsDialler(TlsFiles(self.shown, None), alpn)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    if reason := RealEtcd.why_absent():
        pytest.skip(reason)
    directory: Path = tmp_path_factory.mktemp("secure")
    ca = Authority(directory, "ca")
    own = ca.issue("own", ips=["127.0.0.1"])
    client, peer = (f"https://127.0.0.1:{free_port()}" for _ in range(2))
    flags = [f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"]
    for side in ("", "peer-"):
        flags += [f"--{side}cert-file={own.cert}", f"--{side}key-file={own.key}", f"--{side}trusted-ca-file={ca.ca}"]
    member = RealEtcd(directory, *flags)
    member.client_port, member.peer_port = (int(url.rpartition(":")[2]) for url in (client, peer))
    with member:
        yield Secure(
            client, peer, TlsSettings(cert_file=str(own.cert), key_file=str(own.key), trusted_ca_file=str(ca.ca))
        )


def test_its_members_are_asked_by_tls(secure: Secure) -> None:
    assert [member.id for member in running_cluster([secure.peer], 60.0, secure.dialler()).members] == [MEMBER_ID]
    with pytest.raises(BootstrapError, match="could not retrieve cluster information"):
        running_cluster([secure.peer], 60.0, is_silent=True)


def test_who_is_not_let_in_is_told_why(secure: Secure) -> None:
    trusting = TlsSettings(insecure_skip_verify=True)
    for settings, why in ((TlsSettings(), "unknown authority"), (trusting, "bad certificate")):
        with pytest.raises(RequestFailed, match=why):
            request(secure.peer, "/members", 60.0, tls=TlsDialler(TlsFiles(settings, None)))


def test_members_find_each_other_in_a_key_space_behind_tls(secure: Secure) -> None:
    address = secure.client.removeprefix("https://")
    dialler = secure.dialler("h2")
    with Channel(address, lambda target, wait_s: dialler.wrap(connect(target, wait_s), "127.0.0.1")) as channel:
        size = pb.PutRequest(key=b"/_etcd/registry/tok/_config/size", value=b"1")
        channel.unary("/etcdserverpb.KV/Put", size.SerializeToString(), 60.0)
    for endpoint, url in ((secure.client, "http://10.0.0.1:2380"), (address, "http://10.0.0.1:2380")):
        config = MemberConfig(
            name="a",
            initial_advertise_peer_urls=(url,),
            discovery_token="tok",
            discovery_endpoints=(endpoint,),
            discovery_tls=secure.shown,
        )
        assert [member.peer_urls for member in decide(config, resolve).members] == [(url,)]
