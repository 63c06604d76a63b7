"""Users, roles and the revision of both, as applied state, and what each management call does to them.

Rows, as etcd writes them:

    auth       authEnabled -> 1 byte, authRevision -> 8, BE
    authUsers  name -> authpb.User; its roles are sorted
    authRoles  name -> authpb.Role; its permissions are sorted by key

The revision is 1 in a new store. Every call that changes something adds one, and so does disabling; enabling does not,
nor a role that is granted again.
"""

import base64
import binascii
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final, Protocol

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.auth.access import READ, READWRITE, ROOT, WRITE, Access, Permission
from etcdz.auth.carried_tokens import Login
from etcdz.auth.questions import HASHED, NO_PASSWORD, UNKNOWN, PasswordHash
from etcdz.auth.tokens import TokenTable
from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import message_field
from etcdz.proto.tags import ROLE_LIST_ROLES, USER_GET_ROLES, USER_LIST_USERS
from etcdz.proto.text import decode_text, encode_text, printable
from etcdz.store import buckets
from etcdz.store.interface import Store

ENABLED_ROW: Final = buckets.AUTH + b"authEnabled"
REVISION_ROW: Final = buckets.AUTH + b"authRevision"
_ON, _OFF = b"\x01", b"\0"
_ROOT_PERMISSION: Final = authpb.Permission(permType=READWRITE, key=b"", range_end=b"\0")
Found = bytes | EtcdError
"""The fields of an answer behind its header, or why there is none."""


_PERMISSION_NAMES: Final = {READ: "READ", WRITE: "WRITE", READWRITE: "READWRITE"}


class ManagementLog(Protocol):
    """Told of each change, in etcd's words."""

    def info(self, msg: str, /, **fields: Any) -> None: ...
    def warn(self, msg: str, /, **fields: Any) -> None: ...
    def error(self, msg: str, /, **fields: Any) -> None: ...


class NoLog:
    """For a store that nobody manages."""

    def info(self, msg: str, /, **fields: Any) -> None: ...
    def warn(self, msg: str, /, **fields: Any) -> None: ...
    def error(self, msg: str, /, **fields: Any) -> None: ...


def no_hash(password: str) -> bytes:
    """For a log in which no password stands."""
    raise ValueError("there is nothing here to hash a password with")


