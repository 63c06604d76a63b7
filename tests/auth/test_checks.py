"""Who may do what, at apply: user `u` may read `foo` and `bar`, and write everything that begins with `pre`."""

from typing import Any

import pytest

from etcdz.api import errors, methods
from etcdz.api.auth_info import THE_MEMBER, AuthInfo
from etcdz.auth import calls
from etcdz.proto import etcdserverpb as pb
from tests.auth.member import READ, READWRITE, WRITE, Member

DENIED, NOBODY = errors.PERMISSION_DENIED.text, errors.USER_EMPTY.text
OLD, UNKNOWN = errors.AUTH_OLD_REVISION.text, errors.USER_NOT_FOUND.text
PRE = (b"pre", b"prf")
FOREIGN_LEASE, OWN_LEASE = 5, 6


@pytest.fixture(scope="module")
def world() -> Member:
    member = Member()
    member.enable()
    member.add_role("r", (READ, b"foo", b""), (READ, b"bar", b""), (WRITE, *PRE))
    member.add_user("u", "r")
    member.add_user("root2", "root")
    for lease_id, key in ((FOREIGN_LEASE, b"a secret"), (OWN_LEASE, b"pre1")):
        member.root("lease_grant", pb.LeaseGrantRequest(ID=lease_id, TTL=60))
        member.root("put", pb.PutRequest(key=key, lease=lease_id))
    return member


def ranges(key: bytes, end: bytes = b"", **options: Any) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(key=key, range_end=end, **options))


def puts(key: bytes, **options: Any) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key, **options))


def deletes(key: bytes, end: bytes = b"", **options: Any) -> pb.RequestOp:
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=end, **options))


def txn(*ops: pb.RequestOp) -> pb.RequestOp:
    return pb.RequestOp(request_txn=pb.TxnRequest(failure=ops))


OPERATIONS = [
    # (operation, whether u may)
    (ranges(b"foo"), True),
    (ranges(b"foo", b"foo\0"), True),
    (ranges(b"foo", b"fop"), False),
    (ranges(b"bar", b"foo\0"), False),
    (ranges(b"foo", b"\0"), False),
    (ranges(b"pre"), False),
    (puts(b"pre1"), True),
    (puts(b"foo"), False),
    (puts(b"pre1", prev_kv=True), False),
    (puts(b"pre2", lease=FOREIGN_LEASE), False),
    (puts(b"pre1", lease=OWN_LEASE), True),
    (deletes(*PRE), True),
    (deletes(b"pre", b"\0"), False),
    (deletes(*PRE, prev_kv=True), False),
    (deletes(b"foo"), False),
]
FIELDS = {"request_range": "range", "request_put": "put", "request_delete_range": "delete_range"}


@pytest.mark.parametrize(("op", "may"), OPERATIONS)
def test_an_operation_by_itself(world: Member, op: pb.RequestOp, may: bool) -> None:
    which = op.WhichOneof("request")
    assert which is not None
    kind, request = FIELDS[which], getattr(op, which)
    assert (world.ask(world.now("u"), kind, request) != DENIED) is may
    assert not isinstance(world.ask(world.now("root2"), kind, request), str)
    assert world.ask(None, kind, request) == NOBODY
    assert world.ask(AuthInfo("ghost", world.access.revision), kind, request) == DENIED
    assert world.ask(AuthInfo("u", world.access.revision - 1), kind, request) == OLD


@pytest.mark.parametrize(("op", "may"), OPERATIONS)
@pytest.mark.parametrize("branch", ["success", "failure"])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_operation_in_a_transaction(world: Member, op: pb.RequestOp, may: bool, branch: str, depth: int) -> None:
    """Both branches, whichever is taken, and all depths; a transaction is refused before anything of it runs."""
    asked = op
    for _ in range(depth):
        asked = txn(asked)
    before = world.mvcc.state.revision
    ok = puts(b"pre0")
    request = pb.TxnRequest(success=[ok])
    getattr(request, branch).append(asked)
    found = world.ask(world.now("u"), "txn", request)
    assert (found != DENIED) is may
    if not may:
        assert world.mvcc.state.revision == before
        assert not isinstance(world.ask(world.now("root2"), "txn", request), str)


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize(("key", "end", "may"), [(b"foo", b"", True), (b"pre1", b"", False), (b"a", b"\0", False)])
def test_a_compare_needs_the_right_to_read(world: Member, key: bytes, end: bytes, may: bool, depth: int) -> None:
    request = pb.TxnRequest(compare=[pb.Compare(key=key, range_end=end)])
    for _ in range(depth):
        request = pb.TxnRequest(success=[pb.RequestOp(request_txn=request)])
    assert (world.ask(world.now("u"), "txn", request) != DENIED) is may


