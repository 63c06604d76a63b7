"""Who may call what: each row of the rules, tried for real by nobody, by a user with few permissions, and by root.

The second half are attacks that once worked against etcd, by the advisory that tells of them.
"""

import os
import queue
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb, v3lockpb
from tests.process.auth_member import PASSWORDS, READ, READWRITE, TIMEOUT_S, AuthMember, Outcome
from tests.process.load import open_channel, unary
from tests.process.trial import Trial

pytestmark = pytest.mark.process

EMPTY = ("INVALID_ARGUMENT", "etcdserver: user name is empty")
DENIED = ("PERMISSION_DENIED", "etcdserver: permission denied")
BAD_TOKEN = ("UNAUTHENTICATED", "etcdserver: invalid auth token")
OK = None
LEASE_OF_PRE, LEASE_OF_SECRET, LEASE_OF_NOTHING = 71, 72, 73


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthMember]:
    made = AuthMember(tmp_path_factory.mktemp("auth"))
    try:
        for lease in (LEASE_OF_PRE, LEASE_OF_SECRET, LEASE_OF_NOTHING):
            made.must("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=lease, TTL=600))
        made.must("KV/Put", put(b"pre", lease=LEASE_OF_PRE))
        made.must("KV/Put", put(b"secret", lease=LEASE_OF_SECRET))
        made.must("KV/Put", put(b"foo"))
        made.begin()
        yield made
    finally:
        made.close()


def put(key: bytes, **fields: Any) -> pb.PutRequest:
    return pb.PutRequest(key=key, value=b"v", **fields)


def get(key: bytes, range_end: bytes = b"", **fields: Any) -> pb.RangeRequest:
    return pb.RangeRequest(key=key, range_end=range_end, **fields)


def delete(key: bytes, range_end: bytes = b"", **fields: Any) -> pb.DeleteRangeRequest:
    return pb.DeleteRangeRequest(key=key, range_end=range_end, **fields)


def txn(*ops: Any, compare: Any = (), failure: Any = ()) -> pb.TxnRequest:
    return pb.TxnRequest(compare=compare, success=[op(each) for each in ops], failure=[op(each) for each in failure])


def op(request: Any) -> pb.RequestOp:
    fields = {
        pb.PutRequest: "request_put",
        pb.RangeRequest: "request_range",
        pb.DeleteRangeRequest: "request_delete_range",
        pb.TxnRequest: "request_txn",
    }
    return pb.RequestOp(**{fields[type(request)]: request})


def compares(key: bytes, range_end: bytes = b"") -> Any:
    return [pb.Compare(key=key, range_end=range_end, target=pb.Compare.VERSION)]


ALARM = pb.AlarmRequest(action=pb.AlarmRequest.DEACTIVATE, alarm=1)
LIST_ALARMS = pb.AlarmRequest(action=pb.AlarmRequest.GET)
PERMISSION = {"permType": READ, "key": b"x"}

RULES: dict[str, tuple[str, Any, Any, Any, Any]] = {
    # name: (path, request, nobody, u, root); OK, or the error
    "range": ("KV/Range", get(b"foo"), EMPTY, OK, OK),
    "range of another's": ("KV/Range", get(b"secret"), EMPTY, DENIED, OK),
    "range, serializable": ("KV/Range", get(b"secret", serializable=True), EMPTY, DENIED, OK),
    "range beyond": ("KV/Range", get(b"bar", b"fop"), EMPTY, DENIED, OK),
    "range to the end": ("KV/Range", get(b"foo", b"\0"), EMPTY, DENIED, OK),
    "range of all": ("KV/Range", get(b"\0", b"\0"), EMPTY, DENIED, OK),
    "range, only to be written": ("KV/Range", get(b"pre"), EMPTY, DENIED, OK),
    "put": ("KV/Put", put(b"pre1"), EMPTY, OK, OK),
    "put, only to be read": ("KV/Put", put(b"foo"), EMPTY, DENIED, OK),
    "put with prev_kv": ("KV/Put", put(b"pre1", prev_kv=True), EMPTY, DENIED, OK),
    "put on a lease": ("KV/Put", put(b"pre1", lease=LEASE_OF_PRE), EMPTY, OK, OK),
    "put on another's lease": ("KV/Put", put(b"pre1", lease=LEASE_OF_SECRET), EMPTY, DENIED, OK),
    "delete": ("KV/DeleteRange", delete(b"pre1"), EMPTY, OK, OK),
    "delete beyond": ("KV/DeleteRange", delete(b"pre", b"prg"), EMPTY, DENIED, OK),
    "delete to the end": ("KV/DeleteRange", delete(b"pre9", b"\0"), EMPTY, DENIED, "not tried"),
    "delete with prev_kv": ("KV/DeleteRange", delete(b"pre1", prev_kv=True), EMPTY, DENIED, OK),
    "txn": ("KV/Txn", txn(put(b"pre1"), get(b"foo")), EMPTY, OK, OK),
    "txn, compare": ("KV/Txn", txn(put(b"pre1"), compare=compares(b"secret")), EMPTY, DENIED, OK),
    "txn, compare of a range": ("KV/Txn", txn(put(b"pre1"), compare=compares(b"foo", b"fop")), EMPTY, DENIED, OK),
    "txn, the branch that is not taken": ("KV/Txn", txn(put(b"pre1"), failure=[get(b"secret")]), EMPTY, DENIED, OK),
    "txn, read only": ("KV/Txn", txn(get(b"secret")), EMPTY, DENIED, OK),
    "compact": ("KV/Compact", pb.CompactionRequest(revision=2), EMPTY, DENIED, OK),
    "grant": ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=600), EMPTY, OK, OK),
    "revoke another's": ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=LEASE_OF_SECRET), EMPTY, DENIED, "not tried"),
    "ttl": ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=LEASE_OF_SECRET), EMPTY, OK, OK),
    "ttl with keys": ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=LEASE_OF_SECRET, keys=True), EMPTY, DENIED, OK),
    "leases": ("Lease/LeaseLeases", pb.LeaseLeasesRequest(), EMPTY, DENIED, OK),
    "member list": ("Cluster/MemberList", pb.MemberListRequest(), EMPTY, OK, OK),
    "member add": ("Cluster/MemberAdd", pb.MemberAddRequest(peerURLs=["http://127.0.0.1:1"]), EMPTY, DENIED, "not tried"),
    "member remove": ("Cluster/MemberRemove", pb.MemberRemoveRequest(ID=5), EMPTY, DENIED, ("NOT_FOUND", "etcdserver: member not found")),
    "member update": ("Cluster/MemberUpdate", pb.MemberUpdateRequest(ID=5, peerURLs=["http://127.0.0.1:1"]), EMPTY, DENIED, ("NOT_FOUND", "etcdserver: member not found")),
    "member promote": ("Cluster/MemberPromote", pb.MemberPromoteRequest(ID=5), EMPTY, DENIED, ("NOT_FOUND", "etcdserver: member not found")),
    "status": ("Maintenance/Status", pb.StatusRequest(), EMPTY, OK, OK),
    "alarm list": ("Maintenance/Alarm", LIST_ALARMS, EMPTY, OK, OK),
    "alarm": ("Maintenance/Alarm", ALARM, EMPTY, DENIED, OK),
    "defragment": ("Maintenance/Defragment", pb.DefragmentRequest(), EMPTY, DENIED, OK),
    "hash": ("Maintenance/Hash", pb.HashRequest(), EMPTY, DENIED, OK),
    "hash of keys": ("Maintenance/HashKV", pb.HashKVRequest(), EMPTY, DENIED, OK),
    "move leader": ("Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=5), EMPTY, DENIED, ("FAILED_PRECONDITION", "etcdserver: bad leader transferee")),
    "downgrade": ("Maintenance/Downgrade", pb.DowngradeRequest(action=2), EMPTY, DENIED, ("FAILED_PRECONDITION", "etcdserver: no inflight downgrade job")),
    "auth enable": ("Auth/AuthEnable", pb.AuthEnableRequest(), EMPTY, DENIED, OK),
    "auth disable": ("Auth/AuthDisable", pb.AuthDisableRequest(), EMPTY, DENIED, "not tried"),
    "auth status": ("Auth/AuthStatus", pb.AuthStatusRequest(), EMPTY, DENIED, OK),
    "user add": ("Auth/UserAdd", pb.AuthUserAddRequest(name="new", password="p"), EMPTY, DENIED, "not tried"),
    "user get": ("Auth/UserGet", pb.AuthUserGetRequest(name="root"), EMPTY, DENIED, OK),
    "user get, oneself": ("Auth/UserGet", pb.AuthUserGetRequest(name="u"), EMPTY, OK, OK),
    "user list": ("Auth/UserList", pb.AuthUserListRequest(), EMPTY, DENIED, OK),
    "user delete": ("Auth/UserDelete", pb.AuthUserDeleteRequest(name="guest"), EMPTY, DENIED, "not tried"),
    "change one's own password": ("Auth/UserChangePassword", pb.AuthUserChangePasswordRequest(name="u", password="p"), EMPTY, DENIED, "not tried"),
    "grant role": ("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="root"), EMPTY, DENIED, "not tried"),
    "revoke role": ("Auth/UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="u", role="u"), EMPTY, DENIED, "not tried"),
    "role add": ("Auth/RoleAdd", pb.AuthRoleAddRequest(name="new"), EMPTY, DENIED, "not tried"),
    "role get": ("Auth/RoleGet", pb.AuthRoleGetRequest(role="root"), EMPTY, DENIED, OK),
    "role get, a role of one's own": ("Auth/RoleGet", pb.AuthRoleGetRequest(role="u"), EMPTY, OK, OK),
    "role list": ("Auth/RoleList", pb.AuthRoleListRequest(), EMPTY, DENIED, OK),
    "role delete": ("Auth/RoleDelete", pb.AuthRoleDeleteRequest(role="u"), EMPTY, DENIED, "not tried"),
    "grant permission": ("Auth/RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="u", perm=PERMISSION), EMPTY, DENIED, "not tried"),
    "revoke permission": ("Auth/RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="u", key=b"foo"), EMPTY, DENIED, "not tried"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_who_may_call_it(member: AuthMember, rule: str) -> None:
    path, request, *expected = RULES[rule]
    for user, outcome in zip(("", "u", "root"), expected, strict=True):
        if outcome == "not tried":
            continue
        answer = member.call(path, request, user)
        assert (answer if isinstance(answer, tuple) else OK) == outcome, (rule, user)
    assert member.call(path, request, metadata=(("token", "no.token"),)) == BAD_TOKEN


def keep_alive(member: AuthMember, lease: int, user: str) -> Outcome:
    request = pb.LeaseKeepAliveRequest(ID=lease)
    return member.stream("Lease/LeaseKeepAlive", request, pb.LeaseKeepAliveResponse, user)[0]


def test_whoever_renews_a_lease_may_write_its_keys(member: AuthMember) -> None:
    assert keep_alive(member, LEASE_OF_SECRET, "") == EMPTY
    assert keep_alive(member, LEASE_OF_SECRET, "u") == DENIED
    assert keep_alive(member, LEASE_OF_SECRET, "root").TTL == 600
    assert keep_alive(member, LEASE_OF_PRE, "u").TTL == 600
    assert keep_alive(member, LEASE_OF_NOTHING, "guest").TTL == 600


def test_a_snapshot_is_for_admins(member: AuthMember) -> None:
    def snapshot(user: str) -> Outcome:
        return member.stream("Maintenance/Snapshot", pb.SnapshotRequest(), pb.SnapshotResponse, user)[-1]

    assert snapshot("") == EMPTY
    assert snapshot("u") == DENIED
    assert snapshot("root").remaining_bytes == 0


def test_a_range_in_a_stream_is_a_range(member: AuthMember) -> None:
    def range_of(key: bytes, user: str) -> Outcome:
        return member.stream("KV/RangeStream", get(key), pb.RangeStreamResponse, user)[-1]

    assert range_of(b"foo", "") == EMPTY
    assert range_of(b"secret", "u") == DENIED
    assert range_of(b"foo", "u").range_response.count == 1


def test_health_needs_nobody(member: AuthMember) -> None:
    for path in ("health", "livez", "readyz", "version", "metrics"):
        with urllib.request.urlopen(f"{member.member.client_url}/{path}", timeout=TIMEOUT_S) as answer:
            assert answer.status == 200
    assert member.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=TIMEOUT_S) == b"\x08\x01"


@pytest.mark.parametrize("name", ["token", "authorization"])
@pytest.mark.parametrize("bearer", ["", "Bearer "])
def test_where_a_token_may_stand(member: AuthMember, name: str, bearer: str) -> None:
    metadata = ((name, bearer + member.tokens["u"]),)
    assert member.call("KV/Range", get(b"foo"), metadata=metadata).count == 1


def test_a_token_comes_before_an_authorization(member: AuthMember) -> None:
    metadata = (("authorization", member.tokens["root"]), ("token", member.tokens["u"]))
    assert member.call("KV/Range", get(b"secret"), metadata=metadata) == DENIED


def test_whoever_logs_in_need_not_be_anybody(member: AuthMember) -> None:
    request = pb.AuthenticateRequest(name="u", password="secret of u")
    assert member.call("Auth/Authenticate", request, metadata=(("token", "stale.1"),)).token


@pytest.mark.parametrize("name", ["u", "no such user", ""])
def test_a_wrong_password_and_no_user_are_told_the_same(member: AuthMember, name: str) -> None:
    request = pb.AuthenticateRequest(name=name, password="wrong")
    refused = ("INVALID_ARGUMENT", "etcdserver: authentication failed, invalid user ID or password")
    assert member.call("Auth/Authenticate", request) == refused


def test_what_is_wrong_with_a_request_comes_before_who_asks(member: AuthMember) -> None:
    empty = ("INVALID_ARGUMENT", "etcdserver: key is not provided")
    assert member.call("KV/Put", put(b"")) == empty
    assert member.call("KV/Range", get(b""), metadata=(("token", "no.token"),)) == empty


def test_no_password_is_ever_written_down(member: AuthMember) -> None:
    member.must("Auth/UserAdd", pb.AuthUserAddRequest(name="written", password="hunter2-in-the-log"), "root")
    change = pb.AuthUserChangePasswordRequest(name="written", password="hunter3-in-the-log")
    member.must("Auth/UserChangePassword", change, "root")
    login = pb.AuthenticateRequest(name="written", password="hunter3-in-the-log")
    token = member.must("Auth/Authenticate", login).token
    wrong = pb.AuthenticateRequest(name="written", password="hunter4-in-the-log")
    member.call("Auth/Authenticate", wrong)
    log = member.member.log_tail(100_000)
    for secret in ("-in-the-log",):
        assert secret not in log
        assert not [path for path, data in files_of(member.member.data_dir) if secret.encode() in data]
    assert token not in log
    member.must("Auth/UserDelete", pb.AuthUserDeleteRequest(name="written"), "root")


def files_of(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """With what they hold. NB: a member that runs takes some of them away meanwhile."""
    for where, _, names in os.walk(directory):
        for path in [Path(where, name) for name in names]:
            with suppress(FileNotFoundError):
                yield path, path.read_bytes()


# ---- attacks ----


def nested(*ops: Any, depth: int) -> pb.TxnRequest:
    request = txn(*ops)
    for _ in range(depth):
        request = txn(request)
    return request


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("inner", [get(b"secret"), put(b"secret"), delete(b"secret")], ids=["get", "put", "delete"])
def test_nested_transactions_are_looked_into_cve_2026_33343(member: AuthMember, inner: Any, depth: int) -> None:
    assert member.call("KV/Txn", nested(inner, depth=depth), "u") == DENIED
    in_failure = txn(put(b"pre1"), failure=[nested(inner, depth=depth)])
    assert member.call("KV/Txn", in_failure, "u") == DENIED


@pytest.mark.parametrize("fields", [{"prev_kv": True}, {"lease": LEASE_OF_SECRET}], ids=["prev_kv", "lease"])
def test_a_put_in_a_transaction_is_a_put_cve_2026_44283(member: AuthMember, fields: dict[str, Any]) -> None:
    for depth in (0, 1):
        assert member.call("KV/Txn", nested(put(b"pre1", **fields), depth=depth), "u") == DENIED


def test_a_delete_in_a_transaction_shows_nothing(member: AuthMember) -> None:
    assert member.call("KV/Txn", txn(delete(b"pre1", prev_kv=True)), "u") == DENIED


@pytest.mark.parametrize("key", [b"foo", b"", b"\0"])
def test_a_watch_to_the_end_needs_everything_ghsa_xg4h(member: AuthMember, key: bytes) -> None:
    with watching(member, "u", pb.WatchCreateRequest(key=key, range_end=b"\0")) as responses:
        response = responses.get(timeout=TIMEOUT_S)
    assert response.canceled and response.created and response.watch_id == -1
    assert response.cancel_reason == "rpc error: code = PermissionDenied desc = etcdserver: permission denied"


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("Cluster/MemberList", pb.MemberListRequest()),
        ("Maintenance/Alarm", LIST_ALARMS),
        ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=60)),
        ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=LEASE_OF_NOTHING)),
        ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=LEASE_OF_NOTHING)),
        ("Lease/LeaseLeases", pb.LeaseLeasesRequest()),
        ("KV/Compact", pb.CompactionRequest(revision=1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_is_open_to_nobody_cve_2026_33413(member: AuthMember, path: str, request_: Any) -> None:
    assert member.call(path, request_) == EMPTY


def test_keys_of_a_lease_are_not_told_cve_2023_32082(member: AuthMember) -> None:
    request = pb.LeaseTimeToLiveRequest(ID=LEASE_OF_SECRET, keys=True)
    assert member.call("Lease/LeaseTimeToLive", request, "u") == DENIED
    assert b"secret" in member.must("Lease/LeaseTimeToLive", request, "root").keys


@pytest.mark.parametrize(("key", "range_end"), [(b"", b""), (b"b", b"a"), (b"b", b"b"), (b"", b"z")])
def test_permissions_of_no_range_are_refused_pr_15619(member: AuthMember, key: bytes, range_end: bytes) -> None:
    request = pb.AuthRoleGrantPermissionRequest(
        name="u", perm={"permType": READWRITE, "key": key, "range_end": range_end}
    )
    refused = ("INVALID_ARGUMENT", "etcdserver: invalid auth management")
    assert member.call("Auth/RoleGrantPermission", request, "root") == refused
    assert member.call("KV/Range", get(b"b"), "u") == DENIED


# ---- watches ----


@contextmanager
def watching(member: AuthMember, user: str, create: pb.WatchCreateRequest) -> Iterator["queue.Queue[Any]"]:
    """The responses as they come."""
    requests: queue.Queue[Any] = queue.Queue()
    requests.put(pb.WatchRequest(create_request=create))
    call = member.channel.stream_stream(
        "/etcdserverpb.Watch/Watch",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=pb.WatchResponse.FromString,
    )(iter(requests.get, None), metadata=member.metadata(user))
    responses: queue.Queue[Any] = queue.Queue()

    def read() -> None:
        try:
            for response in call:
                responses.put(response)
        except grpc.RpcError as error:
            responses.put(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield responses
    finally:
        call.cancel()
        requests.put(None)
        reader.join(TIMEOUT_S)


def test_who_may_watch(member: AuthMember) -> None:
    for user, reason in (("", EMPTY), ("guest", DENIED)):
        with watching(member, user, pb.WatchCreateRequest(key=b"foo")) as responses:
            assert responses.get(timeout=TIMEOUT_S).cancel_reason.endswith(reason[1])
    with watching(member, "u", pb.WatchCreateRequest(key=b"foo")) as responses:
        assert responses.get(timeout=TIMEOUT_S).created
        member.must("KV/Put", put(b"foo"), "root")
        assert responses.get(timeout=TIMEOUT_S).events[0].kv.key == b"foo"


def test_an_open_watch_ends_when_its_permission_does(member: AuthMember) -> None:
    member.grant("u", READ, b"passing", user="root")
    with watching(member, "u", pb.WatchCreateRequest(key=b"passing")) as passing:
        with watching(member, "u", pb.WatchCreateRequest(key=b"foo")) as lasting:
            assert passing.get(timeout=TIMEOUT_S).created and lasting.get(timeout=TIMEOUT_S).created
            member.must(
                "Auth/RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="u", key=b"passing"), "root"
            )
            ended = passing.get(timeout=TIMEOUT_S)
            member.must("KV/Put", put(b"passing"), "root")
            member.must("KV/Put", put(b"foo"), "root")
            assert ended.canceled and ended.cancel_reason.endswith(DENIED[1])
            assert lasting.get(timeout=TIMEOUT_S).events[0].kv.key == b"foo"
            assert passing.empty()


# ---- recipes ----


def recipe(member: AuthMember, path: str, request: Any, user: str) -> Outcome:
    method = member.channel.unary_unary(path, request_serializer=lambda request: request.SerializeToString())
    try:
        return method(request, timeout=TIMEOUT_S, metadata=member.metadata(user))
    except grpc.RpcError as error:
        return error.details()


@pytest.mark.parametrize(("user", "text"), [("", EMPTY[1]), ("guest", DENIED[1]), ("u", DENIED[1])])
def test_recipes_do_what_their_client_may(member: AuthMember, user: str, text: str) -> None:
    lock, campaign = v3lockpb.LockRequest(name=b"line"), v3electionpb.CampaignRequest(name=b"line")
    assert recipe(member, "/v3lockpb.Lock/Lock", lock, user) == text
    assert recipe(member, "/v3electionpb.Election/Campaign", campaign, user) == text
    leader = v3electionpb.LeaderRequest(name=b"line")
    assert recipe(member, "/v3electionpb.Election/Leader", leader, user) == text


def test_a_recipe_of_somebody_who_may(member: AuthMember) -> None:
    lock = v3lockpb.LockRequest(name=b"line")
    answer = recipe(member, "/v3lockpb.Lock/Lock", lock, "root")
    key = v3lockpb.LockResponse.FromString(answer).key
    assert key.startswith(b"line/")
    assert recipe(member, "/v3lockpb.Lock/Unlock", v3lockpb.UnlockRequest(key=key), "u") == DENIED[1]
    assert isinstance(recipe(member, "/v3lockpb.Lock/Unlock", v3lockpb.UnlockRequest(key=key), "root"), bytes)


# ---- tokens ----


def test_a_new_password_ends_old_tokens(member: AuthMember) -> None:
    before = member.log_in("guest")
    change = pb.AuthUserChangePasswordRequest(name="guest", password="secret of guest")
    member.must("Auth/UserChangePassword", change, "root")
    assert member.call("Cluster/MemberList", pb.MemberListRequest(), metadata=(("token", before),)) == BAD_TOKEN
    member.log_in("guest")
    member.must("Cluster/MemberList", pb.MemberListRequest(), "guest")


@pytest.mark.parametrize("name", ["listener-1", "backend", "raft", "wal", "lessor"])
def test_tokens_survive_a_kill_of_any_actor(member: AuthMember, name: str) -> None:
    trial = Trial(member.member, 1)
    before = trial.actors()
    os.kill(before[name]["pid"], signal.SIGKILL)
    trial.wait_restarted(before, name)
    member.connect_again()
    with open_channel(member.member.target) as channel:
        call = unary(channel, "KV/Range", pb.RangeResponse)
        assert call(get(b"foo"), timeout=60, wait_for_ready=True, metadata=member.metadata("u")).count == 1
        with pytest.raises(grpc.RpcError, match="permission denied"):
            call(get(b"secret"), timeout=60, wait_for_ready=True, metadata=member.metadata("u"))


def test_a_new_listener_lets_nobody_in_before_it_knows_the_users(member: AuthMember) -> None:
    """Its backend is stopped, so that a new one is started later."""
    trial = Trial(member.member, 1)
    before = trial.actors()
    os.kill(before["backend"]["pid"], signal.SIGSTOP)
    os.kill(before["listener-1"]["pid"], signal.SIGKILL)
    with open_channel(member.member.target) as channel:
        call = unary(channel, "Maintenance/HashKV", pb.HashKVResponse)
        with pytest.raises(grpc.RpcError, match="user name is empty"):
            call(pb.HashKVRequest(), timeout=60, wait_for_ready=True)
    trial.wait_restarted(before, "backend")
    trial.wait_restarted(before, "listener-1")
    member.connect_again()


def test_while_auth_is_off_nobody_is_asked_and_later_old_tokens_are_none(member: AuthMember) -> None:
    member.must("Auth/AuthDisable", pb.AuthDisableRequest(), "root")
    assert member.call("KV/Range", get(b"secret"), metadata=(("token", "no.token"),)).count == 1
    assert member.must("KV/Range", get(b"secret")).count == 1
    member.must("Auth/AuthEnable", pb.AuthEnableRequest())
    assert member.call("KV/Range", get(b"foo"), "u") == BAD_TOKEN
    for name in PASSWORDS:
        member.log_in(name)
    assert member.must("KV/Range", get(b"foo"), "u").count == 1
