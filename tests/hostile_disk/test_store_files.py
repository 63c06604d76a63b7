"""Damage in the files of the store: all acknowledged data is served, or the file is named and nothing is changed."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.store.table import find_bad_block
from tests.etcd_process import Member, MemberFailed
from tests.process.damage import leveldb_dir, segments
from tests.process.load import open_channel, unary
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

KEYS = 600
Damage = Callable[[Path], Path]


def flip(path: Path, at: int) -> Path:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    return path


def cut(path: Path, size: int) -> Path:
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def remove(path: Path) -> Path:
    path.unlink()
    return path


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def manifest(store: Path) -> Path:
    return store / (store / "CURRENT").read_text().strip()


def table(store: Path) -> Path:
    return max(store.glob("*.ldb"), key=lambda path: path.stat().st_size)


def log(store: Path) -> Path:
    return max(store.glob("*.log"))


def size(path: Path) -> int:
    return path.stat().st_size


DAMAGES: dict[str, Damage] = {
    "CURRENT missing": lambda store: remove(store / "CURRENT"),
    "CURRENT empty": lambda store: write(store / "CURRENT", b""),
    "CURRENT flipped": lambda store: flip(store / "CURRENT", 3),
    "CURRENT names a missing manifest": lambda store: write(store / "CURRENT", b"MANIFEST-999999\n"),
    "manifest missing": lambda store: remove(manifest(store)),
    "manifest flipped": lambda store: flip(manifest(store), 12),
    "manifest cut": lambda store: cut(manifest(store), 60),
    "table missing": lambda store: remove(table(store)),
    "table cut": lambda store: cut(table(store), size(table(store)) // 2),
    "table flipped in a block": lambda store: flip(table(store), 1000),
    "table flipped in its index": lambda store: flip(table(store), size(table(store)) - 80),
    "table flipped in its footer": lambda store: flip(table(store), size(table(store)) - 3),
    "log missing": lambda store: remove(log(store)),
    "log flipped in the middle": lambda store: flip(log(store), size(log(store)) // 2),
}


def hashes(directory: Path) -> dict[str, str]:
    """Of everything in member/ and below; the lock and the crash reports beside it say who came by."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (directory / "member").rglob("*")
        if path.is_file()
    }


def put_all(member: Member) -> None:
    with open_channel(member.target) as channel:
        put = unary(channel, "KV/Put", pb.PutResponse)
        for number in range(KEYS):
            put(pb.PutRequest(key=b"k%04d" % number, value=b"%d " % number * 100), timeout=20, wait_for_ready=True)


def read_all(member: Member) -> tuple[int, list[tuple[bytes, bytes, int]]]:
    with open_channel(member.target) as channel:
        read = unary(channel, "KV/Range", pb.RangeResponse)
        found = read(pb.RangeRequest(key=b"\0", range_end=b"\0"), timeout=20, wait_for_ready=True)
        return found.header.revision, [(kv.key, kv.value, kv.mod_revision) for kv in found.kvs]


class Original:
    """A stopped member's directory, with what it served. make: a member on a copy of it."""

    def __init__(self, trial: Trial, tmp_path: Path) -> None:
        member = trial.member
        put_all(member)
        member.stop()
        member.start()  # what is in LevelDB's log goes to tables
        with open_channel(member.target) as channel:
            put = unary(channel, "KV/Put", pb.PutResponse)
            for number in range(KEYS // 4):
                put(pb.PutRequest(key=b"k%04d" % number, value=b"again" * 50), timeout=20)
        self.contents = read_all(member)
        member.stop()
        self.path = tmp_path / "original"
        shutil.copytree(member.data_dir, self.path)
        self.member = member

    def damaged(self, damage: Damage) -> Path:
        """The file that is damaged now."""
        shutil.rmtree(self.member.data_dir)
        shutil.copytree(self.path, self.member.data_dir)
        return damage(leveldb_dir(self.member.data_dir))


def test_a_damaged_store_is_made_again_where_the_log_holds_all_of_history(
    make_trial: Callable[..., Trial], tmp_path: Path, is_long: bool
) -> None:
    original = Original(make_trial("--snapshot-count=200"), tmp_path)
    for name, damage in DAMAGES.items() if is_long else list(DAMAGES.items())[::3]:
        path = original.damaged(damage)
        original.member.start()
        assert read_all(original.member) == original.contents, name
        aside = list(path.parent.parent.glob("leveldb.damaged-*"))
        assert len(aside) == 1 or "manifest" in name, f"{name}: what was damaged is kept"
        original.member.stop()


def test_a_damaged_store_that_the_log_cannot_make_again_is_refused_and_left_as_it_is(
    make_trial: Callable[..., Trial], tmp_path: Path, is_long: bool
) -> None:
    original = Original(make_trial("--snapshot-count=200"), tmp_path)
    for name, damage in DAMAGES.items():
        if name.startswith("log"):
            continue
        path = original.damaged(damage)
        forget_history(original.member.data_dir)
        before = hashes(original.member.data_dir)
        print(name)
        with pytest.raises(MemberFailed) as caught:
            original.member.start()
        said = str(caught.value)
        assert path.name in said or "CURRENT" in name, f"{name}: {said}"
        assert "Nothing has been changed" in said and "snapshot restore" in said, name
        assert "Traceback" not in said, name
        assert hashes(original.member.data_dir) == before, name


def forget_history(data_dir: Path) -> None:
    """Names the only segment as if it began later: what a released one leaves behind cannot make the store again."""
    (segment,) = segments(data_dir)
    segment.rename(segment.with_name(segment.name.replace("-0000000000000000.", "-0000000000000100.")))


def test_a_junk_lock_file_is_no_reason_not_to_start(make_trial: Callable[..., Trial]) -> None:
    member = make_trial().member
    for junk in (b'{"incarnation":"y"}', b'{"pid":[],"incarnation":1e999}', b"\0\xff", b"[" * 4000):
        member.stop()
        write(member.data_dir / "etcdz.lock", junk)
        member.start()


def test_a_table_is_found_bad_wherever_a_bit_of_a_block_is_flipped(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    original = Original(make_trial(), tmp_path)
    whole = table(leveldb_dir(original.path))
    assert find_bad_block(whole) is None
    copy = tmp_path / "copy.ldb"
    for at in (0, 100, size(whole) // 2, size(whole) - 60, size(whole) - 1):
        shutil.copyfile(whole, copy)
        assert find_bad_block(flip(copy, at)) is not None, at
