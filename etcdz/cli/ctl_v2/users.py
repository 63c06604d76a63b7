"""user, role, auth."""

from typing import Any

from etcdz.cli.ctl.passwords import ask
from etcdz.cli.ctl_v2.requests import Request
from etcdz.cli.ctl_v2.session import Failed, Session, refuse
from etcdz.cli.ctl_v2.words import Values

_AUTH = "/v2/auth"


def _one(arguments: list[str], text: str) -> str:
    """raises Failed"""
    if len(arguments) != 1:
        refuse(text)
    return arguments[0]


def _user(arguments: list[str]) -> str:
    return _one(arguments, "Please provide a username")


def _role(arguments: list[str]) -> str:
    return _one(arguments, "Please provide a role name")


def _none(arguments: list[str]) -> None:
    if arguments:
        refuse("No arguments accepted")


def _list(arguments: list[str], options: Values, kind: str, word: str) -> int:
    _none(arguments)
    for each in Session(options).json(Request("GET", f"{_AUTH}/{kind}"), 200)[kind] or ():
        print(each[word])
    return 0


# ---- users ----


def user_list(arguments: list[str], values: Values, options: Values) -> int:
    return _list(arguments, options, "users", "user")


def user_add(arguments: list[str], values: Values, options: Values) -> int:
    name, colon, password = _user(arguments).partition(":")
    session = Session(options)
    if not colon:
        password = ask("New password: ")
    session.json(Request("PUT", f"{_AUTH}/users/{name}", object={"user": name, "password": password}), 200, 201)
    print(f"User {name} created")
    return 0


def user_remove(arguments: list[str], values: Values, options: Values) -> int:
    name = _user(arguments)
    Session(options).json(Request("DELETE", f"{_AUTH}/users/{name}"), 200, 201)
    print(f"User {name} removed")
    return 0


def user_password(arguments: list[str], values: Values, options: Values) -> int:
    name = _user(arguments)
    session = Session(options)
    password = ask("New password: ")
    session.json(Request("PUT", f"{_AUTH}/users/{name}", object={"user": name, "password": password}), 200)
    print("Password updated")
    return 0


def user_grant(arguments: list[str], values: Values, options: Values) -> int:
    return _change_roles(arguments, values, options, "grant")


def user_revoke(arguments: list[str], values: Values, options: Values) -> int:
    return _change_roles(arguments, values, options, "revoke")


def _change_roles(arguments: list[str], values: Values, options: Values, how: str) -> int:
    roles = values["roles"].splitlines()
    if not roles:
        refuse("No roles specified; please use `--roles`")
    name = _user(arguments)
    Session(options).json(Request("PUT", f"{_AUTH}/users/{name}", object={"user": name, how: roles}), 200)
    print(f"User {name} updated")
    return 0


def user_get(arguments: list[str], values: Values, options: Values) -> int:
    found = Session(options).json(Request("GET", f"{_AUTH}/users/{_user(arguments)}"), 200)
    roles = [role["role"] if isinstance(role, dict) else role for role in found.get("roles") or ()]
    print(f"User: {found['user']}\nRoles: {' ' if roles else ''}{' '.join(roles)}")
    return 0


# ---- roles ----


def role_list(arguments: list[str], values: Values, options: Values) -> int:
    return _list(arguments, options, "roles", "role")


def role_add(arguments: list[str], values: Values, options: Values) -> int:
    name = _role(arguments)
    session = Session(options)
    if _is_there(session, name):
        refuse(f"Role {name} already exists")
    session.json(Request("PUT", f"{_AUTH}/roles/{name}", object=_changed(name)), 200, 201)
    print(f"Role {name} created")
    return 0


def _is_there(session: Session, role: str) -> bool:
    try:
        session.json(Request("GET", f"{_AUTH}/roles/{role}"), 200)
    except Failed:
        return False
    return True


def role_remove(arguments: list[str], values: Values, options: Values) -> int:
    name = _role(arguments)
    Session(options).json(Request("DELETE", f"{_AUTH}/roles/{name}"), 200, 201)
    print(f"Role {name} removed")
    return 0


def role_get(arguments: list[str], values: Values, options: Values) -> int:
    found = Session(options).json(Request("GET", f"{_AUTH}/roles/{_role(arguments)}"), 200)
    kv = found["permissions"]["kv"]
    print("\n".join([f"Role: {found['role']}", "KV Read:", *(f"\t{path}" for path in kv["read"] or ())]))
    print("\n".join(["KV Write:", *(f"\t{path}" for path in kv["write"] or ())]))
    return 0


def role_grant(arguments: list[str], values: Values, options: Values) -> int:
    return _change_paths(arguments, values, options, "grant", "granted")


def role_revoke(arguments: list[str], values: Values, options: Values) -> int:
    return _change_paths(arguments, values, options, "revoke", "revoked")


def _change_paths(arguments: list[str], values: Values, options: Values, how: str, done: str) -> int:
    path = values["path"]
    if not path:
        refuse("No path specified; please use `--path`")
    if path != (clean := _canonical(path)):
        refuse(f"Not canonical path; please use `--path={clean}`")
    kinds = [kind for kind in ("read", "write", "readwrite") if values[kind] == "true"]
    if len(kinds) != 1:
        refuse("Please specify exactly one of --read, --write or --readwrite")
    name = _role(arguments)
    session = Session(options)
    before = session.json(Request("GET", f"{_AUTH}/roles/{name}"), 200)
    paths = {kind: [path] if kind in kinds[0] else None for kind in ("read", "write")}
    after = session.json(Request("PUT", f"{_AUTH}/roles/{name}", object=_changed(name, how, paths)), 200)
    if after == before:
        print(f"Role unchanged; already {done}", end="")
    print(f"Role {name} updated")
    return 0


def _changed(name: str, how: str = "", paths: Any = None) -> dict[str, Any]:
    role = {"role": name, "permissions": {"kv": {"read": None, "write": None}}}
    return role | ({how: {"kv": paths}} if how else {})


def _canonical(path: str) -> str:
    import posixpath

    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


# ---- auth ----


def enable(arguments: list[str], values: Values, options: Values) -> int:
    _none(arguments)
    Session(options).json(Request("PUT", f"{_AUTH}/enable"), 200, 201)
    print("Authentication Enabled")
    return 0


def disable(arguments: list[str], values: Values, options: Values) -> int:
    _none(arguments)
    Session(options).json(Request("DELETE", f"{_AUTH}/enable"), 200, 201)
    print("Authentication Disabled")
    return 0
