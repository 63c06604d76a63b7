"""What a power loss or a bad disk leaves of log files, made by hand. The member must not be running.

The frames of a WAL segment are walked here without etcdz's own reader: 8 bytes of length (low 56 bits the record's,
top byte 0x80 | padding), the record, the padding.
"""

import random
from pathlib import Path
from typing import Final, NamedTuple

from etcdz.proto import raftpb, walpb
from tests.process.load import Record

SECTOR_BYTES: Final = 512
_HARD_STATE, _SNAPSHOT = 3, 5


class Frame(NamedTuple):
    """lo..hi of a frame in its file, and where its record lies."""

    lo: int
    hi: int
    record_lo: int
    record_hi: int


def wal_dir(data_dir: Path) -> Path:
    return data_dir / "member" / "wal"


def leveldb_dir(data_dir: Path) -> Path:
    return data_dir / "member" / "snap" / "leveldb"


def segments(data_dir: Path) -> list[Path]:
    """Oldest first."""
    return sorted(wal_dir(data_dir).glob("*.wal"))


def newest_snapshot(data_dir: Path) -> int:
    """Index of the newest .snap file, 0 if there is none."""
    return max((int(path.stem.split("-")[1], 16) for path in (data_dir / "member" / "snap").glob("*.snap")), default=0)


def frames(data: bytes) -> list[Frame]:
    out = []
    at = 0
    while at + 8 <= len(data):
        field = int.from_bytes(data[at : at + 8], "little")
        if not field:
            break
        length, top = field & ((1 << 56) - 1), field >> 56
        padding = top & 7 if top & 0x80 else 0
        out.append(Frame(at, at + 8 + length + padding, at + 8, at + 8 + length))
        at += 8 + length + padding
    return out


def markers(data_dir: Path) -> list[tuple[int, int]]:
    """(index of a snapshot's marker, commit index of the last hard state before it) of all that the log holds."""
    out = []
    commit = 0
    for segment in segments(data_dir):
        data = segment.read_bytes()
        for frame in frames(data):
            record = walpb.Record.FromString(data[frame.record_lo : frame.record_hi])
            if record.type == _HARD_STATE:
                commit = raftpb.HardState.FromString(record.data).commit
            elif record.type == _SNAPSHOT:
                out.append((walpb.Snapshot.FromString(record.data).index, commit))
    return out


def promised(data_dir: Path, record: Record) -> int:
    """Offset in the last segment up to which everything was synced for sure: behind the last acknowledged write.

    The order of the log is the order of revisions, and a segment is synced from its begin.
    """
    segment = segments(data_dir)[-1]
    data = segment.read_bytes()
    acknowledged = [op for op in record.ops if op.acknowledged and op.applied]
    newest = max(acknowledged, key=lambda op: op.revision)
    found = data.rfind(newest.keys[-1])
    if found < 0:
        return frames(data)[0].hi
    return next(frame.hi for frame in frames(data) if found < frame.hi)


def tear_wal(data_dir: Path, record: Record, rng: random.Random) -> str:
    """Of what was perhaps not synced: sectors that never reached the disk hold zeros. return what was done"""
    segment = segments(data_dir)[-1]
    data = bytearray(segment.read_bytes())
    lo = promised(data_dir, record)
    hi = frames(bytes(data))[-1].hi
    first = -(-lo // SECTOR_BYTES)
    lost = [sector for sector in range(first, -(-hi // SECTOR_BYTES)) if rng.random() < 0.5]
    for sector in lost:
        at = sector * SECTOR_BYTES
        data[at : at + SECTOR_BYTES] = bytes(len(data[at : at + SECTOR_BYTES]))
    segment.write_bytes(data)
    return f"{segment.name}: of {lo}..{hi} lost {len(lost)} sectors"


def tear_leveldb(data_dir: Path, rng: random.Random) -> str:
    """Cuts the newest log of the store anywhere: nothing of it has been synced. return what was done

    Requires: fewer entries than --snapshot-count since the start, for the store syncs with each snapshot.
    """
    log = max(leveldb_dir(data_dir).glob("*.log"))
    size = log.stat().st_size
    keep = rng.randint(0, size)
    with log.open("r+b") as file:
        file.truncate(keep)
    return f"{log.name}: {keep} of {size} bytes left"


def flip_in_file(data_dir: Path, rng: random.Random) -> str:
    """One bit at any place that was written, in a file of the log or the store. return what was done"""
    store = [path for path in leveldb_dir(data_dir).iterdir() if path.name != "LOCK" and path.stat().st_size]
    snaps = list((data_dir / "member" / "snap").glob("*.snap"))
    path = rng.choice([rng.choice(segments(data_dir)), rng.choice(segments(data_dir)), rng.choice(store + snaps)])
    data = path.read_bytes()
    end = frames(data)[-1].hi if path.suffix == ".wal" else len(data)
    at, bit = rng.randrange(end), rng.randrange(8)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([data[at] ^ 1 << bit]))
    return f"{path.relative_to(data_dir)}: bit {bit} of byte {at} of {end}"
