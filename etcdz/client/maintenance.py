"""Requests about the cluster itself: its members, its upkeep, its users and roles."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from etcdz.client import methods
from etcdz.client.keys import Key, span
from etcdz.client.methods import Method
from etcdz.client.pending import Request
from etcdz.client.results import (
    Alarm,
    AuthStatus,
    HashResult,
    Member,
    Permission,
    Status,
)
from etcdz.client.results import member as member_of
from etcdz.client.results import members as members_of
from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb

ALARMS: Final = ("NONE", "NOSPACE", "CORRUPT")
PERMISSIONS: Final = ("READ", "WRITE", "READWRITE")


def _plain(method: Method, body: Any, timeout: float | None) -> Request[None]:
    return Request(method, body.SerializeToString() if body is not None else b"", _nothing, timeout)


def _nothing(message: bytes) -> None:
    return None


# ---- members ----


def member_list(*, linearizable: bool = True, timeout: float | None = None) -> Request[list[Member]]:
    """All members. linearizable=False: as the member that answers knows them."""
    body = pb.MemberListRequest(linearizable=linearizable).SerializeToString()
    return Request(methods.MEMBER_LIST, body, _members(pb.MemberListResponse), timeout)


def member_add(peer_urls: Iterable[str], *, learner: bool = False, timeout: float | None = None) -> Request[Member]:
    """A member more, which is to be started with --initial-cluster-state=existing."""
    body = pb.MemberAddRequest(peerURLs=peer_urls, isLearner=learner).SerializeToString()
    return Request(methods.MEMBER_ADD, body, lambda m: member_of(pb.MemberAddResponse.FromString(m).member), timeout)


def member_remove(member_id: int, *, timeout: float | None = None) -> Request[list[Member]]:
    """A member less. return those that remain"""
    body = pb.MemberRemoveRequest(ID=member_id).SerializeToString()
    return Request(methods.MEMBER_REMOVE, body, _members(pb.MemberRemoveResponse), timeout)


def member_update(member_id: int, peer_urls: Iterable[str], *, timeout: float | None = None) -> Request[list[Member]]:
    """Other peer URLs for a member."""
    body = pb.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls).SerializeToString()
    return Request(methods.MEMBER_UPDATE, body, _members(pb.MemberUpdateResponse), timeout)


def member_promote(member_id: int, *, timeout: float | None = None) -> Request[list[Member]]:
    """A learner becomes a voter."""
    body = pb.MemberPromoteRequest(ID=member_id).SerializeToString()
    return Request(methods.MEMBER_PROMOTE, body, _members(pb.MemberPromoteResponse), timeout)


def _members(kind: Any) -> Callable[[bytes], list[Member]]:
    return lambda message: members_of(kind.FromString(message).members)


# ---- upkeep ----


def status(*, timeout: float | None = None) -> Request[Status]:
    """Of the member that answers: connect to one endpoint to ask a certain one."""
    return Request(methods.STATUS, b"", _status, timeout)


def _status(message: bytes) -> Status:
    answer = pb.StatusResponse.FromString(message)
    header = answer.header
    return Status(
        answer.version,
        answer.dbSize,
        answer.dbSizeInUse,
        answer.leader,
        answer.raftIndex,
        answer.raftTerm,
        answer.raftAppliedIndex,
        tuple(answer.errors),
        answer.isLearner,
        header.member_id,
        header.cluster_id,
        header.revision,
    )


def defragment(*, timeout: float | None = 0) -> Request[None]:
    """Of the member that answers; it takes its time."""
    return Request(methods.DEFRAGMENT, b"", _nothing, timeout)


def hash_kv(revision: int = 0, *, timeout: float | None = None) -> Request[HashResult]:
    """Over all keys up to a revision, of the member that answers."""
    return Request(methods.HASH_KV, pb.HashKVRequest(revision=revision).SerializeToString(), _hash, timeout)


def _hash(message: bytes) -> HashResult:
    answer = pb.HashKVResponse.FromString(message)
    return HashResult(answer.header.revision, answer.hash, answer.compact_revision)


def move_leader(member_id: int, *, timeout: float | None = None) -> Request[None]:
    """Requires: the member that answers is the leader."""
    return _plain(methods.MOVE_LEADER, pb.MoveLeaderRequest(targetID=member_id), timeout)


def alarms(*, timeout: float | None = None) -> Request[list[Alarm]]:
    """Those that are raised."""
    return Request(methods.ALARM, b"", _alarms, timeout)


def disarm(member_id: int = 0, kind: str = "NONE", *, timeout: float | None = None) -> Request[list[Alarm]]:
    """Takes alarms back: of one member and kind, or with 0 and NONE of all. return those that were"""
    body = pb.AlarmRequest(action=2, memberID=member_id, alarm=ALARMS.index(kind)).SerializeToString()
    return Request(methods.ALARM, body, _alarms, timeout)


def _alarms(message: bytes) -> list[Alarm]:
    found = pb.AlarmResponse.FromString(message).alarms
    return [Alarm(each.memberID, ALARMS[each.alarm]) for each in found]


# ---- users and roles ----


def enable(*, timeout: float | None = None) -> Request[None]:
    """From now on calls need a token. Requires: a user root that has the role root."""
    return _plain(methods.AUTH_ENABLE, None, timeout)


def disable(*, timeout: float | None = None) -> Request[None]:
    """Calls need no token any more."""
    return _plain(methods.AUTH_DISABLE, None, timeout)


def auth_status(*, timeout: float | None = None) -> Request[AuthStatus]:
    """Whether calls need a token."""
    return Request(methods.AUTH_STATUS, b"", _auth_status, timeout)


def _auth_status(message: bytes) -> AuthStatus:
    answer = pb.AuthStatusResponse.FromString(message)
    return AuthStatus(answer.enabled, answer.authRevision)


def user_add(name: str, password: str = "", *, timeout: float | None = None) -> Request[None]:
    """Without a password: a user who comes by certificate alone."""
    options = authpb.UserAddOptions(no_password=not password)
    return _plain(methods.USER_ADD, pb.AuthUserAddRequest(name=name, password=password, options=options), timeout)


def user_get(name: str, *, timeout: float | None = None) -> Request[list[str]]:
    """The roles of a user."""
    body = pb.AuthUserGetRequest(name=name).SerializeToString()
    return Request(methods.USER_GET, body, lambda m: list(pb.AuthUserGetResponse.FromString(m).roles), timeout)


def user_list(*, timeout: float | None = None) -> Request[list[str]]:
    """All users."""
    return Request(methods.USER_LIST, b"", lambda m: list(pb.AuthUserListResponse.FromString(m).users), timeout)


def user_delete(name: str, *, timeout: float | None = None) -> Request[None]:
    """A user less."""
    return _plain(methods.USER_DELETE, pb.AuthUserDeleteRequest(name=name), timeout)


def user_change_password(name: str, password: str, *, timeout: float | None = None) -> Request[None]:
    """Tokens of this user are worth nothing from then on."""
    request = pb.AuthUserChangePasswordRequest(name=name, password=password)
    return _plain(methods.USER_CHANGE_PASSWORD, request, timeout)


def user_grant_role(user: str, role: str, *, timeout: float | None = None) -> Request[None]:
    """What the role may, the user may."""
    return _plain(methods.USER_GRANT_ROLE, pb.AuthUserGrantRoleRequest(user=user, role=role), timeout)


def user_revoke_role(user: str, role: str, *, timeout: float | None = None) -> Request[None]:
    """The user may what the role may no longer."""
    return _plain(methods.USER_REVOKE_ROLE, pb.AuthUserRevokeRoleRequest(name=user, role=role), timeout)


def role_add(name: str, *, timeout: float | None = None) -> Request[None]:
    """A role that may do nothing yet."""
    return _plain(methods.ROLE_ADD, pb.AuthRoleAddRequest(name=name), timeout)


def role_get(name: str, *, timeout: float | None = None) -> Request[list[Permission]]:
    """What a role may do."""
    return Request(methods.ROLE_GET, pb.AuthRoleGetRequest(role=name).SerializeToString(), _permissions, timeout)


def _permissions(message: bytes) -> list[Permission]:
    found = pb.AuthRoleGetResponse.FromString(message).perm
    return [Permission(PERMISSIONS[each.permType], each.key, each.range_end) for each in found]


def role_list(*, timeout: float | None = None) -> Request[list[str]]:
    """All roles."""
    return Request(methods.ROLE_LIST, b"", lambda m: list(pb.AuthRoleListResponse.FromString(m).roles), timeout)


def role_delete(name: str, *, timeout: float | None = None) -> Request[None]:
    """A role less."""
    return _plain(methods.ROLE_DELETE, pb.AuthRoleDeleteRequest(role=name), timeout)


def role_grant_permission(
    name: str,
    kind: str,
    key: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    timeout: float | None = None,
) -> Request[None]:
    """kind: READ, WRITE or READWRITE, of a key or a range."""
    start, range_end = span(key, end, prefix)
    permission = authpb.Permission(permType=PERMISSIONS.index(kind), key=start, range_end=range_end)
    request = pb.AuthRoleGrantPermissionRequest(name=name, perm=permission)
    return _plain(methods.ROLE_GRANT_PERMISSION, request, timeout)


def role_revoke_permission(
    name: str,
    key: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    timeout: float | None = None,
) -> Request[None]:
    """Of exactly this key or range."""
    start, range_end = span(key, end, prefix)
    request = pb.AuthRoleRevokePermissionRequest(role=name, key=start, range_end=range_end)
    return _plain(methods.ROLE_REVOKE_PERMISSION, request, timeout)
