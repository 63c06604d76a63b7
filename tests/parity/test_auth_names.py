"""Who is known by the name in a certificate, on etcd 3.5.1 and on etcdz: what each call for admins answers whom.

A name that is no user's, a user without the role root, a certificate without a name, and root. Calls that etcd 3.5.1
lets anybody make (tests/parity/auth_pair.py) are not asked.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import RealEtcd
from tests.parity.auth_pair import RAW
from tests.secure_members import SecureEtcd, SecureEtcdz, SecureMember, SecureTarget
from tests.secure_users import GUEST, NAME, ROOT, Users, outcome

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=str(RealEtcd.why_absent())),
]

GHOST: Final = "ghost"
CALLS: Final[list[tuple[str, Any]]] = [
    ("Auth/AuthStatus", pb.AuthStatusRequest()),
    ("Auth/AuthEnable", pb.AuthEnableRequest()),
    ("Auth/UserList", pb.AuthUserListRequest()),
    ("Auth/UserGet", pb.AuthUserGetRequest(name=GUEST)),
    ("Auth/UserGet", pb.AuthUserGetRequest(name=GHOST)),
    ("Auth/UserAdd", pb.AuthUserAddRequest(name=GUEST, password="x")),
    ("Auth/UserDelete", pb.AuthUserDeleteRequest(name=ROOT)),
    ("Auth/UserChangePassword", pb.AuthUserChangePasswordRequest(name=GHOST, password="x")),
    ("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user=GHOST, role=ROOT)),
    ("Auth/UserRevokeRole", pb.AuthUserRevokeRoleRequest(name=ROOT, role=ROOT)),
    ("Auth/RoleList", pb.AuthRoleListRequest()),
    ("Auth/RoleGet", pb.AuthRoleGetRequest(role=ROOT)),
    ("Auth/RoleGet", pb.AuthRoleGetRequest(role="none")),
    ("Auth/RoleAdd", pb.AuthRoleAddRequest(name=ROOT)),
    ("Auth/RoleDelete", pb.AuthRoleDeleteRequest(role="none")),
    ("Auth/RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="none")),
    ("Auth/RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="none", key=b"a")),
    ("KV/Range", pb.RangeRequest(key=b"a")),
    ("KV/Put", pb.PutRequest(key=b"a")),
    ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"a")),
    ("Maintenance/Defragment", pb.DefragmentRequest()),
    ("Maintenance/HashKV", pb.HashKVRequest()),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Users, list[SecureMember]]]:
    directory = tmp_path_factory.mktemp("names")
    users = Users(directory / "pki", NAME)
    with SecureEtcd(directory, *users.flags) as etcd, SecureEtcdz(directory, *users.flags) as etcdz:
        for member in (etcd, etcdz):
            users.begin(member.target)
        yield users, [etcd, etcdz]


@pytest.mark.parametrize("name", ["", GHOST, GUEST, ROOT])
def test_each_call_answers_whom_etcd_answers(name: str, pair: tuple[Users, list[SecureMember]]) -> None:
    users, members = pair
    own = users.authority.issue(GHOST) if name == GHOST else None
    # For calls on keys etcd takes a certificate without a name for somebody's, who is denied.
    calls = [call for call in CALLS if name or not call[0].startswith("KV/")]
    found = []
    for member in members:
        target = users.target(member.target, name)
        target = SecureTarget.of(target, target.ca, own or target.own)
        answers = [outcome(target, path, request) for path, request in calls]
        found.append([": ".join(error) if error else "" for error in answers])
    expected = [RAW.get(text, text) for text in found[0]]
    assert list(zip(calls, found[1], strict=True)) == list(zip(calls, expected, strict=True))
