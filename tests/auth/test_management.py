"""What each management call does: errors, rows, revisions."""

from typing import Any

import pytest

from etcdz.api import errors
from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import decode_text, encode_text
from etcdz.store import buckets
from tests.auth.member import READ, READWRITE, WRITE, Member

ON, OFF = ("auth_enable", pb.AuthEnableRequest()), ("auth_disable", pb.AuthDisableRequest())


def grant(user: str, role: str) -> tuple[str, Any]:
    return "auth_user_grant_role", pb.AuthUserGrantRoleRequest(user=user, role=role)


def revoke(user: str, role: str) -> tuple[str, Any]:
    return "auth_user_revoke_role", pb.AuthUserRevokeRoleRequest(name=user, role=role)


def user(name: str, **options: Any) -> tuple[str, Any]:
    return "auth_user_add", pb.AuthUserAddRequest(name=name, **options)


def role(name: str) -> tuple[str, Any]:
    return "auth_role_add", pb.AuthRoleAddRequest(name=name)


def allow(name: str, kind: int, key: bytes, end: bytes = b"") -> tuple[str, Any]:
    granted = authpb.Permission(permType=kind, key=key, range_end=end)
    return "auth_role_grant_permission", pb.AuthRoleGrantPermissionRequest(name=name, perm=granted)


def forbid(name: str, key: bytes, end: bytes = b"") -> tuple[str, Any]:
    return "auth_role_revoke_permission", pb.AuthRoleRevokePermissionRequest(role=name, key=key, range_end=end)


def delete_user(name: str) -> tuple[str, Any]:
    return "auth_user_delete", pb.AuthUserDeleteRequest(name=name)


def delete_role(name: str) -> tuple[str, Any]:
    return "auth_role_delete", pb.AuthRoleDeleteRequest(role=name)


def change_password(name: str, hashed: str) -> tuple[str, Any]:
    return "auth_user_change_password", pb.AuthUserChangePasswordRequest(name=name, hashedPassword=hashed)


CONVERSATION: list[tuple[tuple[str, Any], errors.EtcdError | None, int]] = [
    # (call, its error, revision after it)
    (ON, errors.ROOT_USER_NOT_EXIST, 1),
    (OFF, None, 1),
    (user("", hashedPassword="eA=="), errors.USER_EMPTY, 1),
    (user("root", hashedPassword="eA=="), None, 2),
    (user("root", hashedPassword="eA=="), errors.USER_ALREADY_EXIST, 2),
    (user("bad", hashedPassword="no base64!"), errors.NO_PASSWORD_USER, 2),
    (ON, errors.ROOT_ROLE_NOT_EXIST, 2),
    (grant("root", "root"), None, 3),
    (grant("root", "root"), None, 3),
    (("auth_role_get", pb.AuthRoleGetRequest(role="root")), errors.ROLE_NOT_FOUND, 3),
    (role("root"), None, 4),
    (role(""), errors.ROLE_EMPTY, 4),
    (role("r"), None, 5),
    (role("r"), errors.ROLE_ALREADY_EXIST, 5),
    (("auth_role_grant_permission", pb.AuthRoleGrantPermissionRequest(name="r")), errors.PERMISSION_NOT_GIVEN, 5),
    (allow("none", READ, b"a"), errors.ROLE_NOT_FOUND, 5),
    (allow("r", READ, b"a"), None, 6),
    (allow("r", READ, b"a"), None, 7),
    (forbid("r", b"a", b"b"), errors.PERMISSION_NOT_GRANTED, 7),
    (forbid("none", b"a"), errors.ROLE_NOT_FOUND, 7),
    (forbid("r", b"a"), None, 8),
    (user("u", options=authpb.UserAddOptions(no_password=True)), None, 9),
    (grant("nobody", "r"), errors.USER_NOT_FOUND, 9),
    (grant("u", "none"), errors.ROLE_NOT_FOUND, 9),
    (grant("u", "r"), None, 10),
    (revoke("nobody", "r"), errors.USER_NOT_FOUND, 10),
    (revoke("u", "root"), errors.ROLE_NOT_GRANTED, 10),
    (change_password("nobody", "eA=="), errors.USER_NOT_FOUND, 10),
    (change_password("u", "eA=="), None, 11),
    (ON, None, 11),
    (ON, None, 11),
    (delete_user("root"), errors.INVALID_AUTH_MGMT, 11),
    (delete_role("root"), errors.INVALID_AUTH_MGMT, 11),
    (revoke("root", "root"), errors.INVALID_AUTH_MGMT, 11),
    (delete_role("none"), errors.ROLE_NOT_FOUND, 11),
    (delete_role("r"), None, 12),
    (delete_user("nobody"), errors.USER_NOT_FOUND, 12),
    (delete_user("u"), None, 13),
    (OFF, None, 14),
    (delete_user("root"), None, 15),
]


