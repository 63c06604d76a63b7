"""What is decided where keys are touched: the requests of an entry when it is applied, and reads where they are made.

A transaction is refused whole, before anything of it runs: its compares and both branches are looked at, those of
nested transactions as well. A key that is put on a lease needs the right to write all keys that are on it, since it
could be deleted with them.
Source: etcd 3.5.33, auth applier. 3.5.1 does not look into nested transactions, nor at what a put inside one asks for
beyond its key.
"""

from collections.abc import Callable, Iterable
from typing import Any

from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.auth.access import Access
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import decode_text

KeysOf = Callable[[int], Iterable[bytes]]
"""Lease id -> the keys that are attached to it, none if there is no such lease."""


class RequestChecks:
    """by_kind: field of InternalRaftRequest -> check(request, who asks). What is not there anybody may have applied."""

    def __init__(self, access: Access, keys_of: KeysOf) -> None:
        self._access = access
        self._keys_of = keys_of
        self.by_kind: dict[str, Callable[[Any, AuthInfo], EtcdError | None]] = {
            "range": self.check_range,
            "put": self._check_put,
            "delete_range": self._check_delete_range,
            "txn": self.check_txn,
            "lease_revoke": self._check_lease_revoke,
            "auth_user_get": self._check_user_get,
            "auth_role_get": self._check_role_get,
            **dict.fromkeys(_ADMIN, self._check_admin),
        }

    def check_range(self, request: pb.RangeRequest, auth: AuthInfo) -> EtcdError | None:
        return self._access.check_read(auth, request.key, request.range_end)

    def check_txn(self, request: pb.TxnRequest, auth: AuthInfo) -> EtcdError | None:
        for compare in request.compare:
            error = self._access.check_read(auth, compare.key, compare.range_end)
            if error is not None:
                return error
        for op in (*request.success, *request.failure):
            error = self._check_operation(op, auth)
            if error is not None:
                return error
        return None

    def _check_operation(self, op: pb.RequestOp, auth: AuthInfo) -> EtcdError | None:
        kind = op.WhichOneof("request")
        if kind == "request_range":
            return self.check_range(op.request_range, auth)
        if kind == "request_put":
            return self._check_put(op.request_put, auth)
        if kind == "request_txn":
            return self.check_txn(op.request_txn, auth)
        return self._check_delete_range(op.request_delete_range, auth) if kind is not None else None

    def _check_put(self, request: pb.PutRequest, auth: AuthInfo) -> EtcdError | None:
        access = self._access
        error = access.check_write(auth, request.key)
        if error is None and request.lease:
            error = access.check_write_keys(auth, self._keys_of(request.lease))
        if error is None and request.prev_kv:
            error = access.check_read(auth, request.key)
        return error

    def _check_delete_range(self, request: pb.DeleteRangeRequest, auth: AuthInfo) -> EtcdError | None:
        error = self._access.check_write(auth, request.key, request.range_end)
        if error is None and request.prev_kv:
            error = self._access.check_read(auth, request.key, request.range_end)
        return error

    def _check_lease_revoke(self, request: pb.LeaseRevokeRequest, auth: AuthInfo) -> EtcdError | None:
        return self._access.check_write_keys(auth, self._keys_of(request.ID))

    def _check_admin(self, request: Any, auth: AuthInfo) -> EtcdError | None:
        return self._access.check_admin(auth)

    def _check_user_get(self, request: pb.AuthUserGetRequest, auth: AuthInfo) -> EtcdError | None:
        """Everybody may look at itself."""
        return None if decode_text(request.name) == auth.username else self._access.check_admin(auth)

    def _check_role_get(self, request: pb.AuthRoleGetRequest, auth: AuthInfo) -> EtcdError | None:
        """Everybody may look at the roles that it has."""
        return (
            None if self._access.has_role(auth.username, decode_text(request.role)) else self._access.check_admin(auth)
        )


_ADMIN = (
    "auth_enable",
    "auth_disable",
    "auth_status",
    "auth_user_add",
    "auth_user_delete",
    "auth_user_change_password",
    "auth_user_grant_role",
    "auth_user_revoke_role",
    "auth_user_list",
    "auth_role_add",
    "auth_role_delete",
    "auth_role_grant_permission",
    "auth_role_revoke_permission",
    "auth_role_list",
)
