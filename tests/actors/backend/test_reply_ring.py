"""The ring of replies, in a file that outlives the process."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.backend import reply_ring
from actors.backend.reply_ring import ReplyRing, decode_record, encode_record, smallest
from etcdz import limits

LATEST = 1 << 40


class Log:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str, **fields: Any) -> None:
        self.warnings.append(text)


class Rings:
    """One after the other over the same file, as incarnations of a backend."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = Log()
        self.opened: list[ReplyRing] = []

    def open(self, applied_index: int = LATEST) -> ReplyRing:
        self.close()
        self.opened.append(ReplyRing(str(self.path), applied_index, self.log))
        return self.opened[-1]

    def close(self) -> None:
        for ring in self.opened:
            ring.close()


@pytest.fixture
def rings(tmp_path: Path) -> Iterator[Rings]:
    rings = Rings(tmp_path / "replies")
    yield rings
    rings.close()


def test_each_receiver_finds_its_own_frames_oldest_first(rings: Rings) -> None:
    ring = rings.open()
    ring.add(3, {1: b"one", 2: b"two"})
    ring.add(9, {1: b"later"})
    for _ in range(2):
        assert ring.frames_for(1) == [b"one", b"later"]
        assert ring.frames_for(2) == [b"two"]
        assert ring.frames_for(30) == []
        ring = rings.open()


def test_a_batch_of_which_nothing_fits_does_not_hide_those_behind_it(rings: Rings) -> None:
    """Of replies of one size either all fit or none does."""
    replies = {1: [(number, 0, bytes(3 << 20)) for number in range(3)]}
    assert smallest(replies) == {}
    ring = rings.open()
    ring.add(3, {1: b"before"})
    ring.add(5, {})
    ring.add(9, {1: b"behind"})
    assert rings.open().frames_for(1) == [b"before", b"behind"]


@pytest.mark.parametrize("batches_of_each", [1, 3, 1_000])
def test_the_newest_batches_stay_also_over_restarts(rings: Rings, batches_of_each: int) -> None:
    newest = 5 * limits.REPLY_RING_BATCHES + 7
    ring = rings.open()
    for index in range(1, newest + 1):
        if index % batches_of_each == 0:
            ring = rings.open()
        ring.add(index, {1: b"%d" % index})
    kept = rings.open().frames_for(1)
    assert kept == [b"%d" % index for index in range(newest + 1 - len(kept), newest + 1)]
    assert limits.REPLY_RING_BATCHES <= len(kept) <= 2 * limits.REPLY_RING_BATCHES


def test_what_was_never_committed_is_not_sent_nor_found_again_later(rings: Rings) -> None:
    ring = rings.open()
    ring.add(3, {1: b"committed"})
    ring.add(5, {1: b"written by a backend that was killed before its batch was"})
    again = rings.open(applied_index=3)
    assert again.frames_for(1) == [b"committed"]
    assert rings.open(applied_index=9).frames_for(1) == [b"committed"]


