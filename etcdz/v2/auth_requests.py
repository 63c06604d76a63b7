"""/v2/auth: what a client asks of users, roles and whether they are in force, and what it is answered.

    /v2/auth/enable          GET PUT DELETE
    /v2/auth/users[/name]    GET, with a name PUT and DELETE as well
    /v2/auth/roles[/name]    the same

Source: etcd 3.5 v2http client_auth: the order of its checks, its texts and its statuses.
"""

import posixpath
from collections.abc import Generator
from typing import Any, Final, NamedTuple

from etcdz.v2.answers import JSON, HttpAnswer, error_answer, message_answer
from etcdz.v2.auth_access import READS, AuthAccess, Credentials
from etcdz.v2.auth_records import Refused, Role, User
from etcdz.v2.auth_store import AuthStore, NodeRefused, Step
from etcdz.v2.form import BadForm, Form
from etcdz.v2.go_json import encode_text

PREFIX: Final = "/v2/auth"
ENABLE: Final = "/enable"
_USERS, _ROLES = "users", "roles"
_COLLECTION: Final = ("GET",)
_ONE: Final = ("GET", "PUT", "DELETE")
_TWO_PARTS, _THREE_PARTS = 2, 3
_OK, _CREATED, _BAD_REQUEST, _UNAUTHORIZED, _NOT_ALLOWED, _INTERNAL = 200, 201, 400, 401, 405, 500

Answering = Generator[Step, Any, HttpAnswer]


class AuthRequest(NamedTuple):
    """path: unescaped, PREFIX and all. query: as it came"""

    method: str
    path: str
    query: bytes
    body: bytes
    by: Credentials


def no_auth() -> HttpAnswer:
    return message_answer(_UNAUTHORIZED, "Insufficient credentials")


class AuthRequests:
    """Of one listener."""

    def __init__(self, store: AuthStore, access: AuthAccess) -> None:
        self._store = store
        self._access = access

    def answer(self, request: AuthRequest) -> Answering:
        try:
            return (yield from self._answer(request))
        except Refused as refused:
            return message_answer(refused.status, refused.message)
        except NodeRefused as refused:
            return error_answer(refused.error, prefix="")

    def _answer(self, request: AuthRequest) -> Answering:
        below = posixpath.normpath(request.path[len(PREFIX) :])
        if below == ENABLE:
            return (yield from self._enable(request))
        parts = below.split("/")
        name = parts[2] if len(parts) == _THREE_PARTS else ""
        if len(parts) not in (_TWO_PARTS, _THREE_PARTS):
            raise Refused(_BAD_REQUEST, "Invalid path")
        methods = _ONE if name else _COLLECTION
        if request.method not in methods:
            return method_refused(methods)
        if not (yield from self._access.is_root(request.by)):
            return no_auth()
        if parts[1] == _USERS:
            return (yield from (self._user(request, name) if name else self._users(request)))
        return (yield from (self._role(request, name) if name else self._roles(request)))

    def _enable(self, request: AuthRequest) -> Answering:
        if request.method not in _ONE:
            return method_refused(_ONE)
        if request.method not in READS and not (yield from self._access.is_root(request.by)):
            return no_auth()
        if request.method == "GET":
            is_enabled = yield from self._store.is_enabled()
            return _answer(f'{{"enabled":{"true" if is_enabled else "false"}}}')
        yield from (self._store.enable() if request.method == "PUT" else self._store.disable())
        return _EMPTY

    # ---- users ----

    def _users(self, request: AuthRequest) -> Answering:
        names = yield from self._store.user_names()
        _check_query(request)
        shown = []
        for name in names:
            user = yield from self._store.user(name)
            shown.append((yield from self._shown(user, is_strict=False)))
        return _answer(f'{{"users":{_list(shown) if shown else "null"}}}')

    def _user(self, request: AuthRequest, name: str) -> Answering:
        if request.method == "DELETE":
            yield from self._store.delete_user(name)
            return _EMPTY
        if request.method == "GET":
            user = yield from self._store.user(name)
            _check_query(request)
            return _answer((yield from self._shown(user, is_strict=True)))
        asked = _decoded(User, request.body)
        if asked.name != name:
            raise Refused(_BAD_REQUEST, "User JSON name does not match the name in the URL")
        made, is_new = yield from self._put_user(asked)
        return _answer(made._replace(password="").encode(), _CREATED if is_new else _OK)

    def _put_user(self, asked: User) -> Generator[Step, Any, tuple[User, bool]]:
        """return the user, and whether it is told that it is new: not to who says roles, as in etcd"""
        if asked.grant or asked.revoke:
            if asked.roles:
                raise Refused(_BAD_REQUEST, "User JSON contains both roles and grant/revoke")
            return (yield from self._store.update_user(asked)), False
        if asked.roles:
            return (yield from self._store.create_user(asked)), False
        return (yield from self._store.put_user(asked))

    def _shown(self, user: User, is_strict: bool) -> Generator[Step, Any, str]:
        """With what its roles may. is_strict: all of them must be there"""
        roles = []
        for name in user.roles or ():
            role = yield from (self._store.role(name) if is_strict else self._store.find_role(name))
            if role is not None:
                roles.append(role.encode())
        more = f',"roles":{_list(roles)}' if roles else ""
        return f'{{"user":{encode_text(user.name)}{more}}}'

    # ---- roles ----

    def _roles(self, request: AuthRequest) -> Answering:
        names = yield from self._store.role_names()
        _check_query(request)
        shown = []
        for name in names:
            role = yield from self._store.role(name)
            shown.append(role.encode())
        return _answer(f'{{"roles":{_list(shown)}}}')

    def _role(self, request: AuthRequest, name: str) -> Answering:
        if request.method == "DELETE":
            yield from self._store.delete_role(name)
            return _EMPTY
        if request.method == "GET":
            role = yield from self._store.role(name)
            return _answer(role.encode())
        asked = _decoded(Role, request.body)
        if asked.name != name:
            raise Refused(_BAD_REQUEST, "Role JSON name does not match the name in the URL")
        if (asked.grant is None or asked.grant.is_empty) and (asked.revoke is None or asked.revoke.is_empty):
            yield from self._store.create_role(asked)
            return _answer(asked.encode(), _CREATED)
        if not asked.permissions.is_empty:
            raise Refused(_BAD_REQUEST, "Role JSON contains both permissions and grant/revoke")
        return _answer((yield from self._store.update_role(asked)).encode())


_EMPTY: Final = HttpAnswer(_OK, [("Content-Type", JSON)], b"")


def _answer(text: str, status: int = _OK) -> HttpAnswer:
    return HttpAnswer(status, [("Content-Type", JSON)], text.encode() + b"\n")


def method_refused(methods: tuple[str, ...]) -> HttpAnswer:
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Allow", ",".join(methods)),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return HttpAnswer(_NOT_ALLOWED, headers, b"Method Not Allowed\n")


def _list(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def _decoded(kind: Any, body: bytes) -> Any:
    """kind: User or Role"""
    try:
        return kind.decode(body.decode("utf-8", "replace"))
    except ValueError as error:
        raise Refused(_BAD_REQUEST, "Invalid JSON in request body.") from error


def _check_query(request: AuthRequest) -> None:
    try:
        Form(request.query)
    except BadForm as error:
        raise Refused(_INTERNAL, "Internal Server Error") from error
