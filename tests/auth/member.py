"""An applier with users, without a process around it."""

from typing import Any

from etcdz.api.auth_info import AuthInfo
from etcdz.auth.store import AuthStore
from etcdz.auth.tokens import TokenTable
from etcdz.mvcc.applier import Applier
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore

READ, WRITE, READWRITE = range(3)
TTL_S = 300.0
FIRST_ID = 0x694D0199_9AAB0C00
"""As members number their requests."""


class Lines(list[tuple[str, str, dict[str, Any]]]):
    """A log: (level, message, fields) of each line."""

    def info(self, msg: str, /, **fields: Any) -> None:
        self.append(("info", msg, fields))

    def warn(self, msg: str, /, **fields: Any) -> None:
        self.append(("warn", msg, fields))

    def error(self, msg: str, /, **fields: Any) -> None:
        self.append(("error", msg, fields))


class Member:
    """Applies requests by name of their field. now_s: of its clock. index: of the entry applied last."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.now_s = 0.0
        self.index = 0
        self.store = store or MemoryStore()
        self.log = Lines()
        self.mvcc = Mvcc(self.store, 1, 2, lease_ttl_min_s=1)
        self.auth = AuthStore(
            self.store,
            TokenTable(self.store, TTL_S, lambda: self.now_s),
            hash_password=lambda password: b"hash of " + password.encode(),
            applied_index=lambda: self.index,
            log=self.log,
        )
        self.access = self.auth.access
        self.applier = Applier(self.mvcc, auth=self.auth)

    def ask(self, auth: AuthInfo | None, kind: str, request: Any) -> Any:
        """The answer to an entry, or the text of its error."""
        self.index += 1
        header = pb.RequestHeader(ID=FIRST_ID + self.index)
        if auth is not None:
            header.username, header.auth_revision = auth.username, auth.revision
        entry = pb.InternalRaftRequest(header=header, **{kind: request}).SerializeToString()
        result = self.applier.apply(entry)
        assert result is not None and result[0] == header.ID
        _, code, text, body = result
        if text is not None:
            return text
        assert code == 0 and isinstance(body, bytes)
        return RESPONSES[kind].FromString(body)

    def root(self, kind: str, request: Any) -> Any:
        """The same by root; an error ends the test."""
        found = self.ask(AuthInfo("root", self.access.revision), kind, request)
        assert not isinstance(found, str), found
        return found

    def now(self, username: str) -> AuthInfo:
        """A user whose token is as new as can be."""
        return AuthInfo(username, self.access.revision)

    def add_user(self, name: str, *roles: str, password: str = "cGFzcw==") -> None:
        self.root("auth_user_add", pb.AuthUserAddRequest(name=name, hashedPassword=password))
        for role in roles:
            self.root("auth_user_grant_role", pb.AuthUserGrantRoleRequest(user=name, role=role))

    def add_role(self, name: str, *permissions: tuple[int, bytes, bytes]) -> None:
        self.root("auth_role_add", pb.AuthRoleAddRequest(name=name))
        for kind, key, end in permissions:
            granted = authpb.Permission(permType=kind, key=key, range_end=end)
            self.root("auth_role_grant_permission", pb.AuthRoleGrantPermissionRequest(name=name, perm=granted))

    def enable(self) -> None:
        self.add_user("root", "root")
        self.root("auth_enable", pb.AuthEnableRequest())

    def commit(self) -> None:
        self.mvcc.state.pending |= self.auth.take_rows()
        self.mvcc.state.commit(self.index, 1)

    def reopened(self) -> "Member":
        """As a new process finds it."""
        self.commit()
        again = Member(self.store)
        again.index = self.index
        return again


RESPONSES: dict[str, Any] = {
    "put": pb.PutResponse,
    "range": pb.RangeResponse,
    "delete_range": pb.DeleteRangeResponse,
    "txn": pb.TxnResponse,
    "compaction": pb.CompactionResponse,
    "lease_grant": pb.LeaseGrantResponse,
    "lease_revoke": pb.LeaseRevokeResponse,
    "alarm": pb.AlarmResponse,
    "auth_enable": pb.AuthEnableResponse,
    "auth_disable": pb.AuthDisableResponse,
    "auth_status": pb.AuthStatusResponse,
    "authenticate": pb.AuthenticateResponse,
    "auth_user_add": pb.AuthUserAddResponse,
    "auth_user_get": pb.AuthUserGetResponse,
    "auth_user_list": pb.AuthUserListResponse,
    "auth_user_delete": pb.AuthUserDeleteResponse,
    "auth_user_change_password": pb.AuthUserChangePasswordResponse,
    "auth_user_grant_role": pb.AuthUserGrantRoleResponse,
    "auth_user_revoke_role": pb.AuthUserRevokeRoleResponse,
    "auth_role_add": pb.AuthRoleAddResponse,
    "auth_role_get": pb.AuthRoleGetResponse,
    "auth_role_list": pb.AuthRoleListResponse,
    "auth_role_delete": pb.AuthRoleDeleteResponse,
    "auth_role_grant_permission": pb.AuthRoleGrantPermissionResponse,
    "auth_role_revoke_permission": pb.AuthRoleRevokePermissionResponse,
}
