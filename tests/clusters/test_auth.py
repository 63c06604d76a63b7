"""Users in a cluster of etcd 3.4, 3.5 and etcdz: one login counts at all members, and all judge alike."""

from collections.abc import Callable, Iterator
from random import Random

import pytest

from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import STEADY, Cluster, until
from tests.offline.test_auth import must
from tests.parity.auth_calls import KEYS, USERS
from tests.parity.auth_pair import NOBODY, AuthCall, Side

pytestmark = [pytest.mark.process, pytest.mark.parity, pytest.mark.timeout(600)]

OLD = (
    "INVALID_ARGUMENT: etcdserver: revision of auth store is old",
    "UNKNOWN: auth: revision in header is old",  # etcd 3.4
)
MIXES = ("old-etcd,etcd,etcdz", "etcdz,etcdz,etcdz")


@pytest.fixture(params=[MIXES[0], pytest.param(MIXES[1], marks=pytest.mark.long)])
def sides(request: pytest.FixtureRequest, make_cluster: Callable[..., Cluster]) -> Iterator[list[Side]]:
    with make_cluster(request.param, *STEADY, "--bcrypt-cost=4") as cluster:
        found = [Side(member) for member in cluster]
        yield found
        for side in found:
            side.close()


def test_one_login_counts_at_all_members_and_all_judge_alike(sides: list[Side], seed: int) -> None:
    random = Random(seed)
    give_users(sides, random)
    for at, user in enumerate(("root", *USERS)):
        first = sides[at % len(sides)]
        assert first.log_in(user, user)
        for side in sides:
            side.tokens[user] = first.tokens[user]
    for number in range(60):
        user, side = random.choice(("root", *USERS, NOBODY)), random.choice(sides)
        put = pb.PutRequest(key=random.choice(KEYS), value=b"%d" % number)
        may = settled(side, AuthCall(user, "Put", put))
        others = {settled(one, AuthCall(user, "Put", put)) for one in sides}
        assert others == {may}, (user, put, may, others)
        if number % 10 == 0:
            change(random.choice(sides), random)
    give_odd_names(sides)
    hashes = [until(lambda at=side: state(at, sides), 60, lambda: "not the same everywhere") for side in sides]
    assert len(set(hashes)) == 1


def give_odd_names(sides: list[Side]) -> None:
    """A user, its password and its role are not UTF-8, and etcd takes a permission for a range that is none. Each
    member is asked by this user, and all go on alike."""
    user, role, password = (b"\x0a\x02u\xff", b"\x0a\x02r\xfe", b"\x12\x02\x80\x81")
    must(sides[0], "UserAdd", pb.AuthUserAddRequest.FromString(user + password), "root")
    must(sides[1], "RoleAdd", pb.AuthRoleAddRequest.FromString(role), "root")
    permission = pb.AuthRoleGrantPermissionRequest(perm=authpb.Permission(permType=2, key=b"odd")).SerializeToString()
    must(sides[2], "RoleGrantPermission", pb.AuthRoleGrantPermissionRequest.FromString(role + permission), "root")
    must(sides[0], "UserGrantRole", pb.AuthUserGrantRoleRequest.FromString(user + b"\x12\x02r\xfe"), "root")
    none = authpb.Permission(permType=2, key=b"b", range_end=b"a")
    sides[0].ask(AuthCall("root", "RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="a", perm=none)))
    for side in sides:
        login = AuthCall(NOBODY, "Authenticate", pb.AuthenticateRequest.FromString(user + password))
        side.tokens["odd"] = pb.AuthenticateResponse.FromString(side.begin(login).result()).token
        assert settled(side, AuthCall("odd", "Put", pb.PutRequest(key=b"odd"))) == ""
        assert must(side, "UserGet", pb.AuthUserGetRequest.FromString(user), "odd").roles == [b"r\xfe"]
        assert b"u\xff" in must(side, "UserList", pb.AuthUserListRequest(), "root").users


def settled(side: Side, call: AuthCall) -> str:
    """The error of a call, once the member that is asked knows of the last change of users."""

    def asked() -> tuple[str] | None:
        error = side.ask(call).text
        return None if error in OLD else (error,)

    return str(until(asked, 60, lambda: f"{side.member.kind} stays behind")[0])


def give_users(sides: list[Side], random: Random) -> None:
    """NB: passwords go to the oldest: etcd 3.4 knows of no hashes in entries, and the others hash what it says."""
    for user in ("root", *USERS):
        must(sides[0], "UserAdd", pb.AuthUserAddRequest(name=user, password=user))
        must(random.choice(sides), "RoleAdd", pb.AuthRoleAddRequest(name=user))
        must(random.choice(sides), "UserGrantRole", pb.AuthUserGrantRoleRequest(user=user, role=user))
    must(random.choice(sides), "AuthEnable", pb.AuthEnableRequest())


def change(side: Side, random: Random) -> None:
    role, key = random.choice(USERS), random.choice(KEYS)
    permission = authpb.Permission(permType=random.randrange(3), key=key)
    if random.random() < 0.7:
        request = pb.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        must(side, "RoleGrantPermission", request, "root")
    else:
        side.ask(AuthCall("root", "RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role=role, key=key)))


def state(side: Side, sides: list[Side]) -> tuple[str, ...] | None:
    """Hash of the keys, and what there is of roles, once this member has all; None: not yet."""
    newest = must(sides[0], "HashKV", pb.HashKVRequest(), "root").header.revision
    hashed = must(side, "HashKV", pb.HashKVRequest(revision=newest), "root")
    roles = [must(side, "RoleGet", pb.AuthRoleGetRequest(role=role), "root").perm for role in USERS]
    return (str(hashed.hash), *map(str, roles)) if hashed.header.revision >= newest else None
