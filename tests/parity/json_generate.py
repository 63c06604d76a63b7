"""Random requests over the JSON gateway: as etcd's clients write them, as protojson allows besides, and wrong.

A request is a message of `generate.py` or `auth_calls.py` in one of the many forms that mean the same, or made wrong on
purpose. What 3.5.1 does not take and etcdz does (`spare`) goes to etcd in its plain form: it must mean the same.
"""

import json
from base64 import b64encode
from random import Random
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor

from etcdz.proto import etcdserverpb as pb
from tests.parity.auth_calls import _management as draw_management
from tests.parity.calls import at_base
from tests.parity.generate import draw_call

PATHS = {
    "Range": "/v3/kv/range",
    "Put": "/v3/kv/put",
    "DeleteRange": "/v3/kv/deleterange",
    "Txn": "/v3/kv/txn",
    "Compact": "/v3/kv/compaction",
    "LeaseGrant": "/v3/lease/grant",
    "LeaseRevoke": "/v3/lease/revoke",
    "LeaseKeepAlive": "/v3/lease/keepalive",
    "LeaseTimeToLive": "/v3/lease/timetolive",
    "LeaseLeases": "/v3/lease/leases",
    "MemberList": "/v3/cluster/member/list",
    "MemberAdd": "/v3/cluster/member/add",
    "MemberRemove": "/v3/cluster/member/remove",
    "MemberUpdate": "/v3/cluster/member/update",
    "MemberPromote": "/v3/cluster/member/promote",
    "MoveLeader": "/v3/maintenance/transfer-leadership",
    "Authenticate": "/v3/auth/authenticate",
    "AuthStatus": "/v3/auth/status",
    "UserAdd": "/v3/auth/user/add",
    "UserGet": "/v3/auth/user/get",
    "UserList": "/v3/auth/user/list",
    "UserDelete": "/v3/auth/user/delete",
    "UserChangePassword": "/v3/auth/user/changepw",
    "UserGrantRole": "/v3/auth/user/grant",
    "UserRevokeRole": "/v3/auth/user/revoke",
    "RoleAdd": "/v3/auth/role/add",
    "RoleGet": "/v3/auth/role/get",
    "RoleList": "/v3/auth/role/list",
    "RoleDelete": "/v3/auth/role/delete",
    "RoleGrantPermission": "/v3/auth/role/grant",
    "RoleRevokePermission": "/v3/auth/role/revoke",
}
OLD_PATHS = {
    "/v3/lease/revoke": "/v3/kv/lease/revoke",
    "/v3/lease/timetolive": "/v3/kv/lease/timetolive",
    "/v3/lease/leases": "/v3/kv/lease/leases",
}
NOT_JSON = [
    "",
    "{",
    "}",
    "nope",
    "[1]",
    "5",
    '"x"',
    "true",
    '{"key"',
    '{"key":}',
    "{'key': 1}",
    '{"key": "Zg==",}',
    "[" * 50,
]
_NEVER_EMPTY = ("LeaseGrant", "MemberUpdate")
"""Of these an empty body, which is {}, is no call to compare: the id of the lease would be a random one, and an update
without URLs is refused by etcdz and taken by etcd."""
WRONG_VALUES: dict[int, list[Any]] = {
    FieldDescriptor.TYPE_BYTES: [5, True, {}, "%%%", "Z", "Zg=", "===="],
    FieldDescriptor.TYPE_STRING: [5, True, {}, []],
    FieldDescriptor.TYPE_BOOL: ["true", 1, 0, {}, []],
    FieldDescriptor.TYPE_INT64: [1.5, "x", "", True, {}, [], 1 << 63, "1.5"],
    FieldDescriptor.TYPE_UINT64: [-1, 1.5, "x", {}, [], 1 << 64],
    FieldDescriptor.TYPE_ENUM: [{}, [], True],
    FieldDescriptor.TYPE_MESSAGE: [5, "x", [], True],
}


class JsonCall(NamedTuple):
    """text    the request's body, for both
    spare   another form of it, for etcdz; None: the same
    refused whether etcdz refuses it as no JSON of the request, which etcd does not see then
    """

    path: str
    text: str
    spare: str | None = None
    refused: bool = False

    def __repr__(self) -> str:
        return f"{self.path} {self.spare or self.text}"

    @property
    def own_text(self) -> str:
        """The body for etcdz."""
        return self.text if self.spare is None else self.spare


