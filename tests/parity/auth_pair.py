"""Two members with users, asked the same by the same users; and what etcd 3.5.1 lets through that etcdz does not.

A call that only etcd 3.5.1 lets through (`is_hole`) is asked of etcdz first. If that refuses it, etcd is not asked, so
that both stay alike; if not, their answers are compared as all others.
"""

import json
from collections import Counter
from difflib import unified_diff
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import until
from tests.etcd_process import Etcdz, Member, RealEtcd

TIMEOUT_S = 60
REFUSALS = (
    "PERMISSION_DENIED",
    "etcdserver: user name is empty",
    "etcdserver: invalid auth management",
    "etcdserver: invalid auth token",
)
FLAGS = ("--heartbeat-interval=10", "--election-timeout=100", "--bcrypt-cost=4")
RAW = {
    "UNKNOWN: auth: permission denied": "PERMISSION_DENIED: etcdserver: permission denied",
    "UNKNOWN: auth: user name is empty": "INVALID_ARGUMENT: etcdserver: user name is empty",
    "UNKNOWN: auth: user not found": "FAILED_PRECONDITION: etcdserver: user name not found",
    "UNKNOWN: auth: invalid auth token": "UNAUTHENTICATED: etcdserver: invalid auth token",
}
"""What etcd's maintenance calls answer -> what all others answer, and etcdz's maintenance calls too."""
LOGGED = frozenset(
    [
        "authentication is already enabled; ignored auth enable request",
        "enabled authentication",
        "disabled authentication",
        "added a user",
        "deleted a user",
        "cannot delete 'root' user",
        "changed a password of a user",
        "granted a role to a user",
        "ignored grant role request to a user",
        "revoked a role from a user",
        "'root' user cannot revoke 'root' role",
        "created a role",
        "deleted a role",
        "cannot delete 'root' role",
        "granted/updated a permission to a user",
        "revoked a permission on range",
    ]
)
"""What is told of management."""
LOGINS = frozenset(["invalid password", "invalid authentication was requested"])
NOBODY, STRANGER = "", "?"
"""In the place of a user: no token at all, and one that nobody was given."""
_AUTH, _KV, _LEASE, _MAINTENANCE = (f"/etcdserverpb.{name}/" for name in ("Auth", "KV", "Lease", "Maintenance"))

METHODS: dict[str, tuple[str, Any]] = {
    "AuthEnable": (_AUTH, pb.AuthEnableResponse),
    "AuthDisable": (_AUTH, pb.AuthDisableResponse),
    "AuthStatus": (_AUTH, pb.AuthStatusResponse),
    "Authenticate": (_AUTH, pb.AuthenticateResponse),
    "UserAdd": (_AUTH, pb.AuthUserAddResponse),
    "UserGet": (_AUTH, pb.AuthUserGetResponse),
    "UserList": (_AUTH, pb.AuthUserListResponse),
    "UserDelete": (_AUTH, pb.AuthUserDeleteResponse),
    "UserChangePassword": (_AUTH, pb.AuthUserChangePasswordResponse),
    "UserGrantRole": (_AUTH, pb.AuthUserGrantRoleResponse),
    "UserRevokeRole": (_AUTH, pb.AuthUserRevokeRoleResponse),
    "RoleAdd": (_AUTH, pb.AuthRoleAddResponse),
    "RoleGet": (_AUTH, pb.AuthRoleGetResponse),
    "RoleList": (_AUTH, pb.AuthRoleListResponse),
    "RoleDelete": (_AUTH, pb.AuthRoleDeleteResponse),
    "RoleGrantPermission": (_AUTH, pb.AuthRoleGrantPermissionResponse),
    "RoleRevokePermission": (_AUTH, pb.AuthRoleRevokePermissionResponse),
    "Range": (_KV, pb.RangeResponse),
    "Put": (_KV, pb.PutResponse),
    "DeleteRange": (_KV, pb.DeleteRangeResponse),
    "Txn": (_KV, pb.TxnResponse),
    "Compact": (_KV, pb.CompactionResponse),
    "LeaseGrant": (_LEASE, pb.LeaseGrantResponse),
    "LeaseRevoke": (_LEASE, pb.LeaseRevokeResponse),
    "LeaseTimeToLive": (_LEASE, pb.LeaseTimeToLiveResponse),
    "LeaseLeases": (_LEASE, pb.LeaseLeasesResponse),
    "HashKV": (_MAINTENANCE, pb.HashKVResponse),
    "Alarm": (_MAINTENANCE, pb.AlarmResponse),
    "MemberList": ("/etcdserverpb.Cluster/", pb.MemberListResponse),
}


class AuthCall(NamedTuple):
    """user: whose token goes along, NOBODY or STRANGER."""

    user: str
    name: str
    request: Any

    def __str__(self) -> str:
        return f"{self.user or '-'}: {self.name} {str(self.request)!r}"


class Answer(NamedTuple):
    """text: of the error; message: None for one."""

    text: str
    message: Any


def is_hole(call: AuthCall) -> bool:
    """Whether etcd 3.5.1 may let this through though nobody has granted it. Mended from 3.5.8 on, last by 3.5.32."""
    if call.name == "Txn":
        return any(_is_hole_in_txn(op) for op in (*call.request.success, *call.request.failure))
    if call.name == "RoleGrantPermission":
        key, end = call.request.perm.key, call.request.perm.range_end
        return not key or (end not in (b"", b"\0") and end <= key)
    return call.name in (
        "Compact",
        "LeaseGrant",
        "LeaseRevoke",
        "LeaseTimeToLive",
        "LeaseLeases",
        "MemberList",
        "Alarm",
    )


