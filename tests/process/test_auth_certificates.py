"""Users by the common name of their certificates: with --client-cert-auth, behind a token, never without a name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.testing.certificates import Authority, Issued
from tests.etcd_process import free_port
from tests.process.auth_member import AuthMember, Outcome

pytestmark = pytest.mark.process

HERE = ["127.0.0.1"]
EMPTY = ("INVALID_ARGUMENT", "etcdserver: user name is empty")
DENIED = ("PERMISSION_DENIED", "etcdserver: permission denied")
SECRET, FOO = pb.RangeRequest(key=b"secret"), pb.RangeRequest(key=b"foo")
Call = Callable[..., Outcome]


class World:
    """A member that knows users by certificates of ca, and is asked by different clients."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self.ca = Authority(directory, "ca")
        server = self.ca.issue("server", dns=["localhost"], ips=HERE)
        port = free_port()
        urls = f"http://127.0.0.1:{port},https://127.0.0.1:{port}"
        tls = [f"--cert-file={server.cert}", f"--key-file={server.key}", f"--trusted-ca-file={self.ca.ca}", *flags]
        self.member = AuthMember(directory, f"--listen-client-urls={urls}", *tls, port=port)
        self.member.begin()

    def by(self, issued: Issued) -> Call:
        """call(path, request, user="", metadata=None) by a client that shows this certificate."""
        credentials = grpc.ssl_channel_credentials(
            self.ca.ca.read_bytes(), issued.key.read_bytes(), issued.cert.read_bytes()
        )
        channel = grpc.secure_channel(self.member.member.target, credentials)
        return lambda *args, **named: self.member.call(*args, **named, channel=channel)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("names"), "--client-cert-auth")
    yield made
    made.member.close()


def test_the_common_name_is_the_user(world: World) -> None:
    u, root = world.by(world.ca.issue("u")), world.by(world.ca.issue("root"))
    assert u("KV/Range", FOO).header.revision
    assert u("KV/Range", SECRET) == DENIED
    assert root("KV/Range", SECRET).header.revision
    assert root("Auth/UserList", pb.AuthUserListRequest()).users


def test_a_token_comes_before_the_certificate(world: World) -> None:
    u = world.by(world.ca.issue("u"))
    assert u("KV/Range", SECRET, "root").header.revision
    assert u("KV/Range", FOO, metadata=(("token", "none.1"),)) == ("UNAUTHENTICATED", "etcdserver: invalid auth token")


def test_a_gateway_asks_for_somebody_else(world: World) -> None:
    root = world.by(world.ca.issue("root"))
    assert root("KV/Range", SECRET, metadata=(("grpcgateway-accept", "application/json"),)) == EMPTY


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("KV/Range", FOO),
        ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=60)),
        ("Cluster/MemberList", pb.MemberListRequest()),
        ("Maintenance/Status", pb.StatusRequest()),
        ("Maintenance/Alarm", pb.AlarmRequest()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_certificate_without_a_name_is_nobodys(world: World, path: str, request_: object) -> None:
    nobody = world.by(world.ca.issue("nobody", cn="", dns=["client"]))
    assert nobody(path, request_) == EMPTY


def test_a_name_of_no_user_may_nothing(world: World) -> None:
    stranger = world.by(world.ca.issue("stranger"))
    assert stranger("KV/Range", FOO) == DENIED
    assert stranger("KV/Put", pb.PutRequest(key=b"pre1")) == DENIED


def test_names_count_only_with_client_cert_auth(tmp_path: Path) -> None:
    made = World(tmp_path)
    try:
        assert made.by(made.ca.issue("root"))("KV/Range", FOO) == EMPTY
    finally:
        made.member.close()
