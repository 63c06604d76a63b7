"""The paths of the gateway. Source: the HTTP annotations of etcd's services."""

from typing import Any, Final, NamedTuple

from etcdz.api import methods as m
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb, v3lockpb

UNARY: Final = 0
WAITING: Final = 1
"""One request and one answer as well, but it may take as long as it takes (etcdz.api.methods.WAITING)."""
SERVER_STREAM: Final = 2
"""One request, many answers."""
CLIENT_STREAM: Final = 3
"""Many requests, many answers."""

PREFIX: Final = b"/v3/"
BETA_PREFIX: Final = b"/v3beta/"
"""Of older clients: the same as PREFIX."""


class GatewayMethod(NamedTuple):
    """method    of etcdz.api.methods
    kind      UNARY, WAITING, SERVER_STREAM or CLIENT_STREAM
    request, response   classes of messages
    """

    method: int
    request: Any
    response: Any
    kind: int


def _unary(method: int, name: str) -> GatewayMethod:
    return GatewayMethod(method, getattr(pb, f"{name}Request"), getattr(pb, f"{name}Response"), UNARY)


def _election(method: int, name: str, kind: int = WAITING) -> GatewayMethod:
    asked = getattr(v3electionpb, f"{name}Request")
    return GatewayMethod(method, asked, getattr(v3electionpb, f"{name}Response"), kind)


_KEEP_ALIVE: Final = GatewayMethod(
    m.LEASE_KEEP_ALIVE, pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse, CLIENT_STREAM
)

_TABLE: Final[dict[str, GatewayMethod]] = {
    "kv/range": _unary(m.RANGE, "Range"),
    "kv/range/stream": GatewayMethod(m.RANGE_STREAM, pb.RangeRequest, pb.RangeStreamResponse, SERVER_STREAM),
    "kv/put": _unary(m.PUT, "Put"),
    "kv/deleterange": _unary(m.DELETE_RANGE, "DeleteRange"),
    "kv/txn": _unary(m.TXN, "Txn"),
    "kv/compaction": _unary(m.COMPACT, "Compaction"),
    "watch": GatewayMethod(m.WATCH, pb.WatchRequest, pb.WatchResponse, CLIENT_STREAM),
    "lease/grant": _unary(m.LEASE_GRANT, "LeaseGrant"),
    "lease/revoke": _unary(m.LEASE_REVOKE, "LeaseRevoke"),
    "lease/keepalive": _KEEP_ALIVE,
    "lease/timetolive": _unary(m.LEASE_TIME_TO_LIVE, "LeaseTimeToLive"),
    "lease/leases": _unary(m.LEASE_LEASES, "LeaseLeases"),
    "kv/lease/revoke": _unary(m.LEASE_REVOKE, "LeaseRevoke"),
    "kv/lease/timetolive": _unary(m.LEASE_TIME_TO_LIVE, "LeaseTimeToLive"),
    "kv/lease/leases": _unary(m.LEASE_LEASES, "LeaseLeases"),
    "cluster/member/add": _unary(m.MEMBER_ADD, "MemberAdd"),
    "cluster/member/remove": _unary(m.MEMBER_REMOVE, "MemberRemove"),
    "cluster/member/update": _unary(m.MEMBER_UPDATE, "MemberUpdate"),
    "cluster/member/list": _unary(m.MEMBER_LIST, "MemberList"),
    "cluster/member/promote": _unary(m.MEMBER_PROMOTE, "MemberPromote"),
    "maintenance/alarm": _unary(m.ALARM, "Alarm"),
    "maintenance/status": _unary(m.STATUS, "Status"),
    "maintenance/defragment": _unary(m.DEFRAGMENT, "Defragment"),
    "maintenance/hash": _unary(m.HASH, "Hash"),
    "maintenance/hashkv": _unary(m.HASH_KV, "HashKV"),
    "maintenance/snapshot": GatewayMethod(m.SNAPSHOT, pb.SnapshotRequest, pb.SnapshotResponse, SERVER_STREAM),
    "maintenance/transfer-leadership": _unary(m.MOVE_LEADER, "MoveLeader"),
    "maintenance/downgrade": _unary(m.DOWNGRADE, "Downgrade"),
    "auth/enable": _unary(m.AUTH_ENABLE, "AuthEnable"),
    "auth/disable": _unary(m.AUTH_DISABLE, "AuthDisable"),
    "auth/status": _unary(m.AUTH_STATUS, "AuthStatus"),
    "auth/authenticate": _unary(m.AUTHENTICATE, "Authenticate"),
    "auth/user/add": _unary(m.USER_ADD, "AuthUserAdd"),
    "auth/user/get": _unary(m.USER_GET, "AuthUserGet"),
    "auth/user/list": _unary(m.USER_LIST, "AuthUserList"),
    "auth/user/delete": _unary(m.USER_DELETE, "AuthUserDelete"),
    "auth/user/changepw": _unary(m.USER_CHANGE_PASSWORD, "AuthUserChangePassword"),
    "auth/user/grant": _unary(m.USER_GRANT_ROLE, "AuthUserGrantRole"),
    "auth/user/revoke": _unary(m.USER_REVOKE_ROLE, "AuthUserRevokeRole"),
    "auth/role/add": _unary(m.ROLE_ADD, "AuthRoleAdd"),
    "auth/role/get": _unary(m.ROLE_GET, "AuthRoleGet"),
    "auth/role/list": _unary(m.ROLE_LIST, "AuthRoleList"),
    "auth/role/delete": _unary(m.ROLE_DELETE, "AuthRoleDelete"),
    "auth/role/grant": _unary(m.ROLE_GRANT_PERMISSION, "AuthRoleGrantPermission"),
    "auth/role/revoke": _unary(m.ROLE_REVOKE_PERMISSION, "AuthRoleRevokePermission"),
    "election/campaign": _election(m.CAMPAIGN, "Campaign"),
    "election/proclaim": _election(m.PROCLAIM, "Proclaim"),
    "election/leader": _election(m.LEADER, "Leader"),
    "election/observe": _election(m.OBSERVE, "Leader", kind=SERVER_STREAM),
    "election/resign": _election(m.RESIGN, "Resign"),
    "lock/lock": GatewayMethod(m.LOCK, v3lockpb.LockRequest, v3lockpb.LockResponse, WAITING),
    "lock/unlock": GatewayMethod(m.UNLOCK, v3lockpb.UnlockRequest, v3lockpb.UnlockResponse, WAITING),
}
METHODS: Final[dict[bytes, GatewayMethod]] = {
    prefix + path.encode(): method for prefix in (PREFIX, BETA_PREFIX) for path, method in _TABLE.items()
}
"""By whole path."""

assert {found.method for found in METHODS.values() if found.kind == WAITING} == m.WAITING
