"""The methods that a member serves, by a small number that travels in messages instead of the path.

A number is never given to another method: actors of different versions talk to each other during an upgrade.
"""

from typing import Final

# ---- numbers ----

# Writes, which go through the log.
PUT: Final = 1
DELETE_RANGE: Final = 2
TXN: Final = 3
COMPACT: Final = 4
COMPACT_PHYSICAL: Final = 5
"""Compact with `physical`: answered only once the compacted revisions are deleted."""
ALARM: Final = 6

# Reads of keys.
RANGE: Final = 10
RANGE_CHUNK: Final = 11
"""A range that does not count the keys behind its limit; RangeStream reads with it."""

# Maintenance and members.
STATUS: Final = 20
HASH: Final = 21
HASH_KV: Final = 22
MEMBER_LIST: Final = 23
HEALTH: Final = 24
SNAPSHOT: Final = 25
DEFRAGMENT: Final = 26
MOVE_LEADER: Final = 27
DOWNGRADE: Final = 28
HEALTH_LIST: Final = 29
MEMBER_ADD: Final = 33
MEMBER_REMOVE: Final = 34
MEMBER_UPDATE: Final = 35
MEMBER_PROMOTE: Final = 36

# What a call becomes on its way to its answer.
WAIT_COMPACTION: Final = 30
"""A COMPACT_PHYSICAL that is applied: it waits in the backend for the compaction to end."""
RAISE_NOSPACE: Final = 31
"""A write that the store has no room for: it proposes the alarm NOSPACE in place of its request."""
SET_DOWNGRADE: Final = 32
"""A DOWNGRADE that the backend has found nothing against: it proposes the change."""

# Leases and watches.
LEASE_GRANT: Final = 40
LEASE_REVOKE: Final = 41
LEASE_TIME_TO_LIVE: Final = 42
LEASE_LEASES: Final = 43
LEASE_KEEP_ALIVE: Final = 44
WATCH: Final = 45
HEALTH_WATCH: Final = 46

# Users and roles.
AUTH_ENABLE: Final = 60
AUTH_DISABLE: Final = 61
AUTH_STATUS: Final = 62
AUTHENTICATE: Final = 63
USER_ADD: Final = 64
USER_GET: Final = 65
USER_LIST: Final = 66
USER_DELETE: Final = 67
USER_CHANGE_PASSWORD: Final = 68
USER_GRANT_ROLE: Final = 69
USER_REVOKE_ROLE: Final = 70
ROLE_ADD: Final = 71
ROLE_GET: Final = 72
ROLE_LIST: Final = 73
ROLE_DELETE: Final = 74
ROLE_GRANT_PERMISSION: Final = 75
ROLE_REVOKE_PERMISSION: Final = 76

# What a listener asks its backend about users, answered with a body of etcdz.auth.questions.
PASSWORD_HASH: Final = 80
"""Request: a user's name. What its password is to be checked against. Neither is to be logged."""
TOKEN_OWNER: Final = 81
"""Request: a simple token. Whose it is. Not to be logged."""
LEASE_KEYS: Final = 82
"""Whether who asks may write, or read, all keys that are attached to a lease."""

# The v2 API.
V2_GET: Final = 90
"""Request: an encoded etcdserverpb.Request. The answer is a Result of etcdz.v2.answers."""
V2_STATISTICS: Final = 91
V2_WRITE: Final = 92
"""What is proposed: an etcdserverpb.Request in place of an InternalRaftRequest. The answer as of V2_GET."""

# Recipes.
LOCK: Final = 50
UNLOCK: Final = 51
CAMPAIGN: Final = 52
PROCLAIM: Final = 53
LEADER: Final = 54
OBSERVE: Final = 55
RESIGN: Final = 56
RANGE_STREAM: Final = 57

NUMBERS: Final[dict[str, int]] = {name: number for name, number in globals().items() if type(number) is int}
"""Every method above: name of the constant -> number."""

INTERNAL: Final = frozenset(
    [
        COMPACT_PHYSICAL,
        RANGE_CHUNK,
        WAIT_COMPACTION,
        RAISE_NOSPACE,
        SET_DOWNGRADE,
        PASSWORD_HASH,
        TOKEN_OWNER,
        LEASE_KEYS,
        V2_GET,
        V2_STATISTICS,
        V2_WRITE,
    ]
)
"""Methods without a path, which actors use among themselves."""

# ---- paths and fields ----