def test_a_lease_is_revoked_by_who_may_write_all_its_keys(world: Member) -> None:
    foreign = pb.LeaseRevokeRequest(ID=FOREIGN_LEASE)
    assert world.ask(world.now("u"), "lease_revoke", foreign) == DENIED
    assert world.ask(None, "lease_revoke", foreign) == NOBODY
    assert world.ask(world.now("u"), "lease_revoke", pb.LeaseRevokeRequest(ID=99)) == errors.LEASE_NOT_FOUND.text
    world.root("lease_grant", pb.LeaseGrantRequest(ID=70, TTL=60))
    world.root("put", pb.PutRequest(key=b"pre7", lease=70))
    assert not isinstance(world.ask(world.now("u"), "lease_revoke", pb.LeaseRevokeRequest(ID=70)), str)


def test_what_has_run_out_is_revoked_whoever_owns_its_keys(world: Member) -> None:
    """The lessor asks as the member itself, and no change of users outdates that."""
    world.root("lease_grant", pb.LeaseGrantRequest(ID=71, TTL=60))
    world.root("put", pb.PutRequest(key=b"secret", lease=71))
    assert not isinstance(world.ask(THE_MEMBER, "lease_revoke", pb.LeaseRevokeRequest(ID=71)), str)


MANAGEMENT = [
    ("auth_enable", pb.AuthEnableRequest()),
    ("auth_status", pb.AuthStatusRequest()),
    ("auth_user_add", pb.AuthUserAddRequest(name="x")),
    ("auth_user_list", pb.AuthUserListRequest()),
    ("auth_user_delete", pb.AuthUserDeleteRequest(name="u")),
    ("auth_user_change_password", pb.AuthUserChangePasswordRequest(name="u")),
    ("auth_user_grant_role", pb.AuthUserGrantRoleRequest(user="u", role="root")),
    ("auth_user_revoke_role", pb.AuthUserRevokeRoleRequest(name="u", role="r")),
    ("auth_role_add", pb.AuthRoleAddRequest(name="x")),
    ("auth_role_list", pb.AuthRoleListRequest()),
    ("auth_role_delete", pb.AuthRoleDeleteRequest(role="r")),
    ("auth_role_grant_permission", pb.AuthRoleGrantPermissionRequest(name="r")),
    ("auth_role_revoke_permission", pb.AuthRoleRevokePermissionRequest(role="r")),
    ("auth_disable", pb.AuthDisableRequest()),
]


@pytest.mark.parametrize(("kind", "request_"), MANAGEMENT)
def test_management_is_for_admins(world: Member, kind: str, request_: Any) -> None:
    """Also of oneself: the own password is none's to change. A token that is older than a change still counts here."""
    revision = world.access.revision
    assert world.ask(world.now("u"), kind, request_) == DENIED
    assert world.ask(None, kind, request_) == NOBODY
    assert world.ask(AuthInfo("", revision), kind, request_) == NOBODY
    assert world.ask(AuthInfo("ghost", revision), kind, request_) == UNKNOWN
    assert world.access.revision == revision
    assert not isinstance(world.ask(AuthInfo("root2", revision - 1), "auth_user_list", pb.AuthUserListRequest()), str)


def test_users_see_themselves_and_the_roles_that_they_have(world: Member) -> None:
    me, other = pb.AuthUserGetRequest(name="u"), pb.AuthUserGetRequest(name="root")
    assert world.ask(world.now("u"), "auth_user_get", me).roles == ["r"]
    assert world.ask(world.now("u"), "auth_user_get", other) == DENIED
    assert len(world.ask(world.now("u"), "auth_role_get", pb.AuthRoleGetRequest(role="r")).perm) == 3
    assert world.ask(world.now("u"), "auth_role_get", pb.AuthRoleGetRequest(role="root")) == DENIED
    assert world.ask(None, "auth_user_get", me) == NOBODY
    assert world.ask(None, "auth_role_get", pb.AuthRoleGetRequest(role="r")) == NOBODY
    assert world.ask(world.now("ghost"), "auth_role_get", pb.AuthRoleGetRequest(role="r")) == UNKNOWN


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        ("compaction", pb.CompactionRequest(revision=1)),
        ("lease_grant", pb.LeaseGrantRequest(ID=80, TTL=60)),
        ("alarm", pb.AlarmRequest()),
    ],
)
def test_what_is_decided_at_the_door_is_applied_as_by_every_etcd(world: Member, kind: str, request_: Any) -> None:
    assert world.ask(None, kind, request_) not in (DENIED, NOBODY)


def test_alarms_stand_above_users_and_management_goes_on() -> None:
    member = Member()
    member.enable()
    member.add_user("u")
    member.root("alarm", pb.AlarmRequest(action=1, alarm=1, memberID=1))
    assert member.ask(member.now("u"), "put", pb.PutRequest(key=b"k")) == errors.NO_SPACE.text
    assert member.ask(member.now("u"), "range", pb.RangeRequest(key=b"k")) == DENIED
    member.root("alarm", pb.AlarmRequest(action=1, alarm=2, memberID=1))
    assert member.ask(member.now("u"), "range", pb.RangeRequest(key=b"k")) == errors.CORRUPT.text
    member.add_user("v")


