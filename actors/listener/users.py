"""How calls of etcd's Auth service begin: users and roles. Logins are more than one step: logins.py.

All of them go through the log, as in etcd, those that only look as well. Passwords do not: what is proposed is their
hash, made in a thread (password_worker.py).
"""

import base64
from functools import partial
from typing import Any, Final

from actors.listener.call import Begin, Caller, Routes, asker_of
from actors.listener.password_worker import PASSWORD_BYTES_MAX, TOO_LONG, PasswordWorker, hash_password
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import (
    AUTH_DISABLE,
    AUTH_ENABLE,
    AUTH_STATUS,
    ROLE_ADD,
    ROLE_DELETE,
    ROLE_GET,
    ROLE_GRANT_PERMISSION,
    ROLE_LIST,
    ROLE_REVOKE_PERMISSION,
    USER_ADD,
    USER_CHANGE_PASSWORD,
    USER_DELETE,
    USER_GET,
    USER_GRANT_ROLE,
    USER_LIST,
    USER_REVOKE_ROLE,
)
from etcdz.auth.intervals import interval_of
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import decode_text, encode_text

_PASSWORD_TOO_LONG: Final = EtcdError("PasswordTooLong", Code.UNKNOWN, TOO_LONG)
_PLAIN: Final[dict[int, Any]] = {
    AUTH_ENABLE: pb.AuthEnableRequest,
    AUTH_DISABLE: pb.AuthDisableRequest,
    AUTH_STATUS: pb.AuthStatusRequest,
    USER_GET: pb.AuthUserGetRequest,
    USER_LIST: pb.AuthUserListRequest,
    USER_DELETE: pb.AuthUserDeleteRequest,
    USER_GRANT_ROLE: pb.AuthUserGrantRoleRequest,
    USER_REVOKE_ROLE: pb.AuthUserRevokeRoleRequest,
    ROLE_ADD: pb.AuthRoleAddRequest,
    ROLE_GET: pb.AuthRoleGetRequest,
    ROLE_LIST: pb.AuthRoleListRequest,
    ROLE_DELETE: pb.AuthRoleDeleteRequest,
    ROLE_REVOKE_PERMISSION: pb.AuthRoleRevokePermissionRequest,
}
"""What is proposed as it comes, by method."""


class Users:
    """The methods of Auth but Authenticate. begin: by method: how its calls begin"""

    def __init__(self, routes: Routes, worker: PasswordWorker, cost: int) -> None:
        """cost: of --bcrypt-cost"""
        self.routes = routes
        self._worker = worker
        self.cost = cost
        self.begin: dict[int, Begin] = {
            **{method: partial(self._begin_plain, method, request) for method, request in _PLAIN.items()},
            USER_ADD: self._add,
            USER_CHANGE_PASSWORD: self._change_password,
            ROLE_GRANT_PERMISSION: self._grant_permission,
        }

    def _begin_plain(
        self, method: int, request: Any, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None
    ) -> EtcdError | None:
        request.FromString(body)
        return self.routes.propose(caller, stream_id, method, body, auth)

    def _grant_permission(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        """NB: etcd 3.5.1 stores permissions of ranges that are none: logs may have such entries."""
        request = pb.AuthRoleGrantPermissionRequest.FromString(body)

        def go_on(auth: AuthInfo | None) -> EtcdError | None:
            if request.HasField("perm") and interval_of(request.perm.key, request.perm.range_end) is None:
                return errors.INVALID_AUTH_MGMT
            return self.routes.propose(caller, stream_id, ROLE_GRANT_PERMISSION, body, auth)

        return self.routes.permit(caller, stream_id, ROLE_GRANT_PERMISSION, body, auth, go_on)

    # ---- passwords ----

    def _add(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.AuthUserAddRequest.FromString(body)
        if request.options.no_password:
            return self.routes.propose(caller, stream_id, USER_ADD, body, auth)
        return self._with_hash(caller, stream_id, USER_ADD, request, auth)

    def _change_password(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.AuthUserChangePasswordRequest.FromString(body)
        return self._with_hash(caller, stream_id, USER_CHANGE_PASSWORD, request, auth)

    def _with_hash(
        self, caller: Caller, stream_id: int, method: int, request: Any, auth: AuthInfo | None
    ) -> EtcdError | None:
        """Proposes the request with the password's hash in its place; nothing is hashed for who may not."""
        password = encode_text(decode_text(request.password))
        request.ClearField("password")

        def go_on(auth: AuthInfo | None) -> EtcdError | None:
            if len(password) > PASSWORD_BYTES_MAX:
                return _PASSWORD_TOO_LONG
            is_taken = self._worker.submit(_Hashing(self, caller, stream_id, method, request, auth, password))
            return None if is_taken else errors.REQUEST_TOO_MANY_REQUESTS

        return self.routes.permit(caller, stream_id, method, b"", auth, go_on)


class _Hashing:
    """A request that waits for the hash of its password: the Job of it. NB: its client may go meanwhile; then it is
    proposed all the same, as what is on its way."""

    __slots__ = ("_auth", "_caller", "_method", "_password", "_request", "_stream_id", "_users")

    username: Final = ""
    is_wanted: Final = True

    def __init__(
        self,
        users: Users,
        caller: Caller,
        stream_id: int,
        method: int,
        request: Any,
        auth: AuthInfo | None,
        password: bytes,
    ) -> None:
        self._users = users
        self._caller = caller
        self._stream_id = stream_id
        self._method = method
        self._request = request
        self._auth = auth
        self._password = password

    @property
    def client(self) -> Caller:
        return asker_of(self._caller)

    def work(self) -> bytes:
        return hash_password(self._password, self._users.cost)

    def on_worked(self, result: bytes) -> None:
        self._password = b""
        self._request.hashedPassword = base64.b64encode(result).decode()
        body = self._request.SerializeToString()
        error = self._users.routes.propose(self._caller, self._stream_id, self._method, body, self._auth)
        if error is not None:
            self._refuse(error)

    def give_place(self) -> None:
        self._password = b""
        self._refuse(errors.REQUEST_TOO_MANY_REQUESTS)

    def _refuse(self, error: EtcdError) -> None:
        self._caller.reply(self._stream_id, error.code, error.text.encode())
        self._caller.flush()
