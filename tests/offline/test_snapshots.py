"""Snapshots of etcdz served by real etcds, snapshots of real etcds served by etcdz: the same HashKV everywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from etcdz.bbolt import BoltFile
from etcdz.cli.utl import main as etcdzutl
from etcdz.proto import etcdserverpb as pb
from etcdz.store.disk import RealDisk
from tests.etcd_process import Etcdz, Member, RealEtcd, find_program
from tests.offline.members import OldEtcd, call, etcdctl, hash_kv, keys_of, members_of, put, put_many, write_history

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
ETCDS = [RealEtcd, pytest.param(OldEtcd, marks=pytest.mark.long)]
ENVIRONMENT = {**os.environ, "ETCDCTL_API": "3"}


def run(*words: object) -> str:
    """What a program prints. Fails with what it says if it fails."""
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def save(member: Member, path: Path, kind: type[Member] = RealEtcd) -> None:
    run(etcdctl(kind), f"--endpoints={member.client_url}", "snapshot", "save", path)


def need(kind: type[Member]) -> None:
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))


def rows_of(path: Path) -> dict[bytes, list[tuple[bytes, bytes]]]:
    source = RealDisk().open(str(path), write=False)
    file = BoltFile(source)
    file.check()
    rows = {name: list(file.rows(bucket, flat=True)) for name, bucket in file.buckets()}
    source.close()
    return rows


def status_lines(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """etcdzutl says the same of a file as etcdutl, in all formats."""
    for form in ("simple", "json", "fields", "table"):
        wanted = run(find_program("etcdutl"), "snapshot", "status", path, "-w", form)
        capsys.readouterr()
        assert etcdzutl(["snapshot", "status", str(path), "-w", form]) == 0
        assert capsys.readouterr().out == wanted


@pytest.mark.parametrize("kind", ETCDS)
def test_etcd_serves_a_snapshot_of_etcdz(
    kind: type[Member], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(kind)
    with Etcdz(tmp_path) as ours:
        write_history(ours)
        lease = call(ours, "Lease/LeaseGrant", pb.LeaseGrantRequest(ID=77, TTL=5000), pb.LeaseGrantResponse)
        put(ours, b"leased", b"1", lease=lease.ID)
        save(ours, tmp_path / "snap", kind)
        expected = hash_kv(ours), keys_of(ours)
    status_lines(tmp_path / "snap", capsys)
    theirs = kind(tmp_path)
    tool = find_program("etcdutl") if kind is RealEtcd else etcdctl(kind)
    run(tool, "snapshot", "restore", tmp_path / "snap", "--data-dir", theirs.data_dir)
    with theirs:
        assert (hash_kv(theirs), keys_of(theirs)) == expected
        left = call(
            theirs, "Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=77, keys=True), pb.LeaseTimeToLiveResponse
        )
        assert (left.grantedTTL, list(left.keys)) == (5000, [b"leased"])
        put(theirs, b"goes on", b"1")


@pytest.mark.parametrize("kind", ETCDS)
def test_etcdz_serves_a_snapshot_of_etcd(
    kind: type[Member], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(kind)
    with kind(tmp_path) as theirs:
        write_history(theirs)
        save(theirs, tmp_path / "snap", kind)
        expected = hash_kv(theirs), keys_of(theirs)
    status_lines(tmp_path / "snap", capsys)
    ours = Etcdz(tmp_path)
    assert etcdzutl(["snapshot", "restore", str(tmp_path / "snap"), "--data-dir", str(ours.data_dir)]) == 0
    with ours:
        assert (hash_kv(ours), keys_of(ours)) == expected
        assert [(name, urls) for _, name, urls in members_of(ours)] == [("default", ["http://localhost:2380"])]
        put(ours, b"goes on", b"1")
        save(ours, tmp_path / "again")
    before, after = rows_of(tmp_path / "snap"), rows_of(tmp_path / "again")
    assert after[b"key"][:-1] == before[b"key"]
    for bucket in (b"lease", b"alarm", b"auth", b"authUsers", b"authRoles"):
        assert after[bucket] == before[bucket]


def test_the_copy_of_a_stopped_etcds_database(tmp_path: Path) -> None:
    """No sum at its end: --skip-hash-check. Free pages, and pages that bbolt has split and merged."""
    with RealEtcd(tmp_path) as theirs:
        put_many(theirs, 1500, 300, rounds=2)
        call(theirs, "KV/Compact", pb.CompactionRequest(revision=20, physical=True), pb.CompactionResponse)
        put(theirs, b"large", bytes(1_000_000))
        expected = hash_kv(theirs)
        theirs.stop()
        database = theirs.data_dir / "member" / "snap" / "db"
        assert len(rows_of(database)[b"key"]) > 1500
    ours = Etcdz(tmp_path)
    arguments = ["snapshot", "restore", str(database), f"--data-dir={ours.data_dir}"]
    assert etcdzutl(arguments) == 1
    assert not (ours.data_dir / "member").exists()
    wal_dir = tmp_path / "elsewhere" / "wal"
    more = [
        "--skip-hash-check",
        "--name=other",
        "--initial-cluster=other=http://localhost:2380",
        f"--wal-dir={wal_dir}",
    ]
    assert etcdzutl([*arguments, *more]) == 0
    ours.flags = (f"--wal-dir={wal_dir}", "--name=other", "--initial-cluster=other=http://localhost:2380")
    with ours:
        assert hash_kv(ours) == expected
        assert members_of(ours)[0][1] == "other"


def damaged(path: Path, target: Path, change: Callable[[bytearray], object]) -> str:
    data = bytearray(path.read_bytes())
    change(data)
    target.write_bytes(data)
    return str(target)


def test_damaged_snapshots_are_refused_and_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Etcdz(tmp_path) as ours:
        put_many(ours, 300, 100)
        save(ours, tmp_path / "snap")
    cut = damaged(tmp_path / "snap", tmp_path / "cut", lambda data: data.__delitem__(slice(9000, None)))
    flip = damaged(tmp_path / "snap", tmp_path / "flip", lambda data: data.__setitem__(4096 * 3 + 8, 1))
    text = damaged(tmp_path / "snap", tmp_path / "text", lambda data: data.__setitem__(slice(None), b"text" * 5000))
    target = tmp_path / "out"
    for path, skip, why in (
        (cut, [], "truncated: 9000 bytes, but "),
        (flip, [], "Error: expected sha256 ["),
        (flip, ["--skip-hash-check"], f"in file '{flip}' at position: 12"),
        (text, [], "Error: invalid database: bbolt: not a bbolt file (wrong magic)"),
    ):
        capsys.readouterr()
        assert etcdzutl(["snapshot", "restore", path, "--data-dir", str(target), *skip]) == 1
        assert why in capsys.readouterr().err
        assert not target.exists() or list(target.iterdir()) == []
    assert etcdzutl(["snapshot", "status", flip]) == 1
    assert "integrity check failed. bbolt: branch element" in capsys.readouterr().err
    (target / "x").parent.mkdir(exist_ok=True)
    (target / "x").touch()
    assert etcdzutl(["snapshot", "restore", str(tmp_path / "snap"), "--data-dir", str(target)]) == 1
    assert f'data-dir "{target}" not empty or could not be read' in capsys.readouterr().err


def test_words_and_exit_codes_are_etcdutls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "snap").write_bytes(b"")
    for line in (
        "snapshot status",
        "snapshot status /nowhere/file",
        "snapshot status /tmp",
        "snapshot status a b",
        "snapshot status x -w protobuf",
        "snapshot restore --data-dir x",
        "snapshot restore a b --data-dir x",
        "snapshot restore x --data-dir y --name foo",
        "snapshot restore x --data-dir y --initial-cluster default=localhost:1",
    ):
        wanted = subprocess.run([str(find_program("etcdutl")), *line.split()], capture_output=True, text=True)
        capsys.readouterr()
        assert etcdzutl(line.split()) == wanted.returncode, line
        assert capsys.readouterr().err.splitlines()[-1:] == wanted.stderr.splitlines()[-1:], line


@pytest.mark.timeout(900)
def test_large_files_do_not_go_through_memory(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Restored, walked and written in a process of its own, whose peak is bounded, whatever the size of the file."""
    megabytes = 600 if request.config.getoption("--long", default=False) else 40
    code = f"""
import json, re, sys
from pathlib import Path
from actors.listener.snapshot_process import send
from etcdz.cli.utl import main
from etcdz.bbolt import BoltWriter
from etcdz.store.checkpoint import open_checkpoint
top = Path({str(tmp_path)!r})
with open(top / "big", "wb") as file:
    file.write(bytes(3 * 4096))
    writer = BoltWriter(file.write)
    value = bytes(900)
    keys = (n.to_bytes(8, "big") + b"_" + bytes(8) for n in range(2, {megabytes} * 1000))
    rows = writer.add_bucket(b"key", ((key, b"\\n\\1k*" + value) for key in keys))
    layout = writer.finish()
    file.seek(0)
    file.write(layout.head())
assert main(["snapshot", "status", str(top / "big")]) == 0
assert main(["snapshot", "restore", str(top / "big"), "--skip-hash-check", "--data-dir", str(top / "out")]) == 0
with open_checkpoint(top / "out/member/snap/leveldb", top) as store, open(top / "copy", "wb") as file:
    send(store, file)
status = Path("/proc/self/status").read_text()  # not ru_maxrss, which knows the parent's from before the exec
peak = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024
print(json.dumps([rows, (top / "copy").stat().st_size, peak]))
"""
    *_, last = run(sys.executable, "-c", code).splitlines()
    rows, size, resident_mib = json.loads(last)
    print(f"{megabytes} MB: {rows} rows, {size} bytes, {resident_mib} MiB at most")
    assert size > megabytes * 900_000 and resident_mib < 350
