"""Random calls of several users: every answer of etcdz is the one that etcd gives, but for the holes of etcd 3.5.1.

NB: users and roles that are left at the end are compared as etcd shows them and, row for row, as its database holds
them (tests/offline/test_auth.py).
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member
from tests.parity.auth_calls import OWN_PASSWORD, ROLES, USERS, draw, dump
from tests.parity.auth_pair import NOBODY, AuthCall, AuthPair

pytestmark = pytest.mark.timeout(900)
PART = 100


@pytest.fixture
def auth_pair(subject: type[Member], tmp_path: Path) -> Iterator[AuthPair]:
    pair = AuthPair(tmp_path, subject)
    yield pair
    pair.close()


def begin(pair: AuthPair) -> None:
    """Users, roles, auth on; everybody has logged in."""
    for user, password in OWN_PASSWORD.items():
        pair.compare(AuthCall(NOBODY, "UserAdd", pb.AuthUserAddRequest(name=user, password=password)))
    for role in ("root", *ROLES):
        pair.compare(AuthCall(NOBODY, "RoleAdd", pb.AuthRoleAddRequest(name=role)))
    for user, role in [("root", "root"), *zip(USERS, ROLES, strict=True)]:
        pair.compare(AuthCall(NOBODY, "UserGrantRole", pb.AuthUserGrantRoleRequest(user=user, role=role)))
    pair.compare(AuthCall(NOBODY, "AuthEnable", pb.AuthEnableRequest()))
    log_in(pair)


def log_in(pair: AuthPair) -> None:
    for user, password in OWN_PASSWORD.items():
        pair.log_in(user, password)


def test_every_answer_is_etcds(auth_pair: AuthPair, seed: int, request: pytest.FixtureRequest) -> None:
    random = Random(seed)
    begin(auth_pair)
    total = max(500, int(request.config.getoption("--parity-ops")))
    for part in range(0, total, PART):
        for _ in range(PART):
            call = draw(random)
            answer = auth_pair.compare(call)
            if call.name in ("UserAdd", "UserChangePassword") and not answer.text and call.request.name in OWN_PASSWORD:
                auth_pair.log_in(call.request.name, OWN_PASSWORD[call.request.name])
        for call in dump():
            auth_pair.compare(call)
        if part == total // 2 // PART * PART:
            auth_pair.restart()
            log_in(auth_pair)
    auth_pair.compare(AuthCall("root", "AuthDisable", pb.AuthDisableRequest()))
    for call in dump():
        auth_pair.compare(call._replace(user=NOBODY))
    assert auth_pair.compare_logs() > 10
    if request.config.getoption("verbose") > 0:
        print(f"\n{auth_pair.calls_made} calls, {auth_pair.holes} refused by etcdz alone, --parity-seed {seed}")
        print("\n".join(f"  {count:6} {what}" for what, count in sorted(auth_pair.tally.items())))