def test_each_call_has_etcds_errors_and_counts_in_the_revision_if_it_changes_something() -> None:
    member = Member()
    for (kind, request), error, revision in CONVERSATION:
        found = member.ask(member.now("root"), kind, request)
        assert (found if isinstance(found, str) else None) == (error.text if error else None), (kind, request)
        assert member.access.revision == revision, (kind, request)
    assert member.mvcc.state.revision == 1, "no key has changed"


def test_each_change_is_logged_as_by_etcd() -> None:
    """Against 3.5.1: tests/parity/test_auth.py."""
    member = Member()
    for (kind, request), _, _ in CONVERSATION:
        member.ask(member.now("root"), kind, request)
    u = {"user_name": "u"}
    root = {"user_name": "root", "user_roles": ["root"]}
    permission = {"user_name": "r", "permission_name": "READ"}
    assert member.log == [
        ("info", "added a user", {"user_name": "root"}),
        ("info", "granted a role to a user", {**root, "added_role_name": "root"}),
        ("warn", "ignored grant role request to a user", {**root, "duplicate_role_name": "root"}),
        ("info", "created a role", {"role_name": "root"}),
        ("info", "created a role", {"role_name": "r"}),
        ("info", "granted/updated a permission to a user", permission),
        ("info", "granted/updated a permission to a user", permission),
        ("info", "revoked a permission on range", {"role_name": "r", "key": "a", "range_end": ""}),
        ("info", "added a user", u),
        ("info", "granted a role to a user", {**u, "user_roles": ["r"], "added_role_name": "r"}),
        ("info", "changed a password of a user", {**u, "user_roles": ["r"]}),
        ("info", "enabled authentication", {}),
        ("info", "authentication is already enabled; ignored auth enable request", {}),
        ("error", "cannot delete 'root' user", {"user_name": "root"}),
        ("error", "cannot delete 'root' role", {"role_name": "root"}),
        ("error", "'root' user cannot revoke 'root' role", {"user_name": "root", "role_name": "root"}),
        ("info", "deleted a role", {"role_name": "r"}),
        ("info", "deleted a user", {**u, "user_roles": []}),
        ("info", "disabled authentication", {}),
        ("info", "deleted a user", root),
    ]


def test_a_revoked_role_is_logged_with_what_is_left() -> None:
    member = Member()
    member.add_role("r")
    member.add_role("s")
    member.add_user("u", "r", "s")
    member.root(*revoke("u", "r"))
    told = {"old_user_roles": ["r", "s"], "new_user_roles": ["s"], "revoked_role_name": "r"}
    assert member.log[-1] == ("info", "revoked a role from a user", {"user_name": "u", **told})


def rows(member: Member, bucket: bytes) -> dict[bytes, bytes]:
    member.commit()
    return {name[len(bucket) :]: value for name, value in member.store.iterate(bucket, buckets.bucket_end(bucket))}


def test_rows_are_those_of_etcd() -> None:
    """Source: read out of the database of an etcd 3.5.1."""
    member = Member()
    member.enable()
    member.add_role("r", (READWRITE, b"b", b"c"), (READ, b"a", b""))
    member.add_user("u", "r")
    member.root(*user("open", options=authpb.UserAddOptions(no_password=True)))
    assert rows(member, buckets.AUTH) == {b"authEnabled": b"\1", b"authRevision": bytes(7) + b"\x09"}
    assert rows(member, buckets.AUTH_USERS) == {
        b"root": b"\x0a\x04root\x12\x04pass\x1a\x04root\x22\0",
        b"u": b"\x0a\x01u\x12\x04pass\x1a\x01r\x22\0",
        b"open": b"\x0a\x04open\x22\x02\x08\x01",
    }
    assert rows(member, buckets.AUTH_ROLES) == {
        b"r": b"\x0a\x01r\x12\x03\x12\x01a\x12\x08\x08\x02\x12\x01b\x1a\x01c",
    }
    member.root(*OFF)
    assert rows(member, buckets.AUTH)[b"authEnabled"] == b"\0"


