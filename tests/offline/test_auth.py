"""Users and roles go with the data: taken over from etcd and back, row for row, in snapshots, and out of old logs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from etcdz.cli.utl import main as etcdzutl
from etcdz.migration.files import open_database
from etcdz.mvcc.bolt_rows import file_rows
from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets
from etcdz.store.leveldb import LevelStore
from tests.etcd_process import Etcdz, Member, RealEtcd, find_program
from tests.offline.members import OldEtcd
from tests.offline.test_migrate import moved
from tests.parity.auth_pair import NOBODY, AuthCall, Side

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.timeout(300),
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
FAST = ("--heartbeat-interval=10", "--election-timeout=100", "--bcrypt-cost=4")
OURS = (buckets.AUTH, buckets.AUTH_USERS, buckets.AUTH_ROLES)
PROGRAM = [sys.executable, "-m", "etcdz.cli.main"]
NOT_UTF8 = b"\xe9t\xe9"
"""A name, such as a client on a Latin-1 terminal gives."""
DENIED = "PERMISSION_DENIED: etcdserver: permission denied"


def must(side: Side, name: str, request: Any, user: str = NOBODY) -> Any:
    answer = side.ask(AuthCall(user, name, request))
    assert not answer.text, (side.member.kind, name, answer.text)
    return answer.message


def give_users(side: Side) -> None:
    """root, and u, who may read a; auth is on."""
    for name in ("root", "u"):
        must(side, "UserAdd", pb.AuthUserAddRequest(name=name, password=f"password of {name}"))
        must(side, "RoleAdd", pb.AuthRoleAddRequest(name=name))
        must(side, "UserGrantRole", pb.AuthUserGrantRoleRequest(user=name, role=name))
    must(side, "UserAdd", pb.AuthUserAddRequest.FromString(b"\x0a\x03" + NOT_UTF8 + b"\x12\x01p"))
    must(side, "UserAdd", pb.AuthUserAddRequest(name="open", options=authpb.UserAddOptions(no_password=True)))
    for key, end in ((b"a", b"b"), (b"x", b"\0")):
        permission = authpb.Permission(permType=0, key=key, range_end=end)
        must(side, "RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="u", perm=permission))
    must(side, "Put", pb.PutRequest(key=b"a", value=b"v"))
    must(side, "AuthEnable", pb.AuthEnableRequest())


def check_users(member: Member) -> None:
    """They are there, can log in, and may do what they may."""
    side = Side(member)
    assert side.ask(AuthCall(NOBODY, "Range", pb.RangeRequest(key=b"a"))).text.endswith("user name is empty")
    assert side.log_in("root", "password of root") and side.log_in("u", "password of u")
    assert not side.log_in("u", "password of root")
    assert must(side, "Range", pb.RangeRequest(key=b"a"), "u").count == 1
    assert side.ask(AuthCall("u", "Put", pb.PutRequest(key=b"a"))).text == DENIED
    assert must(side, "UserList", pb.AuthUserListRequest(), "root").users == ["open", "root", "u", NOT_UTF8]
    side.close()


def database_rows(path: Path) -> dict[bytes, bytes]:
    file, source = open_database(str(path))
    try:
        return {name: value for name, value in file_rows(file) if name.startswith(OURS)}
    finally:
        source.close()


def store_rows(member: Member) -> dict[bytes, bytes]:
    store = LevelStore(member.data_dir / "member/snap/leveldb")
    try:
        return {name: value for bucket in OURS for name, value in store.iterate(bucket, buckets.bucket_end(bucket))}
    finally:
        store.close()


def change(member: Member) -> None:
    """The same on any member with these users."""
    side = Side(member)
    assert side.log_in("root", "password of root")
    must(side, "RoleAdd", pb.AuthRoleAddRequest(name="s"), "root")
    permission = authpb.Permission(permType=2, key=b"s")
    must(side, "RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="s", perm=permission), "root")
    must(side, "UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="s"), "root")
    must(side, "UserDelete", pb.AuthUserDeleteRequest(name="open"), "root")
    must(side, "UserAdd", pb.AuthUserAddRequest(name="open", options=authpb.UserAddOptions(no_password=True)), "root")
    must(side, "RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="u", key=b"x", range_end=b"\0"), "root")
    side.close()


def test_there_and_back_with_users(tmp_path: Path) -> None:
    """What both make of the same calls is the same, row for row; hashes of passwords go along."""
    theirs = RealEtcd(tmp_path, *FAST)
    with theirs:
        side = Side(theirs)
        give_users(side)
        side.close()
    before = database_rows(theirs.data_dir / "member/snap/db")
    twin = RealEtcd(tmp_path / "twin", *FAST)
    subprocess.run(["cp", "-r", str(theirs.data_dir), str(tmp_path / "copy")], check=True)
    twin.data_dir = tmp_path / "copy"
    ours = moved(theirs, Etcdz, "ours")
    with ours:
        check_users(ours)
        change(ours)
    with twin:
        change(twin)
    after = database_rows(twin.data_dir / "member/snap/db")
    assert store_rows(ours) == after != before
    assert etcdzutl(["migrate", "--to=etcd", "--data-dir", str(ours.data_dir)]) == 0
    assert database_rows(ours.data_dir / "member/snap/db") == after
    back = moved(theirs, RealEtcd, "back")
    with back:
        check_users(back)


def test_a_snapshot_with_users_is_restored_by_both(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    with Etcdz(tmp_path, *FAST) as ours:
        side = Side(ours)
        give_users(side)
        side.close()
        save = [str(find_program("etcdctl")), f"--endpoints={ours.client_url}", "snapshot", "save", str(file)]
        refused = subprocess.run([*save, "--user=u:password of u"], capture_output=True, text=True)
        assert refused.returncode and "permission denied" in refused.stderr + refused.stdout
        subprocess.run([*save, "--user=root:password of root"], check=True, capture_output=True)
    for kind in (RealEtcd, Etcdz):
        restored = kind(tmp_path / f"restored by {kind.kind}", *FAST)
        arguments = ["snapshot", "restore", str(file), f"--data-dir={restored.data_dir}"]
        if kind is Etcdz:
            assert etcdzutl(arguments) == 0
        else:
            subprocess.run([str(find_program("etcdutl")), *arguments], check=True, capture_output=True)
        with restored:
            check_users(restored)


@pytest.mark.skipif(OldEtcd.why_absent() is not None, reason=OldEtcd.why_absent() or "")
def test_a_log_of_etcd_3_4_holds_passwords_and_is_applied(tmp_path: Path) -> None:
    """Its database is behind by all of it."""
    theirs = OldEtcd(tmp_path, "--heartbeat-interval=10", "--election-timeout=100", "--backend-batch-interval=1h")
    theirs.start()
    side = Side(theirs)
    give_users(side)
    side.close()
    theirs.kill9()
    ours = moved(theirs, Etcdz, "ours")
    ours.flags = FAST
    with ours:
        check_users(ours)
        assert "password of" not in ours.log_path.read_text()


def test_tokens_survive_the_end_of_every_actor_and_of_the_member(tmp_path: Path) -> None:
    ours = Etcdz(tmp_path, *FAST)
    with ours:
        side = Side(ours)
        give_users(side)
        assert side.log_in("root", "password of root") and side.log_in("u", "password of u")
        for actor in ("backend", "raft", "wal", "listener-1"):
            kill = [*PROGRAM, "actors", "kill", actor, "--force", "--data-dir", str(ours.data_dir)]
            subprocess.run(kill, check=True, capture_output=True)
            assert must(side, "Range", pb.RangeRequest(key=b"a"), "u").count == 1
            must(side, "Put", pb.PutRequest(key=b"a", value=actor.encode()), "root")
        side.close()
        ours.kill9()
        ours.start()
        side.open()
        assert must(side, "Range", pb.RangeRequest(key=b"a"), "u").kvs[0].value == b"listener-1"
        must(side, "UserChangePassword", pb.AuthUserChangePasswordRequest(name="u", password="x"), "root")
        gone = side.ask(AuthCall("u", "Range", pb.RangeRequest(key=b"a")))
        assert gone.text == "UNAUTHENTICATED: etcdserver: invalid auth token"
        side.close()