PATHS: dict[bytes, int] = {
    b"/etcdserverpb.KV/Put": PUT,
    b"/etcdserverpb.KV/DeleteRange": DELETE_RANGE,
    b"/etcdserverpb.KV/Txn": TXN,
    b"/etcdserverpb.KV/Compact": COMPACT,
    b"/etcdserverpb.Maintenance/Alarm": ALARM,
    b"/etcdserverpb.KV/Range": RANGE,
    b"/etcdserverpb.Maintenance/Status": STATUS,
    b"/etcdserverpb.Maintenance/Hash": HASH,
    b"/etcdserverpb.Maintenance/HashKV": HASH_KV,
    b"/etcdserverpb.Cluster/MemberList": MEMBER_LIST,
    b"/etcdserverpb.Cluster/MemberAdd": MEMBER_ADD,
    b"/etcdserverpb.Cluster/MemberRemove": MEMBER_REMOVE,
    b"/etcdserverpb.Cluster/MemberUpdate": MEMBER_UPDATE,
    b"/etcdserverpb.Cluster/MemberPromote": MEMBER_PROMOTE,
    b"/grpc.health.v1.Health/Check": HEALTH,
    b"/grpc.health.v1.Health/List": HEALTH_LIST,
    b"/etcdserverpb.Maintenance/Defragment": DEFRAGMENT,
    b"/etcdserverpb.Maintenance/MoveLeader": MOVE_LEADER,
    b"/etcdserverpb.Maintenance/Downgrade": DOWNGRADE,
    b"/etcdserverpb.Lease/LeaseGrant": LEASE_GRANT,
    b"/etcdserverpb.Lease/LeaseRevoke": LEASE_REVOKE,
    b"/etcdserverpb.Lease/LeaseTimeToLive": LEASE_TIME_TO_LIVE,
    b"/etcdserverpb.Lease/LeaseLeases": LEASE_LEASES,
}
"""Unary methods (actors/listener/calls.py)."""

AUTH_PATHS: dict[bytes, int] = {
    b"/etcdserverpb.Auth/AuthEnable": AUTH_ENABLE,
    b"/etcdserverpb.Auth/AuthDisable": AUTH_DISABLE,
    b"/etcdserverpb.Auth/AuthStatus": AUTH_STATUS,
    b"/etcdserverpb.Auth/Authenticate": AUTHENTICATE,
    b"/etcdserverpb.Auth/UserAdd": USER_ADD,
    b"/etcdserverpb.Auth/UserGet": USER_GET,
    b"/etcdserverpb.Auth/UserList": USER_LIST,
    b"/etcdserverpb.Auth/UserDelete": USER_DELETE,
    b"/etcdserverpb.Auth/UserChangePassword": USER_CHANGE_PASSWORD,
    b"/etcdserverpb.Auth/UserGrantRole": USER_GRANT_ROLE,
    b"/etcdserverpb.Auth/UserRevokeRole": USER_REVOKE_ROLE,
    b"/etcdserverpb.Auth/RoleAdd": ROLE_ADD,
    b"/etcdserverpb.Auth/RoleGet": ROLE_GET,
    b"/etcdserverpb.Auth/RoleList": ROLE_LIST,
    b"/etcdserverpb.Auth/RoleDelete": ROLE_DELETE,
    b"/etcdserverpb.Auth/RoleGrantPermission": ROLE_GRANT_PERMISSION,
    b"/etcdserverpb.Auth/RoleRevokePermission": ROLE_REVOKE_PERMISSION,
}
"""Unary methods as well: users and roles."""

STREAM_PATHS: dict[bytes, int] = {
    b"/etcdserverpb.Maintenance/Snapshot": SNAPSHOT,
    b"/etcdserverpb.Lease/LeaseKeepAlive": LEASE_KEEP_ALIVE,
    b"/etcdserverpb.Watch/Watch": WATCH,
    b"/v3lockpb.Lock/Lock": LOCK,
    b"/v3lockpb.Lock/Unlock": UNLOCK,
    b"/v3electionpb.Election/Campaign": CAMPAIGN,
    b"/v3electionpb.Election/Proclaim": PROCLAIM,
    b"/v3electionpb.Election/Leader": LEADER,
    b"/v3electionpb.Election/Observe": OBSERVE,
    b"/v3electionpb.Election/Resign": RESIGN,
    b"/etcdserverpb.KV/RangeStream": RANGE_STREAM,
    b"/grpc.health.v1.Health/Watch": HEALTH_WATCH,
}
"""Methods with a stream in either direction, or that wait for as long as their client does; each has its service in the
listener (actors/listener/streams.py)."""

WAITING = frozenset([LOCK, UNLOCK, CAMPAIGN, PROCLAIM, LEADER, RESIGN])
"""Those of STREAM_PATHS that are unary to their clients."""

RAFT_FIELD: dict[int, int] = {
    PUT: 4,
    DELETE_RANGE: 5,
    TXN: 6,
    COMPACT: 7,
    COMPACT_PHYSICAL: 7,
    LEASE_GRANT: 8,
    LEASE_REVOKE: 9,
    ALARM: 10,
    RAISE_NOSPACE: 10,
    SET_DOWNGRADE: 1302,
    AUTH_ENABLE: 1000,
    AUTH_DISABLE: 1011,
    AUTH_STATUS: 1013,
    AUTHENTICATE: 1012,
    USER_ADD: 1100,
    USER_GET: 1102,
    USER_LIST: 1106,
    USER_DELETE: 1101,
    USER_CHANGE_PASSWORD: 1103,
    USER_GRANT_ROLE: 1104,
    USER_REVOKE_ROLE: 1105,
    ROLE_ADD: 1200,
    ROLE_GET: 1202,
    ROLE_LIST: 1107,
    ROLE_DELETE: 1201,
    ROLE_GRANT_PERMISSION: 1203,
    ROLE_REVOKE_PERMISSION: 1204,
}
"""Field of InternalRaftRequest that carries a method's request body."""

assert len(set(NUMBERS.values())) == len(NUMBERS), "a number means one method"
assert sorted([*PATHS.values(), *AUTH_PATHS.values(), *STREAM_PATHS.values(), *INTERNAL]) == sorted(NUMBERS.values()), (
    "every method has one path or is internal"
)
assert set(STREAM_PATHS.values()) >= WAITING
