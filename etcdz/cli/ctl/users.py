"""auth, user and role."""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import Message

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, BAD_CONNECTION
from etcdz.cli.ctl.passwords import ask_twice, read_word
from etcdz.cli.ctl.session import Session, as_given, said
from etcdz.client import maintenance, methods
from etcdz.client.errors import AuthFailed, EtcdError, RootRoleNotExist
from etcdz.client.keys import prefix_end
from etcdz.client.maintenance import PERMISSIONS
from etcdz.client.methods import Method
from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb


def _arguments(arguments: list[str], number: int, text: str) -> list[str]:
    if len(arguments) != number:
        raise CommandError(text, BAD_ARGUMENTS)
    return arguments


def _change(values: Values, method: Method, request: Message, decode: Callable[[bytes], Any], text: bytes) -> int:
    """Has it done, and says so. decode: of the answer. text: what --write-out=simple says"""
    session = Session(values)
    answer = session.ask(method, request.SerializeToString(), decode, is_bounded=False)
    session.show(session.printer.done(answer, text))
    return 0


# ---- auth ----


def enable(arguments: list[str], values: Values) -> int:
    """A role root is made if there is none."""
    _arguments(arguments, 0, "auth enable command does not accept any arguments")
    with Session(values) as session:
        bounded = session.timeout_s
        try:
            try:
                session.do(maintenance.enable(timeout=bounded))
            except RootRoleNotExist:
                session.do(maintenance.role_add("root", timeout=bounded))
                session.do(maintenance.user_grant_role("root", "root", timeout=bounded))
                session.do(maintenance.enable(timeout=bounded))
        except EtcdError as error:
            status = BAD_CONNECTION if isinstance(error, AuthFailed) else 1
            raise CommandError(said(error), status) from None
    session.show(b"Authentication Enabled\n")
    return 0


def disable(arguments: list[str], values: Values) -> int:
    _arguments(arguments, 0, "auth disable command does not accept any arguments")
    session = Session(values)
    session.ask(methods.AUTH_DISABLE, b"", bytes)
    session.show(b"Authentication Disabled\n")
    return 0


def auth_status(arguments: list[str], values: Values) -> int:
    _arguments(arguments, 0, "auth status command does not accept any arguments")
    session = Session(values)
    answer = session.ask(methods.AUTH_STATUS, b"", pb.AuthStatusResponse.FromString)
    session.show(session.printer.auth_status(answer))
    return 0


# ---- users ----


def user_add(arguments: list[str], values: Values) -> int:
    (given,) = _arguments(arguments, 1, "user add command requires user name as its argument")
    name, password = _new_user(given, values)
    options = authpb.UserAddOptions(no_password=values["no-password"] == "true")
    request = pb.AuthUserAddRequest(name=name, password=password, options=options)
    news = b"User %s created\n" % as_given(name)
    return _change(values, methods.USER_ADD, request, pb.AuthUserAddResponse.FromString, news)


def _new_user(given: str, values: Values) -> tuple[str, str]:
    """(name, password). raises CommandError"""
    if values["no-password"] == "true":
        return given, ""
    if values["new-user-password"]:
        return given, values["new-user-password"]
    name, colon, password = given.partition(":")
    if not colon:
        return given, read_word() if values["interactive"] == "false" else ask_twice(given)
    if not name:
        raise CommandError("empty user name is not allowed", BAD_ARGUMENTS)
    return name, password


def user_delete(arguments: list[str], values: Values) -> int:
    (name,) = _arguments(arguments, 1, "user delete command requires user name as its argument")
    request = pb.AuthUserDeleteRequest(name=name)
    news = b"User %s deleted\n" % as_given(name)
    return _change(values, methods.USER_DELETE, request, pb.AuthUserDeleteResponse.FromString, news)


def user_get(arguments: list[str], values: Values) -> int:
    (name,) = _arguments(arguments, 1, "user get command requires user name as its argument")
    with Session(values) as session:
        body = pb.AuthUserGetRequest(name=name).SerializeToString()
        answer = session.ask(methods.USER_GET, body, pb.AuthUserGetResponse.FromString, is_bounded=False)
        if values["detail"] != "true":
            session.show(session.printer.user(name, answer))
            return 0
        session.show(b"User: %s\n" % as_given(name))
        for role in answer.roles:
            session.show(b"\n" + session.printer.role(role, _role(session, role)))
    return 0


def user_list(arguments: list[str], values: Values) -> int:
    _arguments(arguments, 0, "user list command requires no arguments")
    session = Session(values)
    answer = session.ask(methods.USER_LIST, b"", pb.AuthUserListResponse.FromString, is_bounded=False)
    session.show(session.printer.users(answer))
    return 0


def user_password(arguments: list[str], values: Values) -> int:
    (name,) = _arguments(arguments, 1, "user passwd command requires user name as its argument")
    password = read_word() if values["interactive"] == "false" else ask_twice(name)
    request = pb.AuthUserChangePasswordRequest(name=name, password=password)
    news = b"Password updated\n"
    return _change(values, methods.USER_CHANGE_PASSWORD, request, pb.AuthUserChangePasswordResponse.FromString, news)


