"""The methods that the client calls, and which of them may be sent again without asking whether they were applied.

repeatable: what etcd's own client repeats on any UNAVAILABLE. A read is; a LeaseGrant is, since the client chooses the
id, and is told that it exists already if its answer was lost; Authenticate is, since a token more changes nothing.
"""

from typing import Final, NamedTuple


class Method(NamedTuple):
    path: bytes
    repeatable: bool


def _method(name: str, repeatable: bool = False) -> Method:
    return Method(f"/etcdserverpb.{name}".encode(), repeatable)


RANGE: Final = _method("KV/Range", True)
RANGE_STREAM: Final = _method("KV/RangeStream", True)
PUT: Final = _method("KV/Put")
DELETE_RANGE: Final = _method("KV/DeleteRange")
TXN: Final = _method("KV/Txn")
READ_TXN: Final = _method("KV/Txn", True)
"""A transaction that writes nothing."""
COMPACT: Final = _method("KV/Compact")
WATCH: Final = _method("Watch/Watch", True)
LEASE_GRANT: Final = _method("Lease/LeaseGrant", True)
LEASE_REVOKE: Final = _method("Lease/LeaseRevoke", True)
LEASE_KEEP_ALIVE: Final = _method("Lease/LeaseKeepAlive", True)
LEASE_TIME_TO_LIVE: Final = _method("Lease/LeaseTimeToLive", True)
LEASE_LEASES: Final = _method("Lease/LeaseLeases", True)
MEMBER_ADD: Final = _method("Cluster/MemberAdd")
MEMBER_REMOVE: Final = _method("Cluster/MemberRemove")
MEMBER_UPDATE: Final = _method("Cluster/MemberUpdate")
MEMBER_PROMOTE: Final = _method("Cluster/MemberPromote")
MEMBER_LIST: Final = _method("Cluster/MemberList", True)
ALARM: Final = _method("Maintenance/Alarm", True)
STATUS: Final = _method("Maintenance/Status", True)
DEFRAGMENT: Final = _method("Maintenance/Defragment")
HASH_KV: Final = _method("Maintenance/HashKV", True)
DOWNGRADE: Final = _method("Maintenance/Downgrade")
MOVE_LEADER: Final = _method("Maintenance/MoveLeader", True)
SNAPSHOT: Final = _method("Maintenance/Snapshot", True)
AUTHENTICATE: Final = _method("Auth/Authenticate", True)
AUTH_ENABLE: Final = _method("Auth/AuthEnable")
AUTH_DISABLE: Final = _method("Auth/AuthDisable")
AUTH_STATUS: Final = _method("Auth/AuthStatus", True)
USER_ADD: Final = _method("Auth/UserAdd")
USER_GET: Final = _method("Auth/UserGet", True)
USER_LIST: Final = _method("Auth/UserList", True)
USER_DELETE: Final = _method("Auth/UserDelete")
USER_CHANGE_PASSWORD: Final = _method("Auth/UserChangePassword")
USER_GRANT_ROLE: Final = _method("Auth/UserGrantRole")
USER_REVOKE_ROLE: Final = _method("Auth/UserRevokeRole")
ROLE_ADD: Final = _method("Auth/RoleAdd")
ROLE_GET: Final = _method("Auth/RoleGet", True)
ROLE_LIST: Final = _method("Auth/RoleList", True)
ROLE_DELETE: Final = _method("Auth/RoleDelete")
ROLE_GRANT_PERMISSION: Final = _method("Auth/RoleGrantPermission")
ROLE_REVOKE_PERMISSION: Final = _method("Auth/RoleRevokePermission")
