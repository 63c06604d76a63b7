"""Frames: one list of (kind, data, crc before, bytes), read both ways, and cut at every offset."""

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.proto import raftpb, walpb
from etcdz.wal import record as rec
from etcdz.wal.record import BadRecord, HardState, Marker
from tests.wal.samples import entry

# Read off a data directory of etcd 3.5.1.
FRAMES = [
    (
        rec.METADATA,
        "08cdd2918bd2b881cf8e0110b298eaf1948386fccd01",
        0,
        "2000000000000000 0801 10bb81c7fc05 1a16 08cdd2918bd2b881cf8e0110b298eaf1948386fccd01",
    ),
    (rec.SNAPSHOT, "08001000", 0x5F91C0BB, "0e00000000000082 0805 1094bbc7ed0e 1a04 08001000 0000"),
    (rec.HARD_STATE, "080110001801", 0xB2A4B742, "1000000000000000 0803 109de0f2d109 1a06 080110001801"),
    (rec.ENTRY, "080010021802", 0x9A3CB01D, "1000000000000000 0802 10dec2d8d50e 1a06 080010021802"),
    (
        rec.ENTRY,
        "0800100218112219220a0a036b31331203763133a2060a08918cfaf4c3c0e8a669",
        0xAE142230,
        # a crc below 2**28, and so a shorter one
        "2a00000000000086 0802 1090f2db05 1a21"
        " 0800100218112219220a0a036b31331203763133a2060a08918cfaf4c3c0e8a669 000000000000",
    ),
]


@pytest.mark.parametrize("kind, data, crc, frame", FRAMES)
def test_a_frame_is_what_etcd_writes(kind: int, data: str, crc: int, frame: str) -> None:
    made, _ = rec.encode_frame(kind, bytes.fromhex(data), crc)
    assert made.hex() == frame.replace(" ", "")


@pytest.mark.parametrize("kind, data, crc, frame", FRAMES)
def test_a_frame_is_read_back_with_bytes_after_it(kind: int, data: str, crc: int, frame: str) -> None:
    buf = bytes.fromhex(frame)
    found = rec.decode_frame(buf + b"more", 0)
    assert (found.kind, buf[found.start : found.stop].hex(), found.after) == (kind, data, len(buf))
    assert found.crc == google_crc32c.extend(crc, bytes.fromhex(data))


@pytest.mark.parametrize("kind, data, crc, frame", FRAMES)
def test_a_frame_cut_anywhere_is_bad(kind: int, data: str, crc: int, frame: str) -> None:
    buf = bytes.fromhex(frame)
    for length in range(1, len(buf)):
        with pytest.raises(BadRecord):
            rec.decode_frame(buf[:length], 0)
        assert rec.decode_usual_entry(buf[:length], 0) is None


def test_a_segment_opens_with_the_crc_so_far() -> None:
    assert rec.encode_crc_frame(0).hex() == "04000000000000840804100000000000"
    frame = rec.encode_crc_frame(0xDEADBEEF)
    assert rec.decode_frame(frame, 0)[:2] == (rec.CRC, 0xDEADBEEF)


@pytest.mark.parametrize("at", [0, 1, 7, 8, 10, 29, 30, 31])
def test_what_no_sum_covers_is_checked_too(at: int) -> None:
    """The length field, the tags and the padding: one flipped bit in each is found."""
    frame, _ = rec.encode_frame(rec.HARD_STATE, b"\x08\x01\x10\x00\x18\x80\x80\x01", 9)
    assert len(frame) == 32 and frame[7] == 0x86
    for bit in range(8):
        flipped = bytearray(frame)
        flipped[at] ^= 1 << bit
        with pytest.raises(BadRecord):
            rec.decode_frame(bytes(flipped) + frame * 20, 0)


