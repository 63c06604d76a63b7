"""etcdz starts on a data directory of etcd: all revisions and the same HashKV are there, etcd's are kept."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, Member, MemberFailed, NewEtcd, RealEtcd, find_program, free_port
from tests.offline.members import OldEtcd, call, hash_kv, put, put_many, write_history
from tests.offline.test_migrate import facts, files_of, moved, names
from tests.process.altered import altered

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.timeout(600),
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
FLAGS = ("--snapshot-count=20",)
TAKING = "taking over a data directory of etcd"
TOOK = "took over a data directory of etcd"


ETCDS = [RealEtcd, OldEtcd, NewEtcd]
RESTORE: dict[type[Member], list[str]] = {
    RealEtcd: [str(find_program("etcdutl"))],
    OldEtcd: ["/usr/bin/etcdctl"],
    NewEtcd: [str(Path(os.environ.get("NEW_ETCD", "/none/etcd")).with_name("etcdutl"))],
}


def need(kind: type[Member]) -> None:
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))


def ours_on(theirs: Member, *flags: str) -> Member:
    """An etcdz on the data directory of another member."""
    member = moved(theirs, Etcdz, "ours")
    member.flags = (*member.flags, *flags)
    return member


def logged(member: Member, text: str) -> dict[str, Any]:
    """The fields of the first line of a member's log that holds a text."""
    line = next(line for line in member.log_path.read_text().splitlines() if text in line)
    return dict(json.loads(line))


def refusal(member: Member) -> str:
    """Starts a member that must not start. return why it has not"""
    with pytest.raises(MemberFailed, match="exit code 1"):
        member.start()
    return str(json.loads(member.log_tail(1))["error"])


def restored(kind: type[Member], theirs: Member, *flags: str) -> None:
    """What `snapshot restore` of an etcd makes of its own snapshot takes the place of its data directory."""
    theirs.start()
    file = theirs.tmp_dir / "snapshot"
    environment = {**os.environ, "ETCDCTL_API": "3"}
    etcdctl = [str(find_program("etcdctl")), f"--endpoints={theirs.client_url}", "snapshot", "save", str(file)]
    subprocess.run(etcdctl, check=True, capture_output=True, env=environment)
    theirs.stop()
    shutil.rmtree(theirs.data_dir)
    where = [f"--data-dir={theirs.data_dir}", *flags]
    command = [*RESTORE[kind], "snapshot", "restore", str(file), *where]
    subprocess.run(command, check=True, capture_output=True, env=environment)


def ends() -> list[Any]:
    """Of each kind each way; in the usual form each kind, and each way once."""
    usual = [(RealEtcd, "killed"), (RealEtcd, "restored"), (OldEtcd, "stopped with snapshots")]
    pairs = [(kind, how) for kind in ETCDS for how in ("stopped", "stopped with snapshots", "killed", "restored")]
    marks = {pair: () if pair in usual or pair[0] is NewEtcd else pytest.mark.long for pair in pairs}
    return [pytest.param(*pair, marks=marks[pair]) for pair in pairs]


@pytest.mark.parametrize(("kind", "how"), ends())
def test_everything_is_there(kind: type[Member], how: str, tmp_path: Path) -> None:
    need(kind)
    theirs = kind(tmp_path, *(FLAGS if how == "stopped with snapshots" else ()))
    with theirs:
        write_history(theirs)
        expected = facts(theirs)
        if how == "killed":
            theirs.kill9()
    if how == "restored":
        restored(kind, theirs)
    before = files_of(theirs.data_dir / "member")
    with ours_on(theirs) as ours:
        assert facts(ours) == expected
        told = logged(ours, TOOK)
        assert (told["bytes"] > 10_000, told["kept"]) == (True, str(theirs.data_dir / "member.was-etcd"))
        if how != "killed":  # then the last entries come from the log
            assert told["keys"] == len(expected[1])  # type: ignore[arg-type]
        put(ours, b"goes on", b"1")
        expected = facts(ours)
    assert names(ours) == ["member", "member.was-etcd"]
    assert files_of(theirs.data_dir / "member.was-etcd") == before
    with ours:
        assert facts(ours) == expected
    assert ours.log_path.read_text().count(TOOK) == 1


