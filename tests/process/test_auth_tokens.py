"""Tokens: how long they live, where they are known, and those that are signed."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, MemberFailed
from tests.process.auth_member import READ, AuthMember

pytestmark = pytest.mark.process

BAD_TOKEN = ("UNAUTHENTICATED", "etcdserver: invalid auth token")
OLD = ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old")
GET = pb.RangeRequest(key=b"foo")
TTL_S = 2
"""Of a token that is to end."""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., AuthMember]]:
    made: list[AuthMember] = []

    def begin(*flags: str) -> AuthMember:
        made.append(AuthMember(tmp_path, *flags))
        made[-1].begin()
        return made[-1]

    yield begin
    for member in made:
        member.close()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "jwt.pem"
    made = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_a_token_lives_on_while_it_is_used_and_ends_when_it_is_not(make: Callable[..., AuthMember]) -> None:
    member = make(f"--auth-token-ttl={TTL_S}")
    unused, used_at, until = "", 0.0, 0.0
    while not unused or used_at < until:
        threading.Event().wait(0.05)  # its uses are not what takes the CPU
        began = time.monotonic()
        answer = member.call("KV/Range", GET, "u")
        if not unused or answer == BAD_TOKEN:  # this process may have got no CPU time for as long as a token lives
            assert time.monotonic() - used_at >= TTL_S
            unused, until = member.log_in("guest"), time.monotonic() + 2 * TTL_S
            began = time.monotonic()
            member.log_in("u")
        else:
            assert answer.count == 0
        used_at = began
    assert member.call("KV/Range", GET, metadata=(("token", unused),)) == BAD_TOKEN


def test_a_restart_forgets_no_token(make: Callable[..., AuthMember]) -> None:
    member = make()
    member.member.restart()
    member.connect_again()
    assert member.must("KV/Range", GET, "u").count == 0


def test_a_signed_token_is_outdated_by_a_change_of_users(make: Callable[..., AuthMember], key: Path) -> None:
    member = make(f"--auth-token=jwt,sign-method=ES256,priv-key={key},ttl=1h")
    assert member.tokens["u"].count(".") == 2
    assert member.must("KV/Range", GET, "u").count == 0
    assert member.call("KV/Range", GET, metadata=(("token", member.tokens["u"][:-4] + "AAAA"),)) == BAD_TOKEN
    member.grant("u", READ, b"more", user="root")
    assert member.call("KV/Range", GET, "u") == OLD
    assert member.must("Auth/UserList", pb.AuthUserListRequest(), "root").users, "admins are not asked for revisions"
    member.log_in("u")
    assert member.must("KV/Range", GET, "u").count == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("jwt,sign-method=ES256", "missing key data"),
        pytest.param("jwt,sign-method=ES256,priv-key=/nowhere", "auth: invalid auth options", marks=pytest.mark.long),
        ("jwt,sign-method=RS256,priv-key={key}", "key is not a valid RSA private key"),
        pytest.param("sipmle", "auth: invalid auth options", marks=pytest.mark.long),
    ],
)
def test_a_member_does_not_begin_without_a_way_to_give_tokens(
    tmp_path: Path, key: Path, options: str, reason: str
) -> None:
    member = Etcdz(tmp_path, f"--auth-token={options.format(key=key)}")
    try:
        with pytest.raises(MemberFailed):
            member.start()
        assert f'"msg":"discovery failed","actor":"supervisor","error":"{reason}"' in member.log_tail(10)
    finally:
        member.discard()
