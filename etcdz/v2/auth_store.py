"""Users and roles of the v2 API in the v2 store: what etcd's members ask of it, in the same order.

Flows: a flow yields a Step and is sent what came of it, so that whoever runs it decides how a step waits.

    Get, Put, Delete    -> Found, or a V2Error
    Hash                -> the hash, as text
    Check               -> whether it is the password

The nodes are made with the first write, each by an entry of its own, so that members of etcd and these make the same
store out of the same calls. NB: nothing but names of one part is looked for. etcd joins what it is told to the path:
there a key of a client is a user, whose name is ../../1/key.
Source: etcd 3.5 v2auth.
"""

from collections.abc import Generator
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from etcdz.v2 import errors
from etcdz.v2.auth_records import GUEST, GUEST_ROLE, ROOT, ROOT_ROLE, Refused, Role, User, auth_refused
from etcdz.v2.errors import V2Error
from etcdz.v2.store import AUTH

ENABLED: Final = f"{AUTH}/enabled"
_USERS: Final = f"{AUTH}/users"
_ROLES: Final = f"{AUTH}/roles"
_Record = TypeVar("_Record", User, Role)
_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _INTERNAL = 400, 403, 404, 409, 500


class Get(NamedTuple):
    """is_quorum: by an entry of the log, as it is when that is applied"""

    path: str
    is_quorum: bool = False


class Put(NamedTuple):
    """must_exist: else it must not"""

    path: str
    value: str
    must_exist: bool
    is_dir: bool = False


class Delete(NamedTuple):
    path: str


class Hash(NamedTuple):
    password: str


class Check(NamedTuple):
    """hashed: "": there is no such user; looked at for as long, and wrong"""

    name: str
    password: bytes
    hashed: str


class Found(NamedTuple):
    """value: of a file, None: it is a directory, or gone. names: of what is in a directory, by name"""

    value: str | None
    names: list[str]


Step = Get | Put | Delete | Hash | Check


class NodeRefused(Exception):
    """The store has refused what is usually done; clients are told its own error."""

    def __init__(self, error: V2Error) -> None:
        super().__init__(error.message)
        self.error = error


class Log(Protocol):
    def info(self, msg: str, /, **fields: object) -> None: ...
    def warn(self, msg: str, /, **fields: object) -> None: ...