def draw_json_call(rng: Random, base: int, newest: int) -> JsonCall:
    """As generate.draw_call. base: of the store when the conversation began"""
    name, request = _draw_message(rng, newest)
    path = PATHS[name]
    request = at_base(request, base)
    if rng.random() < 0.06:
        path = OLD_PATHS.get(path, path.replace("/v3/", "/v3beta/"))
    roll = rng.random()
    if roll < 0.04:
        if name == "LeaseKeepAlive":
            return JsonCall(path, "")
        return JsonCall(path, rng.choice(NOT_JSON[name in _NEVER_EMPTY :]))
    style = _Style(rng)
    value = style.write(request)
    if roll < 0.14 and name != "LeaseKeepAlive" and (wrong := _make_wrong(rng, request, value)) is not None:
        return JsonCall(path, json.dumps(wrong))
    if roll < 0.17 and name == "Txn" and (double := _two_of_a_oneof(request, value)) is not None:
        return JsonCall(path, "", json.dumps(double), refused=True)
    if roll < 0.35:
        spare = _Style(rng, is_spare=True).write(request)
        return JsonCall(path, json.dumps(value), json.dumps(spare))
    text = json.dumps(value, indent=rng.choice([None, None, None, 1]))
    return JsonCall(
        path, rng.choice(["", " ", "\n"]) + text + rng.choice(["", "\n", "" if "keepalive" in path else "{}"])
    )


def _draw_message(rng: Random, newest: int) -> tuple[str, Any]:
    roll = rng.random()
    while roll < 0.86:
        call = draw_call(rng, newest)
        if call.name in PATHS:
            return call.name, call.request
    if roll < 0.93:
        return _draw_member_call(rng)
    while True:
        name, request = draw_management(rng)
        if name in PATHS and name != "UserChangePassword" and getattr(request, "role", "") != "root":
            if name == "UserAdd":  # NB: hashing a password takes tenths of a second
                request = pb.AuthUserAddRequest(name=request.name, options={"no_password": True})
            return name, request


def _draw_member_call(rng: Random) -> tuple[str, Any]:
    """None that changes the membership."""
    calls: list[tuple[str, Any]] = [
        ("MemberAdd", pb.MemberAddRequest(peerURLs=[rng.choice(["nope", "http://", "http://a", ""])])),
        ("MemberAdd", pb.MemberAddRequest()),
        ("MemberRemove", pb.MemberRemoveRequest(ID=rng.randrange(9))),
        ("MemberUpdate", pb.MemberUpdateRequest(ID=rng.randrange(9), peerURLs=["http://b:1"])),
        ("MemberPromote", pb.MemberPromoteRequest(ID=rng.randrange(9))),
        ("MoveLeader", pb.MoveLeaderRequest(targetID=rng.randrange(9))),
        ("Authenticate", pb.AuthenticateRequest(name="a", password="x")),
    ]
    return rng.choice(calls)


# ---- forms that mean the same ----


class _Style:
    """One way to write messages. is_spare: as protojson allows beside what 3.5.1 takes"""

    def __init__(self, rng: Random, is_spare: bool = False) -> None:
        self._rng = rng
        self._is_spare = is_spare

    def write(self, message: Any) -> dict[str, Any]:
        """The message as a JSON object."""
        rng = self._rng
        found: dict[str, Any] = {}
        if rng.random() < 0.05:
            found["nonsense"] = rng.choice([1, "x", None, {"key": [1, {}]}, [[]]])
        for field, value in message.ListFields():
            name = field.json_name if rng.random() < 0.4 else field.name
            found[name] = [self._value(field, one) for one in value] if field.is_repeated else self._value(field, value)
        for field in message.DESCRIPTOR.fields:
            if not {field.name, field.json_name} & found.keys() and not field.containing_oneof and rng.random() < 0.05:
                found[field.name] = None
        return found

    def _value(self, field: FieldDescriptor, value: Any) -> Any:
        if field.message_type is not None:
            return self.write(value)
        if field.enum_type is not None:
            return self._enum(field, value)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._bytes(value)
        if field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64):
            if self._is_spare and abs(value) < 1 << 50:
                return self._rng.choice([float(value), f"{value}.0", f"{value}e0"])
            return str(value) if self._rng.random() < 0.5 else value
        return value

    def _enum(self, field: FieldDescriptor, value: int) -> Any:
        kind: Any = field.enum_type
        names = {one.number: one.name for one in kind.values}
        return names[value] if value in names and self._rng.random() < 0.6 else value

    def _bytes(self, value: bytes) -> str:
        text = b64encode(value).decode()
        if self._is_spare:
            text = text.rstrip("=") if self._rng.random() < 0.6 else text
            text = text.replace("+", "-").replace("/", "_")
        return text


# ---- wrong ones ----


def _make_wrong(rng: Random, message: Any, value: dict[str, Any]) -> dict[str, Any] | None:
    """The object with a value that its field does not take. None: it has no field"""
    fields = [field for field in message.DESCRIPTOR.fields if field.type in WRONG_VALUES and not field.is_repeated]
    if not fields:
        return None
    field = rng.choice(fields)
    rest = {name: one for name, one in value.items() if name not in (field.name, field.json_name)}
    return rest | {field.name: rng.choice(WRONG_VALUES[field.type])}


def _two_of_a_oneof(message: Any, value: dict[str, Any]) -> dict[str, Any] | None:
    """None: there is none"""
    if not message.success:
        return None
    ops = value["success"]
    names = {"request_range", "requestRange"} & ops[0].keys()
    return value | {"success": [ops[0] | ({"request_put": {}} if names else {"request_range": {}, "request_put": {}})]}