class AuthStore:
    """access       who may do what, by all that is applied
    tokens       simple tokens
    is_changed   access is another since the last `take_rows`
    handlers     field of InternalRaftRequest -> what applies it
    """

    def __init__(
        self,
        store: Store,
        tokens: TokenTable | None = None,
        *,
        gives_tokens: bool = True,
        hash_password: Callable[[str], bytes] = no_hash,
        applied_index: Callable[[], int] = lambda: 0,
        log: ManagementLog | None = None,
    ) -> None:
        """tokens          None: those in the store, which live for ever
        gives_tokens    False: tokens are of another kind, and made by whoever has asked for Authenticate
        hash_password   for entries of etcd 3.4, which hold the password itself
        applied_index   of the entry that is being applied: simple tokens are numbered by it
        log             None: nobody is told of changes
        """
        self.tokens = tokens or TokenTable(store, inf, lambda: 0.0)
        self._gives_tokens = gives_tokens
        if not gives_tokens:
            self.tokens.drop_all()
        self._hash_password = hash_password
        self._applied_index = applied_index
        self._log = NoLog() if log is None else log
        self._users = {decode_text(name): authpb.User.FromString(row) for name, row in _rows(store, buckets.AUTH_USERS)}
        self._roles = {decode_text(name): authpb.Role.FromString(row) for name, row in _rows(store, buckets.AUTH_ROLES)}
        self._roles_of = {name: _texts(user.roles) for name, user in self._users.items()}
        self._permissions_of = {name: _permissions(role) for name, role in self._roles.items()}
        revision = int.from_bytes(store.get(REVISION_ROW) or b"", "big")
        self._changed_rows: dict[bytes, bytes | None] = {}
        self.access = Access(store.get(ENABLED_ROW) == _ON, revision, self._roles_of, self._permissions_of)
        if not revision:
            self._commit_revision()
        self.is_changed = False
        self.handlers: dict[str, Callable[[Any], Found]] = {
            "auth_enable": self._enable,
            "auth_disable": self._disable,
            "auth_status": self._status,
            "authenticate": self._authenticate,
            "auth_user_add": self._user_add,
            "auth_user_get": self._user_get,
            "auth_user_list": self._user_list,
            "auth_user_delete": self._user_delete,
            "auth_user_change_password": self._user_change_password,
            "auth_user_grant_role": self._user_grant_role,
            "auth_user_revoke_role": self._user_revoke_role,
            "auth_role_add": self._role_add,
            "auth_role_get": self._role_get,
            "auth_role_list": self._role_list,
            "auth_role_delete": self._role_delete,
            "auth_role_grant_permission": self._role_grant_permission,
            "auth_role_revoke_permission": self._role_revoke_permission,
        }

    def take_rows(self) -> dict[bytes, bytes | None]:
        """For the store: all that has changed since the last call, tokens included."""
        taken, self._changed_rows = self._changed_rows, {}
        self.is_changed = False
        return taken | self.tokens.take_rows()

    @property
    def has_rows(self) -> bool:
        """Whether there are any to take."""
        return bool(self._changed_rows) or self.tokens.has_news

    def logins(self) -> dict[str, Login]:
        """Token -> what it stands for."""
        users = self._users
        return {
            token: Login(name, users[name].password if name in users else None)
            for token, name in self.tokens.owners.items()
        }

    def password_hash(self, username: str) -> PasswordHash | EtcdError:
        """What the password of a user is checked against."""
        if not self.access.enabled:
            return errors.AUTH_NOT_ENABLED
        user = self._users.get(username)
        if user is None:
            return PasswordHash(self.access.revision, UNKNOWN, b"")
        kind = NO_PASSWORD if user.options.no_password else HASHED
        return PasswordHash(self.access.revision, kind, user.password)

    # ---- whether it is on ----

    def _enable(self, request: pb.AuthEnableRequest) -> Found:
        if self.access.enabled:
            self._log.info("authentication is already enabled; ignored auth enable request")
            return b""
        root = self._roles_of.get(ROOT)
        if root is None:
            return errors.ROOT_USER_NOT_EXIST
        if ROOT not in root:
            return errors.ROOT_ROLE_NOT_EXIST
        self._changed_rows[ENABLED_ROW] = _ON
        self.access.enabled = self.is_changed = True
        self._log.info("enabled authentication")
        return b""

    def _disable(self, request: pb.AuthDisableRequest) -> Found:
        if not self.access.enabled:
            return b""
        self._changed_rows[ENABLED_ROW] = _OFF
        self.access.enabled = False
        self._commit_revision()
        self.tokens.drop_all()
        self._log.info("disabled authentication")
        return b""

    def _status(self, request: pb.AuthStatusRequest) -> Found:
        access = self.access
        return pb.AuthStatusResponse(enabled=access.enabled, authRevision=access.revision).SerializeToString()

    def _authenticate(self, request: pb.InternalAuthenticateRequest) -> Found:
        """NB: the password was checked by the member that was asked; what has changed since shows in the revision."""
        if not self.access.enabled:
            return errors.AUTH_NOT_ENABLED
        name = decode_text(request.name)
        user = self._users.get(name)
        if user is None or user.options.no_password:
            return errors.AUTH_FAILED
        if not self._gives_tokens:
            return b""
        token = f"{printable(request.simple_token)}.{self._applied_index()}"
        self.tokens.assign(token, name)
        return pb.AuthenticateResponse(token=token).SerializeToString()

    # ---- users ----

    def _user_add(self, request: pb.AuthUserAddRequest) -> Found:
        name = decode_text(request.name)
        if not name:
            return errors.USER_EMPTY
        if name in self._users:
            return errors.USER_ALREADY_EXIST
        no_password = request.options.no_password
        password = b"" if no_password else self._password_of(request)
        if isinstance(password, EtcdError):
            return password
        options = authpb.UserAddOptions(no_password=no_password)
        self._put_user(authpb.User(name=encode_text(name), password=password, options=options))
        self._commit_revision()
        self._log.info("added a user", user_name=name)
        return b""

    def _user_get(self, request: pb.AuthUserGetRequest) -> Found:
        roles = self._roles_of.get(decode_text(request.name))
        return errors.USER_NOT_FOUND if roles is None else _names(USER_GET_ROLES, roles)

    def _user_list(self, request: pb.AuthUserListRequest) -> Found:
        return _names(USER_LIST_USERS, self._users)

    def _user_delete(self, request: pb.AuthUserDeleteRequest) -> Found:
        name = decode_text(request.name)
        if self.access.enabled and name == ROOT:
            self._log.error("cannot delete 'root' user", user_name=name)
            return errors.INVALID_AUTH_MGMT
        if name not in self._users:
            return errors.USER_NOT_FOUND
        roles = self._roles_of.pop(name)
        del self._users[name]
        self._changed_rows[buckets.AUTH_USERS + encode_text(name)] = None
        self._commit_revision((name,))
        self.tokens.drop_user(name)
        self._log.info("deleted a user", user_name=name, user_roles=roles)
        return b""

    def _user_change_password(self, request: pb.AuthUserChangePasswordRequest) -> Found:
        """NB: that of a user without a password changes nothing but the revision."""
        name = decode_text(request.name)
        user = self._users.get(name)
        if user is None:
            return errors.USER_NOT_FOUND
        password = b"" if user.options.no_password else self._password_of(request)
        if isinstance(password, EtcdError):
            return password
        user.password = password
        self._put_user(user)
        self._commit_revision()
        self.tokens.drop_user(name)
        self._log.info("changed a password of a user", user_name=name, user_roles=self._roles_of[name])
        return b""

    def _password_of(self, request: pb.AuthUserAddRequest | pb.AuthUserChangePasswordRequest) -> bytes | EtcdError:
        """What is kept of it."""
        if request.password and not request.hashedPassword:
            return self._hash_password(decode_text(request.password))
        try:
            return base64.b64decode(
                decode_text(request.hashedPassword).replace("\r", "").replace("\n", ""), validate=True
            )
        except (binascii.Error, ValueError):
            return errors.NO_PASSWORD_USER

    def _user_grant_role(self, request: pb.AuthUserGrantRoleRequest) -> Found:
        """NB: the role root may be granted without being there."""
        name, role = decode_text(request.user), decode_text(request.role)
        user = self._users.get(name)
        if user is None:
            return errors.USER_NOT_FOUND
        if role != ROOT and role not in self._roles:
            return errors.ROLE_NOT_FOUND
        before = self._roles_of[name]
        if role in before:
            text = "ignored grant role request to a user"
            self._log.warn(text, user_name=name, user_roles=before, duplicate_role_name=role)
            return b""
        self._put_roles(user, [*before, role])
        self._commit_revision((name,))
        roles = self._roles_of[name]
        self._log.info("granted a role to a user", user_name=name, user_roles=roles, added_role_name=role)
        return b""

    def _user_revoke_role(self, request: pb.AuthUserRevokeRoleRequest) -> Found:
        name, revoked = decode_text(request.name), decode_text(request.role)
        if self.access.enabled and name == ROOT and revoked == ROOT:
            self._log.error("'root' user cannot revoke 'root' role", user_name=name, role_name=revoked)
            return errors.INVALID_AUTH_MGMT
        user = self._users.get(name)
        if user is None:
            return errors.USER_NOT_FOUND
        before = self._roles_of[name]
        if revoked not in before:
            return errors.ROLE_NOT_GRANTED
        after = [role for role in before if role != revoked]
        self._put_roles(user, after)
        self._commit_revision((name,))
        told = {"old_user_roles": before, "new_user_roles": after, "revoked_role_name": revoked}
        self._log.info("revoked a role from a user", user_name=name, **told)
        return b""

    def _put_roles(self, user: authpb.User, roles: Iterable[str]) -> None:
        """In the order of etcd, which compares bytes."""
        user.roles[:] = sorted(map(encode_text, roles))
        self._put_user(user)

    def _put_user(self, user: authpb.User) -> None:
        name = decode_text(user.name)
        self._users[name] = user
        self._roles_of[name] = _texts(user.roles)
        self._changed_rows[buckets.AUTH_USERS + user.name] = user.SerializeToString()

    # ---- roles ----

    def _role_add(self, request: pb.AuthRoleAddRequest) -> Found:
        name = decode_text(request.name)
        if not name:
            return errors.ROLE_EMPTY
        if name in self._roles:
            return errors.ROLE_ALREADY_EXIST
        self._put_role(authpb.Role(name=encode_text(name)))
        self._commit_revision()
        self._log.info("created a role", role_name=name)
        return b""

    def _role_get(self, request: pb.AuthRoleGetRequest) -> Found:
        name = decode_text(request.role)
        role = self._roles.get(name)
        if role is None:
            return errors.ROLE_NOT_FOUND
        shown = [_ROOT_PERMISSION] if name == ROOT else role.keyPermission
        return pb.AuthRoleGetResponse(perm=shown).SerializeToString()

    def _role_list(self, request: pb.AuthRoleListRequest) -> Found:
        return _names(ROLE_LIST_ROLES, self._roles)

    def _role_delete(self, request: pb.AuthRoleDeleteRequest) -> Found:
        """All users lose it."""
        name = decode_text(request.role)
        if self.access.enabled and name == ROOT:
            self._log.error("cannot delete 'root' role", role_name=name)
            return errors.INVALID_AUTH_MGMT
        if name not in self._roles:
            return errors.ROLE_NOT_FOUND
        del self._roles[name], self._permissions_of[name]
        self._changed_rows[buckets.AUTH_ROLES + encode_text(name)] = None
        holders = self._holders(name)
        for holder in holders:
            self._put_roles(self._users[holder], [role for role in self._roles_of[holder] if role != name])
        self._commit_revision(holders)
        self._log.info("deleted a role", role_name=name)
        return b""

    def _role_grant_permission(self, request: pb.AuthRoleGrantPermissionRequest) -> Found:
        """NB: etcd looks for the same range at the first permission with this key alone. An invalid range, which etcd
        3.5.1 lets in, is kept here as there, and covers nothing."""
        if not request.HasField("perm"):
            return errors.PERMISSION_NOT_GIVEN
        name = decode_text(request.name)
        role = self._roles.get(name)
        if role is None:
            return errors.ROLE_NOT_FOUND
        granted, kept = request.perm, list(role.keyPermission)
        place = bisect_left(kept, granted.key, key=_key_of)
        if place < len(kept) and (kept[place].key, kept[place].range_end) == (granted.key, granted.range_end):
            kept[place].permType = granted.permType
        else:
            new = authpb.Permission(permType=granted.permType, key=granted.key, range_end=granted.range_end)
            insort(kept, new, key=_key_of)
        self._put_role(authpb.Role(name=role.name, keyPermission=kept))
        self._commit_revision(self._holders(name))
        kind = _PERMISSION_NAMES.get(granted.permType, "")
        self._log.info("granted/updated a permission to a user", user_name=name, permission_name=kind)
        return b""

    def _role_revoke_permission(self, request: pb.AuthRoleRevokePermissionRequest) -> Found:
        name = decode_text(request.role)
        role = self._roles.get(name)
        if role is None:
            return errors.ROLE_NOT_FOUND
        revoked = request.key, request.range_end
        kept = [given for given in role.keyPermission if (given.key, given.range_end) != revoked]
        if len(kept) == len(role.keyPermission):
            return errors.PERMISSION_NOT_GRANTED
        self._put_role(authpb.Role(name=role.name, keyPermission=kept))
        self._commit_revision(self._holders(name))
        key, range_end = (part.decode("utf-8", "replace") for part in revoked)
        self._log.info("revoked a permission on range", role_name=name, key=key, range_end=range_end)
        return b""

    def _put_role(self, role: authpb.Role) -> None:
        name = decode_text(role.name)
        self._roles[name] = role
        self._permissions_of[name] = _permissions(role)
        self._changed_rows[buckets.AUTH_ROLES + role.name] = role.SerializeToString()

    def _holders(self, role: str) -> list[str]:
        return [name for name, roles in self._roles_of.items() if role in roles]

    # ---- revision ----

    def _commit_revision(self, users: Iterable[str] = ()) -> None:
        """users: of whom what they may do has changed"""
        self.access.revision += 1
        self.access.forget_unions(users)
        self._changed_rows[REVISION_ROW] = self.access.revision.to_bytes(8, "big")
        self.is_changed = True


def _rows(store: Store, bucket: bytes) -> Iterable[tuple[bytes, bytes]]:
    return ((name[len(bucket) :], row) for name, row in store.iterate(bucket, buckets.bucket_end(bucket)))


def _names(tag: bytes, names: Iterable[str]) -> bytes:
    """A repeated field of an answer, in the order of etcd, which compares bytes."""
    return b"".join([message_field(tag, name) for name in sorted(map(encode_text, names))])


def _texts(names: Iterable[bytes]) -> list[str]:
    return [decode_text(name) for name in names]


def _permissions(role: authpb.Role) -> list[Permission]:
    return [(given.permType, given.key, given.range_end) for given in role.keyPermission]


def _key_of(permission: authpb.Permission) -> bytes:
    return permission.key