@given(st.lists(st.tuples(st.integers(0, 2**33), st.integers(1, 2**40), st.binary(max_size=20_000)), max_size=8))
def test_frames_in_bulk_are_what_protobuf_makes_of_records(some: list[tuple[int, int, bytes]]) -> None:
    entries = [entry(index, term, data) for index, term, data in some]
    pieces: list[bytes] = []
    crc = rec.encode_frames(rec.ENTRY, entries, 7, pieces)
    expected, expected_crc = b"", 7
    for data in entries:
        expected_crc = google_crc32c.extend(expected_crc, data)
        record = walpb.Record(type=rec.ENTRY, crc=expected_crc, data=data).SerializeToString()
        pad = -len(record) % 8
        top = bytes([0x80 | pad]) if pad else b"\0"
        expected += len(record).to_bytes(7, "little") + top + record + bytes(pad)
    assert (b"".join(pieces), crc) == (expected, expected_crc)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**33), st.integers(0, 300), st.binary(max_size=300))
def test_the_quick_decoder_agrees_with_the_general_one_or_leaves_it_alone(
    crc: int, index: int, term: int, data: bytes
) -> None:
    frame, _ = rec.encode_frame(rec.ENTRY, entry(index, term, data), crc)
    buf = bytes(8) + frame + bytes(40)
    usual = rec.decode_usual_entry(buf, 8)
    found = rec.decode_frame(buf, 8)
    position = rec.decode_position(buf[found.start : found.stop])
    assert position == (term, index)
    if usual is not None:
        assert usual == (found.crc, found.start, found.stop, found.after, term, index)
    if term < 128 and index < 2**28 and found.crc >= 2**28 and len(data) > 3:
        assert usual is not None


@given(st.binary(max_size=80))
def test_no_bytes_upset_the_decoders(junk: bytes) -> None:
    for buf in (junk, bytes.fromhex("1000000000000000") + junk):
        try:
            frame = rec.decode_frame(buf, 0)
        except BadRecord:
            assert rec.decode_usual_entry(buf, 0) is None
        else:
            assert frame.after <= len(buf)


@given(*[st.integers(0, 2**64 - 1)] * 3)
def test_hard_state_and_marker_are_protobuf(a: int, b: int, c: int) -> None:
    state = raftpb.HardState(term=a, vote=b, commit=c).SerializeToString()
    assert rec.encode_hard_state(HardState(a, b, c)) == state
    assert rec.decode_hard_state(state) == HardState(a, b, c)
    conf_state = raftpb.ConfState(voters=[c], auto_leave=False)
    marker = walpb.Snapshot(index=a, term=b, conf_state=conf_state).SerializeToString()
    assert rec.encode_marker(Marker(a, b), conf_state.SerializeToString()) == marker
    assert rec.decode_marker(marker) == Marker(a, b)


def test_a_change_of_the_configuration_may_be_empty_only_in_its_second_form() -> None:
    """An empty ConfChangeV2 leaves a joint configuration; an empty ConfChange is nothing but like a hard state."""
    leave = raftpb.Entry(Type=2, Term=3, Index=9).SerializeToString()
    assert rec.decode_position(leave) == (3, 9)
    with pytest.raises(rec.BadRecord):
        rec.decode_position(raftpb.Entry(Type=1, Term=3, Index=9).SerializeToString())


@pytest.mark.parametrize(
    ("encoded", "position"),
    [
        ("10021802", (2, 2)),
        ("10ac0218dc0b2203616263", (300, 1500)),
        ("080010021802", (2, 2)),
        ("0801100118012201ff", (1, 1)),
    ],
)
def test_from_3_7_on_an_entry_begins_with_its_term_if_its_type_is_zero(encoded: str, position: tuple[int, int]) -> None:
    assert rec.decode_position(bytes.fromhex(encoded)) == position


@pytest.mark.parametrize("encoded", ["", "08", "0810", "10", "1002", "1802", "18021002", "0803100118012201ff"])
def test_what_is_no_entry_in_either_form_is_refused(encoded: str) -> None:
    with pytest.raises(rec.BadRecord):
        rec.decode_position(bytes.fromhex(encoded))