@pytest.mark.parametrize("batches", [3, limits.REPLY_RING_BATCHES, 3 * limits.REPLY_RING_BATCHES])
def test_of_a_torn_write_nothing_is_taken_and_nothing_before_it_is_lost(
    rings: Rings, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was killed while it copied the record of batch `batches` + 1; any part of it may be there."""
    monkeypatch.setattr(reply_ring, "HALF_BYTES", 8192)
    monkeypatch.setattr(reply_ring, "RESERVED_BYTES", 4096)
    ring = rings.open()
    for index in range(1, batches + 1):
        ring.add(index, {1: b"%d" % index})
    before = rings.path.read_bytes()
    ring.add(batches + 1, {1: b"torn"})
    changed = [at for at, byte in enumerate(rings.path.read_bytes()) if byte != before[at]]
    lo, hi = changed[0], changed[-1] + 1
    after = rings.path.read_bytes()[lo:hi]
    for cut in range(len(after)):
        for torn in (after[:cut] + before[lo + cut : hi], before[lo : lo + cut] + after[cut:]):
            with open(rings.path, "r+b") as file:
                file.write(before)
                file.seek(lo)
                file.write(torn)
            # The torn batch was not committed; a later one was, of which there is no record: the worst case.
            found = rings.open(applied_index=batches + 5).frames_for(1)
            kept = [int(frame) for frame in found if frame != b"torn"]
            latest = range(max(1, batches + 1 - limits.REPLY_RING_BATCHES), batches + 1)
            assert kept[-len(latest) :] == list(latest)
            assert kept == sorted(set(kept))


@pytest.mark.parametrize("size", [0, 100, reply_ring.RESERVED_BYTES, 3_000_000, reply_ring.FRAMES_BYTES_MAX])
def test_the_ring_is_bounded_in_bytes(rings: Rings, size: int) -> None:
    ring = rings.open()
    newest = 200 if size < 1_000_000 else 8
    for index in range(1, newest + 1):
        assert ring.add(index, {1: b"%6d" % index + bytes(max(0, size - 6))})
    assert rings.path.stat().st_size <= limits.REPLY_RING_BYTES
    kept = [int(frame[:6]) for frame in rings.open().frames_for(1)]
    assert kept == list(range(newest + 1 - len(kept), newest + 1)), "the latest"
    assert len(kept) >= min(limits.REPLY_RING_BATCHES, reply_ring.HALF_BYTES // (size + 100) + 1)


def test_small_replies_take_up_little(rings: Rings) -> None:
    ring = rings.open()
    for index in range(1, 1_000):
        ring.add(index, {1: bytes(200)})
    assert rings.path.stat().st_blocks * 512 <= limits.REPLY_RING_RESERVED_BYTES + 4096


def test_what_is_too_large_is_not_kept(rings: Rings) -> None:
    ring = rings.open()
    ring.add(1, {1: b"before"})
    assert not ring.add(2, {1: bytes(reply_ring.FRAMES_BYTES_MAX), 2: b"more"})
    assert ring.frames_for(1) == [b"before"]


def test_of_replies_that_are_too_large_together_the_smallest_are_kept() -> None:
    half = reply_ring.FRAMES_BYTES_MAX // 2
    small, middle, large, huge = (1, 0, b"a"), (2, 0, bytes(half // 2)), (3, 0, bytes(half)), (4, 0, bytes(half + 1))
    assert smallest({1: [huge, small], 2: [large], 3: [middle], 4: [huge]}) == {1: [small], 2: [large], 3: [middle]}
    many = [(number, 0, bytes(half // 4)) for number in range(20)]
    assert smallest({1: many, 2: [small]}) == {2: [small]}


def test_a_file_that_is_full_costs_what_is_large_and_nothing_else(
    rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = rings.open()
    plain = os.pwritev

    def pwritev(fd: int, parts: list[bytes], offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", pwritev)
    for index in range(1, 7, 2):
        ring.add(index, {1: b"%d" % index})
        ring.add(index + 1, {1: bytes(1 << 20)})
    monkeypatch.setattr(os, "pwritev", plain)
    assert rings.open().frames_for(1) == [b"1", b"3", b"5"]
    assert rings.log.warnings == ["replies cannot be kept for a next backend"]


@pytest.mark.parametrize("path", ["", "/nowhere/replies", "/proc/self/status"])
def test_without_a_file_nothing_is_kept_and_nothing_fails(path: str) -> None:
    log = Log()
    ring = ReplyRing(path, 0, log)
    assert ring.add(1, {1: b"one"})
    assert ring.frames_for(1) == []
    assert len(log.warnings) == 1


def test_a_record_is_read_as_it_was_written_and_else_not_at_all() -> None:
    record = b"".join(encode_record(7, {3: b"frame", 30: bytes(99)}))
    assert decode_record(record) == (7, {3: b"frame", 30: bytes(99)})
    for at in range(len(record)):
        assert decode_record(record[:at] + bytes([record[at] ^ 4]) + record[at + 1 :]) is None
