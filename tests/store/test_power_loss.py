"""Only what was synced survives a power loss for sure; of the rest, some first part. Never a hole."""

import shutil
from pathlib import Path
from random import Random

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.leveldb import LevelStore
from etcdz.store.log_tail import BLOCK_BYTES, sound_bytes

TERM = 3
KEYS = 40


def _commit_puts(mvcc: Mvcc, count: int, index: int, rng: Random, sizes: dict[int, int], log: Path | None) -> int:
    """count batches of a few puts each, raft index by raft index. return the last index."""
    for _ in range(count):
        for _ in range(rng.randrange(1, 5)):
            index += 1
            key, value = b"key-%02d" % rng.randrange(KEYS), b"%d." % index + bytes(rng.randrange(2000))
            mvcc.put(pb.PutRequest(key=key, value=value))
        mvcc.state.commit(index, TERM)
        if log is not None:
            sizes[index] = log.stat().st_size
    return index


def _newest_log(path: Path) -> Path:
    return max(path.glob("*.log"))


DAMAGES = ["cut", *[pytest.param(damage, marks=pytest.mark.slow) for damage in ("zeros", "noise", "lost page")]]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_left_is_the_state_after_some_raft_entry(tmp_path: Path, damage: str) -> None:
    rng = Random(damage)
    origin = tmp_path / "origin"
    store = LevelStore(origin, switch_bytes=60_000)
    mvcc = Mvcc(store, 1, 2)
    index = _commit_puts(mvcc, 150, 0, rng, {}, None)
    mvcc.state.commit(index, TERM, sync=True)
    flushed = mvcc.state.flushed_index
    log = _newest_log(origin)
    synced_bytes = log.stat().st_size
    store._switch_bytes = 1 << 30
    sizes = {flushed: synced_bytes}
    index = _commit_puts(mvcc, 60, index, rng, sizes, log)
    assert _newest_log(origin) == log
    store.close()  # so that no background work goes on; it leaves the log as it is
    for trial in range(6):
        copy = tmp_path / f"copy-{trial}"
        shutil.copytree(origin, copy)
        kept = rng.randrange(synced_bytes, log.stat().st_size + 1)
        intact = _damage(copy / log.name, kept, synced_bytes, damage, rng)
        _check(copy, flushed, index, max(at for at, size in sizes.items() if size <= intact))


def _damage(log: Path, kept: int, synced: int, damage: str, rng: Random) -> int:
    """Does to a log what a power loss can do behind `synced`. return how many bytes are certainly as they were."""
    data = bytearray(log.read_bytes())
    if damage == "cut":
        del data[kept:]
    elif damage == "zeros":
        data[kept:] = bytes(len(data) - kept)
    elif damage == "noise":
        data[kept:] = rng.randbytes(len(data) - kept)
    else:
        data[kept : kept + 4096] = bytes(len(data[kept : kept + 4096]))
    log.write_bytes(data)
    return kept


def _check(path: Path, flushed: int, last: int, expected: int) -> None:
    """The store opens, and every revision up to its consistent index is there: one raft entry is one revision here."""
    store = LevelStore(path)
    mvcc = Mvcc(store, 1, 2)
    assert flushed <= mvcc.state.consistent_index <= last
    assert mvcc.state.consistent_index == expected, "and no more is lost than has to be"
    assert mvcc.state.revision == mvcc.state.consistent_index + 1
    for revision in range(2, mvcc.state.revision + 1):
        answer = pb.RangeResponse.FromString(
            mvcc.range(pb.RangeRequest(key=b"\0", range_end=b"\0", revision=revision, min_mod_revision=revision))[2]
        )
        assert [kv.value.partition(b".")[0] for kv in answer.kvs] == [b"%d" % (revision - 1)]
    store.close()


def _log(records: list[bytes]) -> bytes:
    """A LevelDB log of whole records, each cut into fragments at block ends, as its format says."""
    out = bytearray()
    for record in records:
        first, left = True, record
        while first or left:
            room = BLOCK_BYTES - len(out) % BLOCK_BYTES
            if room < 7:
                out += bytes(room)
                room = BLOCK_BYTES
            part, left = left[: room - 7], left[room - 7 :]
            kind = (1 if not left else 2) if first else (4 if not left else 3)
            body = bytes([kind]) + part
            crc = google_crc32c.value(body)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            out += masked.to_bytes(4, "little") + len(part).to_bytes(2, "little") + body
            first = False
    return bytes(out)


_sizes = st.one_of(st.integers(0, 300), st.sampled_from([BLOCK_BYTES - 7, BLOCK_BYTES - 8, BLOCK_BYTES - 14, 70_000]))


@given(st.lists(_sizes, max_size=6), st.data())
def test_a_log_is_sound_up_to_its_last_whole_record(sizes: list[int], data: st.DataObject) -> None:
    records = [bytes([65 + i]) * size for i, size in enumerate(sizes)]
    ends = [len(_log(records[:i])) for i in range(len(records) + 1)]
    log = _log(records)
    assert sound_bytes(log) == ends[-1]
    cut = data.draw(st.integers(0, len(log)))
    assert sound_bytes(log[:cut]) == max(end for end in ends if end <= cut)
    if log:
        at = data.draw(st.integers(0, len(log) - 1))
        flipped = log[:at] + bytes([log[at] ^ 0x10]) + log[at + 1 :]
        before = max(end for end in ends if end <= at)
        assert sound_bytes(flipped) in (before, ends[-1]), "a flip in the zeros at a block's end does not count"