def test_a_new_store_has_the_revision_1_written_down() -> None:
    assert rows(Member(), buckets.AUTH) == {b"authRevision": bytes(7) + b"\1"}


def test_what_a_new_process_finds_is_what_was_applied() -> None:
    member = Member()
    member.enable()
    member.add_role("r", (READ, b"a", b"c"), (WRITE, b"a", b""))
    member.add_user("u", "r")
    again = member.reopened()
    assert (again.access.enabled, again.access.revision) == (True, member.access.revision)
    assert again.access.roles_of == {"root": ["root"], "u": ["r"]}
    assert again.access.permissions_of == {"r": [(WRITE, b"a", b""), (READ, b"a", b"c")]} or (
        again.access.permissions_of == {"r": [(READ, b"a", b"c"), (WRITE, b"a", b"")]}
    )
    assert again.ask(again.now("u"), "range", pb.RangeRequest(key=b"b")).count == 0


def test_roles_and_permissions_stay_sorted_and_a_second_grant_replaces_the_type() -> None:
    member = Member()
    for name in "zay":
        member.root(*role(name))
    member.root(*user("u", hashedPassword="eA=="))
    for name in "zay":
        member.root(*grant("u", name))
    assert member.root("auth_user_get", pb.AuthUserGetRequest(name="u")).roles == ["a", "y", "z"]
    for key in (b"k", b"c", b"x"):
        member.root(*allow("z", READ, key))
    member.root(*allow("z", READWRITE, b"k"))
    shown = member.root("auth_role_get", pb.AuthRoleGetRequest(role="z")).perm
    assert [(one.key, one.permType) for one in shown] == [(b"c", READ), (b"k", READWRITE), (b"x", READ)]
    assert member.root("auth_role_list", pb.AuthRoleListRequest()).roles == ["a", "y", "z"]


def test_the_role_root_shows_everything_whatever_it_was_granted() -> None:
    member = Member()
    member.root(*role("root"))
    member.root(*allow("root", READ, b"k"))
    [shown] = member.root("auth_role_get", pb.AuthRoleGetRequest(role="root")).perm
    assert (shown.permType, shown.key, shown.range_end) == (READWRITE, b"", b"\0")


def test_a_role_that_is_deleted_is_taken_from_all_who_had_it() -> None:
    member = Member()
    member.add_role("r")
    member.add_role("s")
    member.add_user("u", "r", "s")
    member.add_user("v", "r")
    member.root(*delete_role("r"))
    assert member.access.roles_of == {"u": ["s"], "v": []}
    assert member.reopened().access.roles_of == {"u": ["s"], "v": []}


def test_an_entry_of_etcd_3_4_holds_the_password_itself() -> None:
    member = Member()
    member.root(*user("u", password="secret"))
    assert b"hash of secret" in rows(member, buckets.AUTH_USERS)[b"u"]
    member.root("auth_user_change_password", pb.AuthUserChangePasswordRequest(name="u", password="other"))
    assert b"hash of other" in rows(member, buckets.AUTH_USERS)[b"u"]


@pytest.mark.parametrize(("key", "end"), [(b"b", b"a"), (b"", b""), (b"b", b"b"), (b"", b"\0")])
def test_an_invalid_range_out_of_an_old_log_is_kept_and_covers_nothing(key: bytes, end: bytes) -> None:
    member = Member()
    member.enable()
    member.add_role("r", (READWRITE, key, end))
    member.add_user("u", "r")
    assert member.root("auth_role_get", pb.AuthRoleGetRequest(role="r")).perm[0].range_end == end
    for probe in (b"a", b"b", b"c", b"\0"):
        assert member.ask(member.now("u"), "range", pb.RangeRequest(key=probe)) == errors.PERMISSION_DENIED.text