class AuthStore:
    """Of one listener."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._has_nodes = False

    # ---- whether it is on ----

    def is_enabled(self) -> Generator[Step, Any, bool]:
        """As this member knows. raises NodeRefused: no answer, which is not taken for no, as etcd does"""
        found = yield Get(ENABLED)
        if isinstance(found, V2Error):
            if found.code == errors.KEY_NOT_FOUND:
                return False
            raise NodeRefused(found)
        return bool(found.value == "true")

    def enable(self) -> Generator[Step, Any, None]:
        if (yield from self.is_enabled()):
            raise auth_refused(_CONFLICT, "already enabled")
        if (yield from self._user(ROOT, is_quorum=True)) is None:
            raise auth_refused(_CONFLICT, "No root user available, please create one")
        if (yield from self._role(GUEST, is_quorum=True)) is None:
            self._log.info("no guest role access found; creating default", role_name=GUEST)
            yield from self.create_role(GUEST_ROLE)
        yield from self._write(Put(ENABLED, "true", must_exist=True))
        self._log.info("enabled auth")

    def disable(self) -> Generator[Step, Any, None]:
        if not (yield from self.is_enabled()):
            raise auth_refused(_CONFLICT, "already disabled")
        yield from self._write(Put(ENABLED, "false", must_exist=True))
        self._log.info("disabled auth")

    # ---- users ----

    def user_names(self) -> Generator[Step, Any, list[str]]:
        found = yield from self._listed(_USERS)
        return sorted(found)

    def user(self, name: str) -> Generator[Step, Any, User]:
        """raises Refused: there is none"""
        user = yield from self._user(name, is_quorum=False)
        if user is None:
            raise auth_refused(_NOT_FOUND, f"User {name} does not exist.")
        return user

    def find_user(self, name: str) -> Generator[Step, Any, User | None]:
        """As this member knows. return None: there is none, or what is stored is none"""
        try:
            return (yield from self._user(name, is_quorum=False))
        except Refused:
            return None

    def put_user(self, user: User) -> Generator[Step, Any, tuple[User, bool]]:
        """Makes or changes one. return it, and whether it is new"""
        if (yield from self._user(user.name, is_quorum=True)) is not None:
            return (yield from self.update_user(user)), False
        return (yield from self.create_user(user)), True

    def create_user(self, user: User) -> Generator[Step, Any, User]:
        user = user.with_root_role()
        if not user.password:
            raise auth_refused(_BAD_REQUEST, f"Cannot create user {user.name} with an empty password")
        user = user._replace(password=(yield Hash(user.password)))
        taken = auth_refused(_CONFLICT, f"User {user.name} already exists.")
        yield from self._write(
            Put(f"{_USERS}/{user.name}", user.encode(), must_exist=False), {errors.NODE_EXIST: taken}
        )
        self._log.info("created a user", user_name=user.name)
        return user

    def update_user(self, change: User) -> Generator[Step, Any, User]:
        old = yield from self._user(change.name, is_quorum=True)
        if old is None:
            # NB: etcd has a text for this that it never gives.
            raise auth_refused(_NOT_FOUND, f"User {change.name} does not exist.")
        hashed = (yield Hash(change.password)) if change.password else ""
        new = old.merged(change, hashed)
        if new == old:
            raise auth_refused(_BAD_REQUEST, "User not updated. Use grant/revoke/password to update the user.")
        yield from self._write(Put(f"{_USERS}/{change.name}", new.encode(), must_exist=True))
        self._log.info("updated a user", user_name=change.name)
        return new

    def delete_user(self, name: str) -> Generator[Step, Any, None]:
        if (yield from self.is_enabled()) and name == ROOT:
            raise auth_refused(_FORBIDDEN, "Cannot delete root user while auth is enabled.")
        missing = auth_refused(_NOT_FOUND, f"User {name} does not exist")
        yield from self._write(Delete(f"{_USERS}/{name}"), {errors.KEY_NOT_FOUND: missing})
        self._log.info("deleted a user", user_name=name)

    # ---- roles ----

    def role_names(self) -> Generator[Step, Any, list[str]]:
        found = yield from self._listed(_ROLES)
        return sorted([ROOT, *found])

    def role(self, name: str) -> Generator[Step, Any, Role]:
        """raises Refused: there is none"""
        role = yield from self._role(name, is_quorum=False)
        if role is None:
            raise auth_refused(_NOT_FOUND, f"Role {name} does not exist.")
        return role

    def find_role(self, name: str) -> Generator[Step, Any, Role | None]:
        """As find_user."""
        try:
            return (yield from self._role(name, is_quorum=False))
        except Refused:
            return None

    def create_role(self, role: Role) -> Generator[Step, Any, None]:
        _check_changeable(role.name)
        taken = auth_refused(_CONFLICT, f"Role {role.name} already exists.")
        yield from self._write(
            Put(f"{_ROLES}/{role.name}", role.encode(), must_exist=False), {errors.NODE_EXIST: taken}
        )
        self._log.info("created a new role", role_name=role.name)

    def update_role(self, change: Role) -> Generator[Step, Any, Role]:
        _check_changeable(change.name)
        old = yield from self._role(change.name, is_quorum=True)
        if old is None:
            raise auth_refused(_NOT_FOUND, f"Role {change.name} does not exist.")  # NB: as of update_user
        new = old.merged(change)
        if new == old:
            raise auth_refused(_BAD_REQUEST, "Role not updated. Use grant/revoke to update the role.")
        yield from self._write(Put(f"{_ROLES}/{change.name}", new.encode(), must_exist=True))
        self._log.info("updated a new role", role_name=change.name)
        return new

    def delete_role(self, name: str) -> Generator[Step, Any, None]:
        _check_changeable(name)
        missing = auth_refused(_NOT_FOUND, f"Role {name} doesn't exist.")
        yield from self._write(Delete(f"{_ROLES}/{name}"), {errors.KEY_NOT_FOUND: missing})
        self._log.info("delete a new role", role_name=name)

    # ---- nodes ----

    def _user(self, name: str, is_quorum: bool) -> Generator[Step, Any, User | None]:
        value = yield from self._value(_USERS, name, is_quorum)
        return None if value is None else _decoded(User, value).with_root_role()

    def _role(self, name: str, is_quorum: bool) -> Generator[Step, Any, Role | None]:
        if name == ROOT:
            return ROOT_ROLE
        value = yield from self._value(_ROLES, name, is_quorum)
        return None if value is None else _decoded(Role, value)

    def _value(self, directory: str, name: str, is_quorum: bool) -> Generator[Step, Any, str | None]:
        if name in ("", ".", "..") or "/" in name:
            return None
        found = yield Get(f"{directory}/{name}", is_quorum)
        if not isinstance(found, V2Error):
            return found.value or ""
        if found.code == errors.KEY_NOT_FOUND:
            return None
        raise NodeRefused(found)

    def _listed(self, directory: str) -> Generator[Step, Any, list[str]]:
        found = yield Get(directory)
        if not isinstance(found, V2Error):
            return list(found.names)
        if found.code == errors.KEY_NOT_FOUND:
            return []
        raise NodeRefused(found)

    def _write(self, step: Put | Delete, expected: dict[int, Refused] | None = None) -> Generator[Step, Any, None]:
        """expected: what is raised for the store's error of this code"""
        yield from self._make_nodes()
        found = yield step
        if isinstance(found, V2Error):
            raise (expected or {}).get(found.code) or NodeRefused(found)

    def _make_nodes(self) -> Generator[Step, Any, None]:
        if self._has_nodes:
            return
        directories = [Put(path, "", False, is_dir=True) for path in (AUTH, f"{_USERS}/", f"{_ROLES}/")]
        for step in [*directories, Put(ENABLED, "false", must_exist=False)]:
            found = yield step
            if isinstance(found, V2Error) and found.code != errors.NODE_EXIST:
                raise NodeRefused(found)
        self._has_nodes = True


def _check_changeable(role: str) -> None:
    if role == ROOT:
        raise auth_refused(_FORBIDDEN, f"Cannot modify role {role}: is root role.")


def _decoded(kind: type[_Record], value: str) -> _Record:
    """raises Refused: it is none, which only members of etcd or a damaged store could have"""
    try:
        return kind.decode(value)
    except ValueError as error:
        raise Refused(_INTERNAL, "Internal Server Error") from error
