"""Users and roles of the v2 API: what is stored of them, and what a change makes of it.

    /2/enabled         true or false
    /2/users/<name>    {"user":"u","password":"$2a$10$...","roles":["r"]}
    /2/roles/<name>    {"role":"r","permissions":{"kv":{"read":["/a*"],"write":["/a"]}}}

A list that nobody has set is None, and null in JSON: a change that makes an empty one of it is a change.
Source: etcd 3.5 v2auth, texts included.
"""

from typing import Any, Final, NamedTuple

from etcdz.v2.go_json import encode_text
from etcdz.v2.go_values import TEXT, TEXTS, Optional, decode

ROOT: Final = "root"
"""Name of the user and of the role that may everything."""
GUEST: Final = "guest"
"""Name of the role of whoever gives no name."""
_CONFLICT: Final = 409

Texts = list[str] | None

_PERMISSIONS: Final[dict[str, Any]] = {"kv": {"read": TEXTS, "write": TEXTS}}
_ROLE: Final[dict[str, Any]] = {
    "role": TEXT,
    "permissions": _PERMISSIONS,
    "grant": Optional(_PERMISSIONS),
    "revoke": Optional(_PERMISSIONS),
}
_USER: Final[dict[str, Any]] = {"user": TEXT, "password": TEXT, "roles": TEXTS, "grant": TEXTS, "revoke": TEXTS}


class Refused(Exception):
    """What is asked is not done. status: of HTTP"""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def auth_refused(status: int, message: str) -> Refused:
    """As etcd's v2auth words its own."""
    return Refused(status, f"auth: {message}")


class Permissions(NamedTuple):
    """Patterns of keys: /a is that key, /a* all that begin so."""

    read: Texts = None
    write: Texts = None

    @classmethod
    def of(cls, fields: dict[str, Any] | None) -> "Permissions | None":
        """fields: of _PERMISSIONS, or None"""
        return None if fields is None else cls(**fields["kv"])

    @property
    def is_empty(self) -> bool:
        return not self.read and not self.write

    def encode(self) -> str:
        return f'{{"kv":{{"read":{_encode_list(self.read)},"write":{_encode_list(self.write)}}}}}'

    def granted(self, more: "Permissions") -> "Permissions":
        """raises Refused: it has one of them already"""
        return Permissions(
            _sum(self.read, more.read, "Granting duplicate read permission {}"),
            _sum(self.write, more.write, "Granting duplicate write permission {}"),
        )

    def revoked(self, less: "Permissions") -> "Permissions":
        return Permissions(
            sorted({*(self.read or ())} - {*(less.read or ())}), sorted({*(self.write or ())} - {*(less.write or ())})
        )

    def covers(self, key: str, is_write: bool, is_recursive: bool) -> bool:
        """Whether a pattern is of this key; is_recursive: of all below it as well"""
        for pattern in (self.write if is_write else self.read) or ():
            if pattern.endswith("*"):
                if key.startswith(pattern[:-1]):
                    return True
            elif pattern and key == pattern and not is_recursive:
                return True
        return False


EVERYTHING: Final = Permissions(["/*"], ["/*"])


class Role(NamedTuple):
    """grant, revoke: what a request says besides"""

    name: str
    permissions: Permissions = Permissions()
    grant: Permissions | None = None
    revoke: Permissions | None = None

    @classmethod
    def decode(cls, text: str) -> "Role":
        """raises ValueError"""
        fields = decode(text, _ROLE)
        permissions = Permissions.of(fields["permissions"]) or Permissions()
        return cls(fields["role"], permissions, Permissions.of(fields["grant"]), Permissions.of(fields["revoke"]))

    def encode(self) -> str:
        more = "".join(
            f',"{name}":{each.encode()}' for name, each in (("grant", self.grant), ("revoke", self.revoke)) if each
        )
        return f'{{"role":{encode_text(self.name)},"permissions":{self.permissions.encode()}{more}}}'

    def merged(self, change: "Role") -> "Role":
        """raises Refused"""
        if self.name != change.name:
            raise auth_refused(_CONFLICT, f"Merging role with conflicting names: {self.name} {change.name}")
        permissions = self.permissions
        if change.grant is not None:
            permissions = permissions.granted(change.grant)
        if change.revoke is not None:
            permissions = permissions.revoked(change.revoke)
        return Role(self.name, permissions)

    def covers(self, key: str, is_write: bool, is_recursive: bool) -> bool:
        return self.name == ROOT or self.permissions.covers(key, is_write, is_recursive)


ROOT_ROLE: Final = Role(ROOT, EVERYTHING)
GUEST_ROLE: Final = Role(GUEST, EVERYTHING)


class User(NamedTuple):
    """password: in a request; stored, and as `merged` takes and gives it: its hash. grant, revoke: of a request"""

    name: str
    password: str = ""
    roles: Texts = None
    grant: Texts = None
    revoke: Texts = None

    @classmethod
    def decode(cls, text: str) -> "User":
        """raises ValueError"""
        fields = decode(text, _USER)
        return cls(fields["user"], fields["password"], fields["roles"], fields["grant"], fields["revoke"])

    def encode(self) -> str:
        password = f',"password":{encode_text(self.password)}' if self.password else ""
        more = "".join(
            f',"{name}":{_encode_list(each)}' for name, each in (("grant", self.grant), ("revoke", self.revoke)) if each
        )
        return f'{{"user":{encode_text(self.name)}{password},"roles":{_encode_list(self.roles)}{more}}}'

    def with_root_role(self) -> "User":
        """The user root has the role root, whatever is said of it."""
        if self.name != ROOT or ROOT in (self.roles or ()):
            return self
        return self._replace(roles=[*(self.roles or ()), ROOT])

    def merged(self, change: "User", hashed: str) -> "User":
        """hashed: of the new password; "": it stays. raises Refused"""
        if self.name != change.name:
            text = f"Merging user data with conflicting usernames: {self.name} {change.name}"
            raise auth_refused(_CONFLICT, text)
        roles = set(_sum(self.roles, change.grant, f"Granting duplicate role {{}} for user {change.name}"))
        for role in change.revoke or ():
            if role not in roles:
                raise auth_refused(_CONFLICT, f"Revoking ungranted role {role} for user {change.name}")
            roles.remove(role)
        return User(self.name, hashed or self.password, sorted(roles))


def _sum(before: Texts, more: Texts, text: str) -> list[str]:
    """text: of the error, with a place for what is there already"""
    found = set(before or ())
    for each in more or ():
        if each in found:
            raise auth_refused(_CONFLICT, text.replace("{}", each, 1))
        found.add(each)
    return sorted(found)


def _encode_list(texts: Texts) -> str:
    return "null" if texts is None else f"[{','.join(map(encode_text, texts))}]"