def test_status_says_whether_it_is_on_and_the_revision() -> None:
    member = Member()
    status = member.root("auth_status", pb.AuthStatusRequest())
    assert (status.enabled, status.authRevision, status.header.revision) == (False, 1, 1)
    member.enable()
    status = member.root("auth_status", pb.AuthStatusRequest())
    assert (status.enabled, status.authRevision) == (True, 3)


# ---- simple tokens ----


def login(name: str, prefix: str = "p") -> tuple[str, Any]:
    return "authenticate", pb.InternalAuthenticateRequest(name=name, simple_token=prefix)


def test_a_token_is_numbered_by_its_entry_and_survives_a_restart() -> None:
    member = Member()
    assert member.ask(None, *login("root")) == errors.AUTH_NOT_ENABLED.text
    member.enable()
    token = member.ask(None, *login("root", "wWXodcwpZbrnXmed")).token
    assert token == f"wWXodcwpZbrnXmed.{member.index}"
    again = member.reopened()
    assert again.auth.tokens.owners == {token: "root"}


def test_nobody_logs_in_who_is_not_there_or_has_no_password() -> None:
    member = Member()
    member.enable()
    member.root(*user("open", options=authpb.UserAddOptions(no_password=True)))
    for name in ("nobody", "", "open"):
        assert member.ask(None, *login(name)) == errors.AUTH_FAILED.text


def test_tokens_end_with_their_user_its_password_and_auth_and_when_they_are_not_used() -> None:
    member = Member()
    member.enable()
    for name in ("u", "v", "w"):
        member.add_user(name)
    tokens = member.auth.tokens
    u, v, w, root = [member.ask(None, *login(name)).token for name in ("u", "v", "w", "root")]
    assert tokens.take_news() == ([], [(u, "u"), (v, "v"), (w, "w"), (root, "root")])
    member.root(*delete_user("u"))
    member.root(*change_password("v", "eA=="))
    assert tokens.owners == {w: "w", root: "root"}
    assert tokens.take_news() == ([u, v], [])
    member.now_s = 200.0
    tokens.use([w, u])
    member.now_s = 310.0
    tokens.expire()
    assert tokens.owners == {w: "w"}
    assert tokens.next_expiry_s() == 500.0
    member.root(*OFF)
    assert tokens.owners == {}
    assert tokens.take_news()[0] is None
    member.root(*ON)
    assert member.reopened().auth.tokens.owners == {}


def test_names_need_not_be_utf8_and_are_ordered_by_their_bytes() -> None:
    member = Member()
    names = [b"\xed\xa0\x80", b"e\xcc", "\U0001f600".encode(), "\uffff".encode(), b"\x80"]
    for name in names:
        field = b"\x0a%c%b" % (len(name), name)
        member.root("auth_role_add", pb.AuthRoleAddRequest.FromString(field))
        member.root("auth_user_add", pb.AuthUserAddRequest.FromString(field))
    for name in names[:3]:
        request = b"\x0a\x02e\xcc\x12%c%b" % (len(name), name)
        member.root("auth_user_grant_role", pb.AuthUserGrantRoleRequest.FromString(request))
    member = member.reopened()
    me = pb.AuthUserGetRequest.FromString(b"\x0a\x02e\xcc")
    assert listed(member.root("auth_user_list", pb.AuthUserListRequest()).users) == sorted(names)
    assert listed(member.root("auth_role_list", pb.AuthRoleListRequest()).roles) == sorted(names)
    assert listed(member.root("auth_user_get", me).roles) == sorted(names[:3])
    assert member.store.get(buckets.AUTH_USERS + b"e\xcc") is not None
    member.root("auth_role_delete", pb.AuthRoleDeleteRequest.FromString(b"\x0a\x02e\xcc"))
    assert listed(member.root("auth_user_get", me).roles) == sorted([names[0], names[2]])
    member.root("auth_user_delete", pb.AuthUserDeleteRequest.FromString(b"\x0a\x02e\xcc"))
    assert member.ask(None, "auth_user_get", me) == errors.USER_NOT_FOUND.text


def listed(names: Any) -> list[bytes]:
    return [encode_text(decode_text(name)) for name in names]