def _is_hole_in_txn(op: pb.RequestOp) -> bool:
    if op.WhichOneof("request") == "request_txn":
        return True
    return bool(op.request_put.prev_kv or op.request_put.lease)


class Side:
    """One of the two members."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.tokens: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(self.member.target, options=options)
        self._stubs: dict[str, Any] = {}

    def close(self) -> None:
        self._channel.close()

    def logged(self, messages: frozenset[str]) -> list[dict[str, Any]]:
        """These lines of its log, without what belongs to a process: etcd adds to an error where in its code it was."""
        text = self.member.log_path.read_text()
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
        own = ("ts", "caller", "actor", "stacktrace")
        return [{n: row[n] for n in row if n not in own} for row in rows if row.get("msg") in messages]

    def begin(self, call: AuthCall) -> Any:
        prefix, _ = METHODS[call.name]
        stub = self._stubs.get(call.name)
        if stub is None:
            stub = self._stubs[call.name] = self._channel.unary_unary(prefix + call.name)
        token = {NOBODY: None, STRANGER: "nobody.1"}.get(call.user, self.tokens.get(call.user))
        metadata = [("token", token)] if token else []
        body = call.request.SerializeToString()
        return stub.future(body, timeout=TIMEOUT_S, wait_for_ready=True, metadata=metadata)

    def finish(self, call: AuthCall, future: Any) -> Answer:
        try:
            message = METHODS[call.name][1].FromString(future.result())
        except grpc.RpcError as error:
            return Answer(f"{error.code().name}: {error.details()}", None)
        return Answer("", _alike(call, message))

    def ask(self, call: AuthCall) -> Answer:
        return self.finish(call, self.begin(call))

    def log_in(self, user: str, password: str) -> bool:
        """The user's calls have its token from now on."""
        request = pb.AuthenticateRequest(name=user, password=password)
        stub = self._channel.unary_unary(_AUTH + "Authenticate")
        try:
            answer = stub(request.SerializeToString(), timeout=TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
            return False
        self.tokens[user] = pb.AuthenticateResponse.FromString(answer).token
        return True


class AuthPair:
    """Both members in lock-step. calls_made: of which `holes` were refused by etcdz alone."""

    def __init__(self, tmp_dir: Path, subject: type[Member] = Etcdz) -> None:
        members = RealEtcd(tmp_dir / "expected", *FLAGS), subject(tmp_dir / "subject", *FLAGS)
        self.sides = [Side(member.start()) for member in members]
        self.calls_made = self.holes = 0
        self.tally: Counter[str] = Counter()
        self.before: list[AuthCall] = []

    def close(self) -> None:
        for side in self.sides:
            side.close()
            side.member.stop()

    def restart(self) -> None:
        """Both are stopped, in order, and started again; etcd forgets tokens, and so all users log in again."""
        for side in self.sides:
            side.close()
            side.member.restart()
            side.open()

    def log_in(self, user: str, password: str) -> bool:
        found = [side.log_in(user, password) for side in self.sides]
        assert found[0] == found[1], (user, password, found)
        return found[0]

    def compare_logs(self) -> int:
        """Management in its order, refused logins in any. return how many lines. raises TimeoutError: not the same"""

        def both() -> list[tuple[list[Any], list[str]]]:
            return [(side.logged(LOGGED), sorted(map(str, side.logged(LOGINS)))) for side in self.sides]

        def are_equal() -> bool:
            etcd, subject = both()
            return etcd == subject

        until(are_equal, 60, lambda: "\n".join(_differences(*both())))
        return sum(map(len, both()[0]))

    def compare(self, call: AuthCall) -> Answer:
        """raises AssertionError: the answers are not the same"""
        self.calls_made += 1
        self.before.append(call)
        etcd, subject = self.sides
        if is_hole(call):
            got = subject.ask(call)
            if any(text in got.text for text in REFUSALS):
                self.holes += 1
                return got
            expected = etcd.ask(call)
        else:
            futures = [side.begin(call) for side in self.sides]
            expected, got = (side.finish(call, one) for side, one in zip(self.sides, futures, strict=True))
        self.tally[f"{call.name} {expected.text}"] += 1
        if expected.text in RAW:
            expected = Answer(RAW[expected.text], None)
        if expected != got:
            last = "\n".join(map(str, self.before[-60:]))
            raise AssertionError(f"\n--- etcd\n{expected}\n--- {subject.member.kind}\n{got}\n--- last calls\n{last}")
        return expected


def _differences(etcd: tuple[list[Any], list[str]], subject: tuple[list[Any], list[str]]) -> list[str]:
    """The lines that only one of the two has, with what stands beside them."""
    lines = [[str(line) for part in side for line in part] for side in (etcd, subject)]
    return list(unified_diff(*lines, "etcd", "subject", lineterm="", n=2))


def _alike(call: AuthCall, message: Any) -> Any:
    """Without what need not be equal."""
    if message.HasField("header"):
        message.header.raft_term = 0
    if call.name == "Authenticate":
        message.token = "a token"
    elif call.name == "RoleGet" and call.request.role == "root":
        del message.perm[:]  # 3.5.1 shows what was granted, newer ones that it may do everything
    elif call.name == "LeaseTimeToLive":
        message.TTL = min(message.TTL, 0)
        message.keys.sort()
    elif call.name == "LeaseLeases":
        ids = sorted(lease.ID for lease in message.leases)
        message = pb.LeaseLeasesResponse(header=message.header, leases=[pb.LeaseStatus(ID=one) for one in ids])
    elif call.name == "MemberList":
        for member in message.members:
            del member.clientURLs[:]
    elif call.name == "HashKV":
        message.hash_revision = 0
    return message