def test_turning_it_off_and_on_takes_effect_with_the_next_entry() -> None:
    member = Member()
    plain = pb.PutRequest(key=b"k", value=b"v")
    assert not isinstance(member.ask(None, "put", plain), str)
    member.enable()
    assert member.ask(None, "put", plain) == NOBODY
    member.root("auth_disable", pb.AuthDisableRequest())
    assert not isinstance(member.ask(None, "put", plain), str)
    assert not isinstance(member.ask(AuthInfo("ghost", 1), "put", plain), str)


def test_what_a_user_may_do_changes_with_its_roles_and_their_permissions() -> None:
    member = Member()
    member.enable()
    member.add_role("r", (READWRITE, b"a", b"c"))
    member.add_role("s", (READWRITE, b"c", b"e"))
    member.add_user("u", "r")
    both = pb.RangeRequest(key=b"a", range_end=b"e")
    assert member.ask(member.now("u"), "range", both) == DENIED
    member.root("auth_user_grant_role", pb.AuthUserGrantRoleRequest(user="u", role="s"))
    assert not isinstance(member.ask(member.now("u"), "range", both), str), "two that touch add up"
    gone = pb.AuthRoleRevokePermissionRequest(role="s", key=b"c", range_end=b"e")
    member.root("auth_role_revoke_permission", gone)
    assert member.ask(member.now("u"), "range", both) == DENIED
    member.root("auth_role_delete", pb.AuthRoleDeleteRequest(role="r"))
    assert member.ask(member.now("u"), "range", pb.RangeRequest(key=b"a")) == DENIED


def test_puts_are_judged_anew_after_each_change() -> None:
    member = Member()
    member.enable()
    member.add_role("r", (READWRITE, b"a", b"c"))
    member.add_user("u", "r")

    def may(key: bytes) -> bool:
        found = member.ask(member.now("u"), "put", pb.PutRequest(key=key, value=b"v"))
        assert found == DENIED or not isinstance(found, str)
        return bool(found != DENIED)

    assert [may(key) for key in (b"a", b"b\xff", b"c", b"a")] == [True, True, False, True]
    old = member.now("u")
    member.root("auth_role_revoke_permission", pb.AuthRoleRevokePermissionRequest(role="r", key=b"a", range_end=b"c"))
    assert member.ask(old, "put", pb.PutRequest(key=b"a")) == OLD
    assert not may(b"a")
    member.root("auth_disable", pb.AuthDisableRequest())
    assert may(b"a")
    member.root("auth_enable", pb.AuthEnableRequest())
    assert not may(b"a")
    assert member.ask(AuthInfo("ghost", member.access.revision), "put", pb.PutRequest(key=b"a")) == DENIED


def test_with_users_the_store_is_full_for_puts_as_well() -> None:
    member = Member()
    member.enable()
    member.root("alarm", pb.AlarmRequest(action=1, alarm=1, memberID=1))
    assert member.ask(member.now("root"), "put", pb.PutRequest(key=b"a", value=b"v")) == errors.NO_SPACE.text


# ---- at the door ----

DOOR = {
    DENIED: calls.ADMIN,
    None: {*methods.PATHS.values(), *methods.STREAM_PATHS.values(), *methods.AUTH_PATHS.values()} - calls.ADMIN,
}


@pytest.mark.parametrize(("error", "method"), [(e, m) for e, some in DOOR.items() for m in sorted(some)])
def test_the_door_lets_in_whom_it_should(world: Member, error: str | None, method: int) -> None:
    access = world.access
    found = calls.refusal(access, method, b"", world.now("u"))
    assert (found.text if found else None) == error
    assert calls.refusal(access, method, b"", world.now("root")) is None
    nobody = calls.refusal(access, method, b"", None)
    needs_somebody = method in calls.ADMIN | calls.SOMEBODY or method == methods.ALARM
    assert (nobody.text if nobody else None) == (NOBODY if needs_somebody else None)


@pytest.mark.parametrize("method", [*sorted(calls.SOMEBODY), methods.ALARM])
def test_a_name_that_no_user_has_is_nobody(world: Member, method: int) -> None:
    """Of a certificate, or in a token that was signed before the user was deleted."""
    assert calls.refusal(world.access, method, b"", world.now("gone")) == errors.PERMISSION_DENIED


def test_alarms_are_listed_by_any_user_and_changed_by_admins(world: Member) -> None:
    for action, error in ((0, None), (1, errors.PERMISSION_DENIED), (2, errors.PERMISSION_DENIED)):
        body = pb.AlarmRequest(action=action, alarm=1).SerializeToString()
        assert calls.refusal(world.access, methods.ALARM, body, world.now("u")) == error
