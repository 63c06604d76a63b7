"""What is decided at the door: calls that want an admin or any user, before they are proposed or read.

    admin     compactions, maintenance, changes of the membership, and management but for UserGet and RoleGet
    somebody  leases, the list of members, Status, the list of alarms
    the rest  is judged by the keys that it touches (requests.py), or open to everybody

Of these, management alone is judged again where it is applied: what another member's door has let in is applied by all
members, as in etcd.
Source: etcd 3.5.33, interceptors and auth wrappers of its services.
"""

from typing import Final

from etcdz.api import methods
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.auth.access import Access
from etcdz.proto import etcdserverpb as pb

ADMIN: Final = frozenset(
    [
        methods.COMPACT,
        methods.COMPACT_PHYSICAL,
        methods.DEFRAGMENT,
        methods.HASH,
        methods.HASH_KV,
        methods.SNAPSHOT,
        methods.MOVE_LEADER,
        methods.DOWNGRADE,
        methods.MEMBER_ADD,
        methods.MEMBER_REMOVE,
        methods.MEMBER_UPDATE,
        methods.MEMBER_PROMOTE,
        methods.AUTH_ENABLE,
        methods.AUTH_DISABLE,
        methods.AUTH_STATUS,
        methods.USER_ADD,
        methods.USER_LIST,
        methods.USER_DELETE,
        methods.USER_CHANGE_PASSWORD,
        methods.USER_GRANT_ROLE,
        methods.USER_REVOKE_ROLE,
        methods.ROLE_ADD,
        methods.ROLE_LIST,
        methods.ROLE_DELETE,
        methods.ROLE_GRANT_PERMISSION,
        methods.ROLE_REVOKE_PERMISSION,
    ]
)
SOMEBODY: Final = frozenset(
    [
        methods.STATUS,
        methods.MEMBER_LIST,
        methods.LEASE_GRANT,
        methods.LEASE_REVOKE,
        methods.LEASE_TIME_TO_LIVE,
        methods.LEASE_LEASES,
        methods.LEASE_KEEP_ALIVE,
    ]
)


def refusal(access: Access, method: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
    """Why this call is refused at the door; None: it is not. body: of the request

    raises  DecodeError: body is no request of an alarm
    """
    if method in ADMIN:
        return access.check_admin(auth)
    if method in SOMEBODY:
        return access.check_somebody(auth)
    if method == methods.ALARM:
        is_list = pb.AlarmRequest.FromString(body).action == pb.AlarmRequest.GET
        return access.check_somebody(auth) if is_list else access.check_admin(auth)
    return None