def test_a_log_elsewhere_is_used_where_it_is(tmp_path: Path) -> None:
    theirs = RealEtcd(tmp_path, f"--wal-dir={tmp_path / 'wal'}")
    with theirs:
        put_many(theirs, 300, 50)
        expected = facts(theirs)
    without = ours_on(theirs)
    without.flags = ()
    assert "there is no log in" in refusal(without)
    with ours_on(theirs) as ours:
        assert facts(ours) == expected
    assert not (theirs.data_dir / "member" / "wal").exists()


def test_without_takeover_it_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    theirs = RealEtcd(tmp_path)
    with theirs:
        put_many(theirs, 300, 50)
    before = files_of(theirs.data_dir / "member")
    assert f"`etcdzutl migrate --data-dir {theirs.data_dir}`" in refusal(ours_on(theirs, "--takeover=false"))
    assert files_of(theirs.data_dir / "member") == before and names(theirs) == ["member"]


def test_a_running_etcd_is_left_alone(tmp_path: Path) -> None:
    with RealEtcd(tmp_path) as theirs:
        put(theirs, b"k", b"v")
        assert "snap/db is in use by a running etcd" in refusal(ours_on(theirs))
        assert names(theirs) == ["member"]
        put(theirs, b"k", b"w")


def test_what_etcd_has_used_again_is_not_guessed_about(tmp_path: Path) -> None:
    """Beside ours: refused until one of the two is gone. In its old place: it counts, and is taken over anew."""
    theirs = RealEtcd(tmp_path)
    with theirs:
        put(theirs, b"first", b"1")
    ours = ours_on(theirs)
    with ours:
        put(ours, b"second", b"2")
        expected = facts(ours)
    with moved(theirs, RealEtcd, "again") as again:
        put(again, b"third", b"3")
        newer = facts(again)
    why = refusal(ours)
    assert "holds both db and leveldb" in why and "remove or move away the one that is not in use" in why
    (theirs.data_dir / "member/snap/leveldb").rename(tmp_path / "leveldb")
    with ours:
        assert facts(ours) == newer
    (theirs.data_dir / "member").rename(tmp_path / "later")
    (theirs.data_dir / "member.was-etcd").rename(theirs.data_dir / "member")
    with ours:
        assert hash_kv(ours) != expected[0] and hash_kv(ours)[2] == 2


def test_snapshots_that_are_newer_than_the_database(tmp_path: Path) -> None:
    """The log reaches back to what the database has applied: all is there. etcd itself does not start on it."""
    theirs = RealEtcd(tmp_path, *FLAGS)
    with theirs:
        put_many(theirs, 200, 50)
    database = theirs.data_dir / "member/snap/db"
    old = database.read_bytes()
    with theirs:
        for number in range(70):
            put(theirs, b"later/%d" % number, b"1")
        expected = facts(theirs)
    database.write_bytes(old)
    with ours_on(theirs) as ours:
        assert facts(ours) == expected


def copied(original: Path, theirs: Member) -> Member:
    """An etcd that has not run yet, on a copy of all that lies beside and in the data directory of another."""
    shutil.copytree(original, theirs.tmp_dir, dirs_exist_ok=True)
    return theirs


@pytest.fixture(scope="module")
def cut_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("cut")
    theirs = RealEtcd(top, "--snapshot-count=10")
    with theirs:
        put(theirs, b"first", b"1")
    (theirs.data_dir / "member/snap/db").rename(top / "old")
    shutil.copyfile(top / "old", theirs.data_dir / "member/snap/db")
    with theirs:
        for number in range(80):
            put(theirs, b"large/%d" % (number % 5), bytes(1_000_000))
    sorted((theirs.data_dir / "member/wal").glob("*.wal"))[0].unlink()
    return top


@pytest.fixture
def cut(cut_once: Path, tmp_path: Path) -> Member:
    """An etcd that has ended, whose log has lost its first segment: that was released, as everything in it was old.

    Beside it lies `old`, its database as it was at the beginning.
    """
    return copied(cut_once, RealEtcd(tmp_path, "--snapshot-count=10"))


def test_a_log_without_its_head_needs_none(cut: Member) -> None:
    with cut:
        expected = facts(cut)
    with ours_on(cut) as ours:
        assert facts(ours) == expected


def test_a_database_that_is_older_than_the_log_is_refused(cut: Member, tmp_path: Path) -> None:
    shutil.copyfile(tmp_path / "old", cut.data_dir / "member/snap/db")
    why = refusal(ours_on(cut))
    assert "what is between is not in the log" in why and "etcdzutl snapshot restore" in why, why
    assert names(cut) == ["member"]