def grant_role(arguments: list[str], values: Values) -> int:
    text = "user grant command requires user name and role name as its argument"
    name, role = _arguments(arguments, 2, text)
    request = pb.AuthUserGrantRoleRequest(user=name, role=role)
    news = b"Role %s is granted to user %s\n" % (as_given(role), as_given(name))
    return _change(values, methods.USER_GRANT_ROLE, request, pb.AuthUserGrantRoleResponse.FromString, news)


def revoke_role(arguments: list[str], values: Values) -> int:
    text = "user revoke-role requires user name and role name as its argument"
    name, role = _arguments(arguments, 2, text)
    request = pb.AuthUserRevokeRoleRequest(name=name, role=role)
    news = b"Role %s is revoked from user %s\n" % (as_given(role), as_given(name))
    return _change(values, methods.USER_REVOKE_ROLE, request, pb.AuthUserRevokeRoleResponse.FromString, news)


# ---- roles ----


def role_add(arguments: list[str], values: Values) -> int:
    (name,) = _arguments(arguments, 1, "role add command requires role name as its argument")
    request = pb.AuthRoleAddRequest(name=name)
    news = b"Role %s created\n" % as_given(name)
    return _change(values, methods.ROLE_ADD, request, pb.AuthRoleAddResponse.FromString, news)


def role_delete(arguments: list[str], values: Values) -> int:
    (name,) = _arguments(arguments, 1, "role delete command requires role name as its argument")
    request = pb.AuthRoleDeleteRequest(role=name)
    news = b"Role %s deleted\n" % as_given(name)
    return _change(values, methods.ROLE_DELETE, request, pb.AuthRoleDeleteResponse.FromString, news)


def _role(session: Session, name: str) -> "pb.AuthRoleGetResponse":
    body = pb.AuthRoleGetRequest(role=name).SerializeToString()
    return session.ask(methods.ROLE_GET, body, pb.AuthRoleGetResponse.FromString, is_bounded=False)


def role_get(arguments: list[str], values: Values) -> int:
    (name,) = _arguments(arguments, 1, "role get command requires role name as its argument")
    session = Session(values)
    session.show(session.printer.role(name, _role(session, name)))
    return 0


def role_list(arguments: list[str], values: Values) -> int:
    _arguments(arguments, 0, "role list command requires no arguments")
    session = Session(values)
    answer = session.ask(methods.ROLE_LIST, b"", pb.AuthRoleListResponse.FromString, is_bounded=False)
    session.show(session.printer.roles(answer))
    return 0


def grant_permission(arguments: list[str], values: Values) -> int:
    if len(arguments) < 3:
        text = "role grant command requires role name, permission type, and key [endkey] as its argument"
        raise CommandError(text, BAD_ARGUMENTS)
    name, kind = arguments[:2]
    if kind.upper() not in PERMISSIONS:
        raise CommandError(f"invalid permission type: {kind}", BAD_ARGUMENTS)
    key, end = _span(arguments[2:], values)
    permission = authpb.Permission(permType=PERMISSIONS.index(kind.upper()), key=key, range_end=end)
    request = pb.AuthRoleGrantPermissionRequest(name=name, perm=permission)
    news = b"Role %s updated\n" % as_given(name)
    return _change(values, methods.ROLE_GRANT_PERMISSION, request, pb.AuthRoleGrantPermissionResponse.FromString, news)


def revoke_permission(arguments: list[str], values: Values) -> int:
    if len(arguments) < 2:
        text = "role revoke-permission command requires role name and key [endkey] as its argument"
        raise CommandError(text, BAD_ARGUMENTS)
    name = as_given(arguments[0])
    key, end = _span(arguments[1:], values)
    what = b"key %s" % as_given(arguments[1])
    if end:
        bound = b"<open ended>" if end == _OPEN else b"%s)" % end
        what = b"range [%s, %s" % (as_given(arguments[1]), bound)
    request = pb.AuthRoleRevokePermissionRequest(role=arguments[0], key=key, range_end=end)
    news = b"Permission of %s is revoked from role %s\n" % (what, name)
    decode = pb.AuthRoleRevokePermissionResponse.FromString
    return _change(values, methods.ROLE_REVOKE_PERMISSION, request, decode, news)


_OPEN: Final = b"\0"


def _span(arguments: list[str], values: Values) -> tuple[bytes, bytes]:
    """(key, end) as the arguments, --prefix and --from-key say. raises CommandError"""
    is_prefix, is_from = values["prefix"] == "true", values["from-key"] == "true"
    key = as_given(arguments[0])
    if is_prefix and is_from and (not key or len(arguments) == 1):
        raise CommandError("--from-key and --prefix flags are mutually exclusive", BAD_ARGUMENTS)
    if not key:
        return _OPEN, _OPEN if is_prefix or is_from else b""
    if len(arguments) == 1:
        return key, prefix_end(key) if is_prefix else _OPEN if is_from else b""
    if is_prefix or is_from:
        flag = "--prefix" if is_prefix else "--from-key"
        raise CommandError(f"unexpected endkey argument with {flag} flag", BAD_ARGUMENTS)
    return key, as_given(arguments[1])
