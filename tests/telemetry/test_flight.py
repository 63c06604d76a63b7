"""The flight recorder keeps the last headers and lines, over the death of who wrote them."""

import os
import signal
from collections.abc import Iterator

import pytest

from etcdz.ipc.messages import Applied, Flush, Roster
from etcdz.telemetry.flight import (
    LOG_BYTES,
    RECORD_BYTES,
    RECORDS,
    TAGS_MAX,
    Box,
    Recorder,
    decode_headers,
    describe,
    last_words,
    unroll,
)

SENDER, NUMBER, SENT_NS = 7, 9, 1234


@pytest.fixture
def box() -> Iterator[Box]:
    found = Box("test")
    yield found
    found.close()


def frame_of(payload: bytes) -> memoryview:
    """As the mailbox hands it out: the end of what came over the link."""
    link = b"\x01" + b"".join(number.to_bytes(8, "big") for number in (SENDER, NUMBER, SENT_NS))
    return memoryview(link + payload)[len(link) :]


def test_a_header_names_sender_times_size_and_types_of_a_frame(box: Box) -> None:
    Recorder(box.path).note(frame_of(b"secret"), [Applied(1, 1), Flush(2)], 5678)
    (header,) = box.headers()
    assert header == (1, 5678, SENDER, NUMBER, SENT_NS, 6, 2, ("Applied", "Flush"))


def test_a_frame_of_the_supervisor_has_no_sender_and_one_that_cannot_be_decoded_no_types(box: Box) -> None:
    recorder = Recorder(box.path)
    recorder.note(b"\x91plain", [Roster(1, [])], 5)
    recorder.note(frame_of(b"?"), [], 6)
    assert [(header.sender, header.sent_ns, header.types) for header in box.headers()] == [
        (0, 0, ("Roster",)),
        (SENDER, SENT_NS, ()),
    ]


def test_the_last_records_are_kept_in_order_however_many_came(box: Box) -> None:
    recorder = Recorder(box.path)
    for number in range(RECORDS * 2 + 10):
        recorder.note(frame_of(b""), [Applied(1, 1)] * (number % 30 + 1), number)
    headers = box.headers()
    assert [header.seq for header in headers] == list(range(RECORDS + 11, RECORDS * 2 + 11))
    assert [header.seq for header in box.headers(after=headers[-3].seq)] == [header.seq for header in headers[-2:]]
    assert all(len(header.types) == min(header.messages, TAGS_MAX) for header in headers)


def test_a_record_that_is_being_written_is_passed_over(box: Box) -> None:
    recorder = Recorder(box.path)
    for number in range(3):
        recorder.note(frame_of(b""), [Applied(1, 1)], number)
    ring = bytearray(os.pread(os.open(box.path, os.O_RDONLY), RECORDS * RECORD_BYTES, 4096))
    ring[3 * RECORD_BYTES - 1] ^= 1
    assert [header.seq for header in decode_headers(bytes(ring))] == [1, 3]


def test_the_log_ring_gives_whole_lines_and_what_is_new(box: Box) -> None:
    recorder = Recorder(box.path)
    recorder.log(b"first\n")
    end, data = box.log()
    assert data == b"first\n"
    recorder.log(b"second\n")
    assert box.log(after=end)[1] == b"second\n"
    lines = [b"%06d " % number + b"x" * (number % 90) + b"\n" for number in range(3000)]
    for line in lines:
        recorder.log(line)
    _, data = box.log()
    kept = data.splitlines(keepends=True)
    assert kept == lines[-len(kept) :] and LOG_BYTES - 200 < len(data) <= LOG_BYTES


def test_a_line_longer_than_the_ring_does_no_harm(box: Box) -> None:
    recorder = Recorder(box.path)
    recorder.log(b"a" * (LOG_BYTES + 5) + b"\n")
    recorder.log(b"b\n")
    assert box.log()[1] == b"b\n"


def test_unroll_of_what_was_overwritten_begins_with_a_line() -> None:
    assert unroll(b"ab\ncd\n\0\0", 6, 0) == b"ab\ncd\n"
    assert unroll(b"h\nd\nef\ng", 10, 0) == b"ef\ngh\n"
    assert unroll(b"h\nd\nef\ng", 10, 7) == b"gh\n"


def test_what_a_killed_process_wrote_last_is_there(box: Box) -> None:
    pid = os.fork()
    if not pid:
        recorder = Recorder(box.path)
        recorder.note(frame_of(b"poison"), [Flush(1)], 1)
        recorder.log(b"last line\n")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert box.headers()[-1].types == ("Flush",)
    assert box.log()[1] == b"last line\n"


def test_an_actor_without_a_recorder_runs_all_the_same() -> None:
    for path in ("", "/nowhere/at/all"):
        recorder = Recorder(path)
        recorder.note(frame_of(b""), [Flush(1)], 1)
        recorder.log(b"line\n")
        recorder.text("words")
        assert recorder.last_tag() == 34


def test_the_text_of_an_error_holds_no_values() -> None:
    assert describe(KeyError(b"users-key")) == "KeyError: '...'"
    assert describe(ValueError("bad value 'it\\'s secret' of \"key\"")) == "ValueError: bad value '...' of '...'"
    assert "NoneType" in describe(AttributeError("'NoneType' object has no attribute 'x'"))


def test_last_words_have_the_lines_of_code_and_no_values(box: Box) -> None:
    recorder = Recorder(box.path)
    try:
        dict[bytes, int]()[b"users-key"]
    except KeyError as error:
        recorder.text(last_words(error))
    assert "test_flight.py" in box.text()
    assert "KeyError: '...'" in box.text()