def test_no_database_at_all_is_refused_if_the_log_does_not_say_everything(cut: Member) -> None:
    (cut.data_dir / "member/snap/db").unlink()
    why = refusal(ours_on(cut))
    assert "begins at entry" in why and "no store in" in why and "etcdzutl snapshot restore" in why, why


def test_a_damaged_database_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    theirs = RealEtcd(tmp_path)
    with theirs:
        put_many(theirs, 300, 100)
    database = theirs.data_dir / "member/snap/db"
    data = bytearray(database.read_bytes())
    data[3 * 4096 : 40 * 4096] = bytes(37 * 4096)
    database.write_bytes(data)
    before = files_of(theirs.data_dir / "member")
    assert f"in file '{database}' at position: " in refusal(ours_on(theirs))
    assert files_of(theirs.data_dir / "member") == before and names(theirs) == ["member"]


@pytest.fixture(scope="module")
def large_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[object, ...]]:
    top = tmp_path_factory.mktemp("large")
    with RealEtcd(top) as theirs:
        put_many(theirs, 20_000, 400)
        return top, facts(theirs)


@pytest.fixture
def large(large_once: tuple[Path, tuple[object, ...]], tmp_path: Path) -> tuple[Member, tuple[object, ...]]:
    """An etcd with some 8 MB that has ended, and its facts."""
    original, expected = large_once
    return copied(original, RealEtcd(tmp_path)), expected


@contextmanager
def taking_over(member: Member) -> Iterator[None]:
    """It runs, and is about to read etcd's database. Afterwards it does not run."""
    member.tmp_dir.mkdir(exist_ok=True)
    member.client_port, member.peer_port = free_port(), free_port()
    member._spawn()
    try:
        member.wait_for_log(TAKING)
        yield
    finally:
        member.kill9()


SLOW = """
import time
from etcdz.migration import conversion

def slowly(rows):
    for row in rows:
        time.sleep(0.02)
        yield row

file_rows = conversion.file_rows
conversion.file_rows = lambda file: slowly(file_rows(file))
"""
"""The 20,000 rows take minutes on any machine, and a signal comes in the middle of them."""


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_stops_it_at_once_and_cleanly(
    how: signal.Signals, large: tuple[Member, tuple[object, ...]], tmp_path: Path
) -> None:
    theirs, expected = large
    ours = ours_on(theirs)
    ours.env = altered(tmp_path, SLOW)
    with taking_over(ours):
        os.kill(ours.pid, how)
        assert ours.wait() == -how
    assert TOOK not in ours.log_path.read_text(), "it has not waited until it was done"
    assert names(ours) == ["member"] and sorted(path.name for path in ours.data_dir.iterdir()) == [
        "etcdz.lock",
        "member",
    ]
    ours.env = {}
    with ours:
        assert facts(ours) == expected


@pytest.mark.parametrize("whom", ["all", "the supervisor", pytest.param("the process", marks=pytest.mark.long)])
def test_a_kill_at_any_moment(whom: str, large: tuple[Member, tuple[object, ...]], seed: int, is_long: bool) -> None:
    theirs, expected = large
    pristine = theirs.data_dir.with_name("pristine")
    shutil.copytree(theirs.data_dir, pristine)
    before = files_of(pristine / "member")
    rng = random.Random(seed)
    for _ in range(10 if is_long else 1):
        shutil.rmtree(theirs.data_dir)
        shutil.copytree(pristine, theirs.data_dir)
        ours = ours_on(theirs)
        with taking_over(ours):
            time.sleep(rng.uniform(0, 1.5))  # the moment, not something to wait for
            victims = ours.processes()
            if whom != "all" and victims:
                os.kill(victims[0 if whom == "the supervisor" else -1].pid, signal.SIGKILL)
        with ours:
            assert facts(ours) == expected
        assert names(ours) == ["member", "member.was-etcd"]
        assert files_of(ours.data_dir / "member.was-etcd") == before


def test_leases_and_alarms_come_along(tmp_path: Path) -> None:
    theirs = RealEtcd(tmp_path)
    with theirs:
        granted = call(theirs, "Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=600), pb.LeaseGrantResponse)
        put(theirs, b"leased", b"1", lease=granted.ID)
    with ours_on(theirs) as ours:
        asked = pb.LeaseTimeToLiveRequest(ID=granted.ID, keys=True)
        lease = call(ours, "Lease/LeaseTimeToLive", asked, pb.LeaseTimeToLiveResponse)
        assert (lease.grantedTTL, list(lease.keys)) == (600, [b"leased"])
