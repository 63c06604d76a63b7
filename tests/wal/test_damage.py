"""Damaged segments: what a crash leaves is cut off, anything else is refused with file and offset."""

import pytest

from etcdz.wal import record as rec
from etcdz.wal.files import WalCorrupt, WalMismatch
from etcdz.wal.log import Log, LogOptions, Recovered
from tests.wal.conftest import Case, fake_case
from tests.wal.samples import entries, entry, hard_state

SMALL = LogOptions(segment_bytes=16_384)
FIRST = "0000000000000000-0000000000000000.wal"


def built(case: Case, *batches: list[bytes]) -> list[int]:
    """A log of these batches of entries, each synced, closed again; return where each batch ends."""
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    ends = [end_of(case.read(FIRST))]
    for batch in batches:
        log.append(batch, log.last_index + 1)
        log.sync()
        ends.append(end_of(case.read(FIRST)))
    log.close()
    return ends


def end_of(content: bytes) -> int:
    at = 0
    while at < len(content) and content[at : at + 8] != bytes(8):
        at = rec.decode_frame(content, at).after
    return at


def frames_of(content: bytes) -> list[int]:
    """Where each frame begins."""
    offsets = [0]
    while offsets[-1] < end_of(content):
        offsets.append(rec.decode_frame(content, offsets[-1]).after)
    return offsets[:-1]


def reopened(case: Case) -> tuple[Log, Recovered]:
    log, recovered = Log.open(case.disk, case.wal, options=SMALL)
    assert log.read_entries(1) == entries(1, recovered.last_index + 1, data=LONG)[: recovered.last_index]
    return log, recovered


LONG = b"value" * 60


@pytest.mark.parametrize("data", [b"value" * 60, b"", bytes(300)], ids=["text", "empty", "zeros"])
def test_the_last_record_cut_at_every_offset_is_cut_off(case: Case, data: bytes) -> None:
    built(case, entries(1, 4, data=data))
    content = case.read(FIRST)
    last, end = frames_of(content)[-1], end_of(content)
    for size in range(last, end):
        case.write(FIRST, content[:size])
        log, recovered = Log.open(case.disk, case.wal, options=SMALL)
        assert recovered.last_index == 2
        assert (recovered.torn is None) == (size == last)
        if recovered.torn:
            assert recovered.torn[:2] == (f"{case.wal}/{FIRST}", last)
        # It goes on as if nothing had been.
        log.append([entry(3, term=2)], 3)
        log.sync()
        log.close()
        log, recovered = Log.open(case.disk, case.wal, options=SMALL)
        assert recovered.torn is None
        assert log.read_entries(1) == [*entries(1, 3, data=data), entry(3, term=2)]
        log.close()


def test_every_flipped_byte_in_the_middle_is_refused_with_file_and_offset() -> None:
    case = fake_case()
    built(case, entries(1, 3, data=bytes(20)), [entry(3, data=b"x" * 40)], entries(4, 6))
    content = case.read(FIRST)
    frames = frames_of(content)
    for at in range(frames[-1]):
        for value in {content[at] ^ 1, content[at] ^ 0xFF, 0} - {content[at]}:
            case.write(FIRST, content[:at] + bytes([value]) + content[at + 1 :])
            with pytest.raises(WalCorrupt) as caught:
                Log.open(case.disk, case.wal, options=SMALL)
            begin = max(frame for frame in frames if frame <= at)
            # The crc record that opens a segment has nothing before it, so that the next record finds its damage.
            assert caught.value.offset == begin or (begin == 0 and caught.value.offset == frames[1])
            assert caught.value.path == f"{case.wal}/{FIRST}"
            assert str(caught.value.offset) in str(caught.value) and caught.value.path in str(caught.value)


