"""Random calls of a few users: management by root, and by others who may not, and calls on a few keys."""

from random import Random
from typing import Any

from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from tests.parity.auth_pair import NOBODY, STRANGER, AuthCall

USERS = ("a", "b", "c")
ROLES = ("r", "s", "t")
KEYS = [b"a", b"b", b"ba", b"c", b"d", b"e"]
ENDS = [b"", b"", b"", b"b", b"c", b"ca", b"e", b"\0"]
LEASES = (11, 12, 13)
OWN_PASSWORD = {user: f"password of {user}" for user in (*USERS, "root")}


def draw(random: Random) -> AuthCall:
    """Half of it reads and writes keys."""
    roll = random.random()
    if roll < 0.60:
        return AuthCall(_caller(random), *_key_call(random))
    if roll < 0.72:
        return AuthCall(_caller(random), *_lease_call(random))
    if roll < 0.92:
        user = "root" if random.random() < 0.75 else _caller(random)
        return AuthCall(user, *_management(random))
    return AuthCall(_caller(random), *_other(random))


def _caller(random: Random) -> str:
    return random.choices([*USERS, "root", NOBODY, STRANGER], [6, 6, 6, 4, 1, 1])[0]


def _range(random: Random) -> dict[str, bytes]:
    """NB: never one that ends before it begins. What etcd says to that depends on how its tree of intervals grew."""
    key = random.choice(KEYS)
    return {"key": key, "range_end": random.choice([end for end in ENDS if end in (b"", b"\0") or end > key])}


def _key_call(random: Random) -> tuple[str, Any]:
    roll = random.random()
    if roll < 0.35:
        return "Range", pb.RangeRequest(**_range(random), serializable=random.random() < 0.3)
    if roll < 0.60:
        return "Put", _put(random)
    if roll < 0.70:
        return "DeleteRange", pb.DeleteRangeRequest(**_range(random), prev_kv=random.random() < 0.3)
    return "Txn", _txn(random, 2)


def _put(random: Random) -> pb.PutRequest:
    put = pb.PutRequest(key=random.choice(KEYS), value=b"%d" % random.randrange(99), prev_kv=random.random() < 0.2)
    if random.random() < 0.2:
        put.lease = random.choice(LEASES)
    return put


def _txn(random: Random, depth: int) -> pb.TxnRequest:
    compares = [
        pb.Compare(target=0, result=random.choice([0, 1]), version=random.randrange(2), **_range(random))
        for _ in range(random.randrange(2))
    ]
    branches = [[_operation(random, depth) for _ in range(random.randrange(3))] for _ in range(2)]
    for branch in branches:
        _drop_double_puts(branch)
    return pb.TxnRequest(compare=compares, success=branches[0], failure=branches[1])


def _operation(random: Random, depth: int) -> pb.RequestOp:
    roll = random.random()
    if roll < 0.4:
        return pb.RequestOp(request_range=pb.RangeRequest(**_range(random)))
    if roll < 0.75:
        return pb.RequestOp(request_put=_put(random))
    if roll < 0.9 or not depth:
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(**_range(random)))
    return pb.RequestOp(request_txn=_txn(random, depth - 1))


def _drop_double_puts(ops: list[pb.RequestOp]) -> None:
    """At most one operation that changes something: two could touch the same key, which validation refuses."""
    changes = [op for op in ops if op.WhichOneof("request") != "request_range"]
    for op in changes[1:]:
        ops.remove(op)


def _lease_call(random: Random) -> tuple[str, Any]:
    lease_id = random.choice(LEASES)
    name = random.choice(["LeaseGrant", "LeaseRevoke", "LeaseTimeToLive", "LeaseTimeToLive", "LeaseLeases"])
    requests = {
        "LeaseGrant": lambda: pb.LeaseGrantRequest(ID=lease_id, TTL=10_000),
        "LeaseRevoke": lambda: pb.LeaseRevokeRequest(ID=lease_id),
        "LeaseTimeToLive": lambda: pb.LeaseTimeToLiveRequest(ID=lease_id, keys=random.random() < 0.7),
        "LeaseLeases": pb.LeaseLeasesRequest,
    }
    return name, requests[name]()


def _end_of(role: str, key: bytes) -> bytes:
    """Of the permission that a role may have on a key. NB: one for each key: etcd sorts them by key alone, and what
    order those of one key come in depends on the Go that it was built with."""
    ends = [end for end in ENDS if end in (b"", b"\0") or end > key]
    return ends[sum(role.encode() + key) % len(ends)]


def _management(random: Random) -> tuple[str, Any]:
    user = random.choices([*USERS, "root", "", "ghost"], [6, 6, 6, 1, 1, 1])[0]
    role = random.choices([*ROLES, "root", "", "ghost"], [6, 6, 6, 1, 1, 1])[0]
    key = random.choice(KEYS)
    end = _end_of(role, key)
    permission = authpb.Permission(permType=random.randrange(3), key=key, range_end=end)
    password = OWN_PASSWORD.get(user, "x")
    calls = [
        ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name=role, perm=permission), 14),
        ("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=end), 6),
        ("UserGrantRole", pb.AuthUserGrantRoleRequest(user=user, role=role), 8),
        ("UserRevokeRole", pb.AuthUserRevokeRoleRequest(name=user, role=role), 4),
        ("UserAdd", pb.AuthUserAddRequest(name=user, password=password), 3),
        ("UserDelete", pb.AuthUserDeleteRequest(name=user), 1),
        ("UserChangePassword", pb.AuthUserChangePasswordRequest(name=user, password=password), 1),
        ("RoleAdd", pb.AuthRoleAddRequest(name=role), 3),
        ("RoleDelete", pb.AuthRoleDeleteRequest(role=role), 1),
        ("UserGet", pb.AuthUserGetRequest(name=user), 3),
        ("RoleGet", pb.AuthRoleGetRequest(role=role), 3),
        ("UserList", pb.AuthUserListRequest(), 1),
        ("RoleList", pb.AuthRoleListRequest(), 1),
        ("AuthStatus", pb.AuthStatusRequest(), 1),
        ("AuthEnable", pb.AuthEnableRequest(), 1),
    ]
    name, request, _ = random.choices(calls, [weight for *_, weight in calls])[0]
    return name, request


def _other(random: Random) -> tuple[str, Any]:
    calls: list[tuple[str, Any]] = [
        ("Authenticate", pb.AuthenticateRequest(name="ghost", password="x")),
        ("MemberList", pb.MemberListRequest()),
        ("HashKV", pb.HashKVRequest()),
        ("Alarm", pb.AlarmRequest()),
        ("Compact", pb.CompactionRequest(revision=1)),
    ]
    return random.choices(calls, [1, 6, 4, 6, 6])[0]


def dump() -> list[AuthCall]:
    """All that there is to see, by root."""
    users = [AuthCall("root", "UserGet", pb.AuthUserGetRequest(name=user)) for user in (*USERS, "root")]
    roles = [AuthCall("root", "RoleGet", pb.AuthRoleGetRequest(role=role)) for role in (*ROLES, "root")]
    return [
        *users,
        *roles,
        AuthCall("root", "UserList", pb.AuthUserListRequest()),
        AuthCall("root", "RoleList", pb.AuthRoleListRequest()),
        AuthCall("root", "AuthStatus", pb.AuthStatusRequest()),
        AuthCall("root", "Range", pb.RangeRequest(key=b"\0", range_end=b"\0")),
        AuthCall("root", "LeaseLeases", pb.LeaseLeasesRequest()),
        AuthCall("root", "HashKV", pb.HashKVRequest()),
    ]