def test_a_flipped_byte_in_the_last_record_is_refused_too() -> None:
    """Its sectors are there and not zero: no crash does that."""
    case = fake_case()
    built(case, entries(1, 4, data=LONG))
    content = case.read(FIRST)
    last, end = frames_of(content)[-1], end_of(content)
    for at in range(last, end):
        case.write(FIRST, content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(WalCorrupt) as caught:
            Log.open(case.disk, case.wal, options=SMALL)
        assert caught.value.offset == last


def test_lost_sectors_of_the_last_write_are_cut_off() -> None:
    """Any of the sectors of one write may be lost; what lies before the first loss stays."""
    case = fake_case()
    before, *_ = built(case, entries(1, 12, data=LONG))
    content = case.read(FIRST)
    frames, end = frames_of(content), end_of(content)
    for lost in range(before // 512, end // 512 + 1):
        lo, hi = max(before, lost * 512), min(lost * 512 + 512, end)
        case.write(FIRST, content[:lo] + bytes(hi - lo) + content[hi:])
        log, recovered = reopened(case)
        assert recovered.torn is not None
        assert recovered.torn.offset == max(frame for frame in frames if frame <= lo or frame == before)
        content_now = case.read(FIRST)
        assert content_now[recovered.torn.offset :] == bytes(SMALL.segment_bytes - recovered.torn.offset)
        log.close()


def test_lost_sectors_before_the_last_segment_are_refused(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 100, data=LONG), 1)
    log.sync()
    assert len(log.segments) == 2
    log.close()
    content = case.read(FIRST)
    case.write(FIRST, content[:5120] + bytes(512) + content[5632:])
    with pytest.raises(WalCorrupt, match=FIRST):
        Log.open(case.disk, case.wal, options=SMALL)
    # Even at a frame's boundary: the sum of the next segment does not follow.
    case.write(FIRST, content[: frames_of(content)[-1]])
    second = f"{log.directory}/{case.disk.list(case.wal)[1]}"
    with pytest.raises(WalCorrupt, match="crc mismatch with the segment before") as caught:
        Log.open(case.disk, case.wal, options=SMALL)
    assert (caught.value.path, caught.value.offset) == (second, 0)


def test_a_missing_segment_is_noticed(case: Case) -> None:
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    for lo in (1, 101, 201):
        log.append(entries(lo, lo + 100, data=LONG), lo)
        log.sync()
    log.close()
    names = case.disk.list(case.wal)
    assert len(names) == 4
    case.disk.remove(f"{case.wal}/{names[1]}")
    with pytest.raises(WalMismatch, match=f"'{names[2]}' follows '{names[0]}'"):
        Log.open(case.disk, case.wal, options=SMALL)
    case.disk.remove(f"{case.wal}/{names[0]}")
    with pytest.raises(WalMismatch, match="file not found which matches the snapshot index '0'"):
        Log.open(case.disk, case.wal, options=SMALL)


def test_a_missing_last_segment_is_noticed_by_what_was_committed() -> None:
    case = fake_case()
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 10), 1, hard_state(commit=0))
    log.append(entries(10, 11), 10, hard_state(commit=11))
    log.sync()
    log.close()
    with pytest.raises(WalCorrupt, match="the log ends at 10, but 11 was committed"):
        Log.open(case.disk, case.wal, options=SMALL)


def test_a_segment_without_a_head_is_refused(case: Case) -> None:
    built(case, entries(1, 3))
    for content in (b"", bytes(4096), b"\0" * 7):
        case.write(FIRST, content)
        with pytest.raises(WalCorrupt, match=r"segment without metadata|ends inside"):
            Log.open(case.disk, case.wal, options=SMALL)
    frame, _ = rec.encode_frame(rec.ENTRY, entry(1), 0)
    case.write(FIRST, frame)
    with pytest.raises(WalCorrupt, match="does not begin with a crc record"):
        Log.open(case.disk, case.wal, options=SMALL)
    case.write(FIRST, rec.encode_crc_frame(0) + frame)
    with pytest.raises(WalCorrupt, match="segment without metadata"):
        Log.open(case.disk, case.wal, options=SMALL)


@pytest.mark.parametrize(
    "kind, data, why",
    [
        (rec.ENTRY, entry(5), "entry 5 follows entry 0"),
        (rec.ENTRY, b"\x08\x00", "not an entry"),
        (rec.HARD_STATE, b"\x08\x00", "no hard state"),
        (rec.HARD_STATE, entry(1), "no hard state"),
        (rec.HARD_STATE, entry(1, 7, b""), "no hard state"),
        (rec.HARD_STATE, b"\x08\x00\x10\x01\x18\x01", "hard state of term 0 follows one of term 1"),
        (rec.SNAPSHOT, b"\x10\x00", "no snapshot marker"),
        (rec.METADATA, b"another", "conflicting metadata found"),
        (9, b"", "unexpected block type 9"),
    ],
)
def test_records_that_make_no_sense_are_refused(kind: int, data: bytes, why: str) -> None:
    case = fake_case()
    built(case)
    content = case.read(FIRST)
    end = end_of(content)
    crc = rec.decode_frame(content, frames_of(content)[-1]).crc
    frame, _ = rec.encode_frame(kind, data, crc)
    case.write(FIRST, content[:end] + frame)
    with pytest.raises(WalCorrupt, match=why) as caught:
        Log.open(case.disk, case.wal, options=SMALL)
    assert caught.value.offset == end


def test_reading_back_checks_what_the_disk_gives() -> None:
    case = fake_case()
    log = Log.create(case.disk, case.wal, b"meta", SMALL)
    log.append(entries(1, 10), 1)
    log.sync()
    content = case.read(FIRST)
    at = frames_of(content)[6]
    file = case.disk.open(f"{case.wal}/{FIRST}", write=True)
    file.write(at + 20, b"?")
    with pytest.raises(WalCorrupt) as caught:
        log.read_entries(1)
    assert caught.value.offset == at
