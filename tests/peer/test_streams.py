"""Both streams: what etcd's members have written is read, and written again to the byte; bad bytes end the stream."""

import random
import struct
from collections.abc import Iterator

import pytest

from etcdz.peer.appends import Append, encode_append
from etcdz.peer.message_stream import FRAME_BYTES_MAX, MESSAGE_HEARTBEAT, MessageDecoder, decode_post, encode_frame
from etcdz.peer.msgapp_stream import MSGAPP_HEARTBEAT, MsgappDecoder, MsgappEncoder
from etcdz.peer.outbox import MSGAPP
from etcdz.peer.protocol_error import ProtocolError
from etcdz.peer.screen import Screen
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.entry import make_entry
from etcdz.raft.messages import (
    MSG_APP,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_HUP,
    MSG_PROP,
    MSG_SNAP,
    MSG_VOTE,
    Message,
    Snapshot,
)
from tests.peer.captured import POSTS, STREAMS

ME, YOU, GONE = 0x6F53DCAB74102002, 0x19EE3DB6A247CC80, 0x77

Decoder = MessageDecoder | MsgappDecoder


def decoder_of(kind: str, writer: int, reader: int) -> Decoder:
    screen = Screen(reader)
    return MsgappDecoder(screen, writer) if kind == MSGAPP else MessageDecoder(screen)


def feed(decoder: Decoder, data: bytes, size: int) -> list[bytes]:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [message for piece in pieces for message in decoder.receive(piece)]


def to_append(message: Message) -> Append:
    return Append(
        message.term, message.log_term, message.index, message.commit, [entry.encoded for entry in message.entries]
    )


@pytest.mark.parametrize("kind, writer, reader, body", STREAMS)
def test_every_stream_of_a_real_member_is_read(kind: str, writer: int, reader: int, body: bytes) -> None:
    whole = decoder_of(kind, writer, reader).receive(body)
    for encoded in whole:
        message = decode_message(encoded)
        assert (message.to, message.from_) == (reader, writer)
        assert (message.type == MSG_APP) == (kind == MSGAPP)
        assert encode_message(message) == encoded
    for size in (1, 7, 64):
        assert feed(decoder_of(kind, writer, reader), body, size) == whole


def test_the_captures_hold_something_of_everything() -> None:
    types = {decode_message(m).type for k, w, r, body in STREAMS for m in decoder_of(k, w, r).receive(body)}
    assert {MSG_PROP, MSG_APP, MSG_APP_RESP, MSG_HEARTBEAT} < types
    first_bytes = {body[0] for kind, _, _, body in STREAMS if kind == MSGAPP}
    assert first_bytes >= {0, 2}


@pytest.mark.parametrize("writer, reader, body", [rest for kind, *rest in STREAMS if kind == MSGAPP])
def test_appends_are_written_as_etcd_writes_them(writer: int, reader: int, body: bytes) -> None:
    encoder = MsgappEncoder(writer, reader)
    decoder = decoder_of(MSGAPP, writer, reader)
    written = b"".join(
        part for encoded in decoder.receive(body) for part in encoder.encode(to_append(decode_message(encoded)))
    )
    assert written == without_heartbeats(body)


def without_heartbeats(body: bytes) -> bytes:
    """Frames of type 0 are left out; they lie between others, so a walk over the frames finds them."""
    kept, at = b"", 0
    while at < len(body):
        start = at
        if body[at] == 0:
            at += 1
            continue
        (size,) = struct.unpack_from(">Q", body, at + 1)
        at += 9
        if body[start] == 1:
            for _ in range(size):
                at += 8 + struct.unpack_from(">Q", body, at)[0]
            at += 8
        else:
            at += size
        kept += body[start:at]
    return kept


@pytest.mark.parametrize("body", POSTS)
def test_posted_messages_of_a_real_member(body: bytes) -> None:
    message = decode_message(body)
    assert decode_post(Screen(message.to), body) == body
    assert decode_post(Screen(message.to ^ 1), body) is None


def test_the_frames_of_the_format() -> None:
    """Seen on a connection between two members."""
    encoder = MsgappEncoder(YOU, ME)
    entry = bytes.fromhex("0800 1002 1804")
    first = bytes.fromhex(
        "02 0000000000000036 0803 1082c0c0a0b795f7a96f 1880999f92eab68ff719 2002 2801 3003"
        " 3a06 0800 1002 1804 4003 4a0a12080a02280010001800 5000 5800"
    )
    assert b"".join(encoder.encode(Append(2, 1, 3, 3, [entry]))) == first
    assert b"".join(encoder.encode(Append(2, 2, 4, 7, []))) == bytes.fromhex("01 0000000000000000 0000000000000007")
    next_entry = bytes.fromhex("08001002180522105200a2060b0885cceaa9bdc3a89e9b01")
    assert b"".join(encoder.encode(Append(2, 2, 4, 8, [next_entry]))) == (
        bytes.fromhex("01 0000000000000001 0000000000000018") + next_entry + bytes.fromhex("0000000000000008")
    )
    assert (
        bytes.fromhex("000000000000001e 0808 1000 1800 2000 2800 3000 4000 4a0a12080a02280010001800 5000 5800")
        == MESSAGE_HEARTBEAT
    )
    assert MSGAPP_HEARTBEAT == b"\x00"


def appends(seed: int) -> Iterator[Append]:
    """As a leader sends them: mostly one behind the other, with probes, empty ones, and changes of term in between."""
    rng = random.Random(seed)
    term, log_term, index = 1, 1, 0
    for _ in range(200):
        choice = rng.random()
        if choice < 0.05:
            term += rng.randrange(1, 3)
        elif choice < 0.1:
            index = rng.randrange(1, index + 2)
        entries = [
            make_entry(rng.choice((0, 0, 0, 1)), term, index + n, rng.randbytes(rng.choice((0, 5, 300)))).encoded
            for n in range(1, rng.choice((1, 1, 2, 5, 40)))
        ]
        yield Append(term, log_term, index, rng.randrange(index + 1), entries)
        index += len(entries)
        log_term = term if entries else log_term


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_read_however_it_is_cut(seed: int) -> None:
    rng = random.Random(seed)
    sent = list(appends(seed))
    encoder = MsgappEncoder(YOU, ME)
    body = b"".join(
        part
        for append in sent
        for part in [*encoder.encode(append), *([MSGAPP_HEARTBEAT] if rng.random() < 0.1 else [])]
    )
    assert body.count(b"\x01" + bytes(7)) > 20, "the short form is in use"
    decoder = MsgappDecoder(Screen(ME), YOU)
    got, at = [], 0
    while at < len(body):
        size = rng.choice((1, 3, 8, 9, 100, 5000))
        got += decoder.receive(body[at : at + size])
        at += size
    assert [to_append(decode_message(message)) for message in got] == sent
    assert got == [b"".join(encode_append(YOU, ME, append)) for append in sent]


def test_both_ways_of_writing_an_append_are_one() -> None:
    entry = make_entry(0, 7, 12, b"x" * 300)
    message = Message(MSG_APP, ME, YOU, 7, 6, 11, (entry,), 10)
    assert b"".join(encode_append(YOU, ME, Append(7, 6, 11, 10, [entry.encoded]))) == encode_message(message)


BAD_APPENDS = {
    "unknown type": b"\x03",
    "message of no grammar": b"\x02" + struct.pack(">Q", 3) + b"\xff\xff\xff",
    "message of another type": b"\x02"
    + struct.pack(">Q", len(encode_message(Message(MSG_VOTE, ME, YOU, 3))))
    + encode_message(Message(MSG_VOTE, ME, YOU, 3)),
    "message of any length": b"\x02" + b"\xff" * 8,
    "any number of entries": b"\x01" + b"\x7f" + b"\xff" * 7,
    "entry of any length": b"\x01" + struct.pack(">QQ", 1, FRAME_BYTES_MAX + 1),
    "entry of no grammar": b"\x01" + struct.pack(">QQ", 1, 2) + b"\xff\xff" + struct.pack(">Q", 1),
    "entry at another index": b"\x01"
    + struct.pack(">QQ", 1, 6)
    + make_entry(0, 1, 9, b"").encoded
    + struct.pack(">Q", 1),
    "short form before any term": b"\x01" + struct.pack(">QQ", 0, 0),
}
BAD_MESSAGES = {
    "no grammar": struct.pack(">Q", 2) + b"\xff\xff",
    "any length": b"\xff" * 8,
    "unknown type": encode_frame(b"\x08\x63"),
    "field beyond the end": encode_frame(b"\x08\x03\x3a\x7f\x00"),
}


@pytest.mark.parametrize("data", BAD_APPENDS.values(), ids=BAD_APPENDS)
@pytest.mark.parametrize("size", [1, 1000])
def test_bad_bytes_end_the_stream_of_appends(data: bytes, size: int) -> None:
    with pytest.raises(ProtocolError):
        feed(MsgappDecoder(Screen(ME), YOU), data, size)


@pytest.mark.parametrize("data", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
@pytest.mark.parametrize("size", [1, 1000])
def test_bad_bytes_end_the_stream_of_messages(data: bytes, size: int) -> None:
    with pytest.raises(ProtocolError):
        feed(MessageDecoder(Screen(ME)), data, size)


@pytest.mark.parametrize("seed", range(20))
def test_garbage_raises_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    kind, writer, reader, body = STREAMS[seed % len(STREAMS)]
    for _ in range(50):
        broken = bytearray(body[: rng.randrange(1, 800)])
        for _ in range(rng.randrange(1, 6)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            feed(decoder_of(kind, writer, reader), bytes(broken), rng.choice((1, 13, 1000)))
        except ProtocolError:
            pass


def test_what_was_announced_takes_no_memory() -> None:
    decoder = MessageDecoder(Screen(ME))
    assert decoder.receive(struct.pack(">Q", FRAME_BYTES_MAX) + b"x" * 100) == []
    assert decoder.receive(b"x" * 100) == []


REFUSED = {
    "for another member": Message(MSG_HEARTBEAT, ME ^ 1, YOU, 5),
    "of a removed member": Message(MSG_HEARTBEAT, ME, GONE, 5),
    "what a core says to itself": Message(MSG_HUP, ME, YOU, 5),
    "nothing at all": Message(MSG_HUP),
    "without a term": Message(MSG_HEARTBEAT, ME, YOU, 0),
    "a snapshot without its database": Message(MSG_SNAP, ME, YOU, 5, snapshot=Snapshot(5, 5)),
}


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED)
def test_what_must_not_be_stepped_is_left_out_and_counted(message: Message) -> None:
    screen = Screen(ME)
    screen.removed = {GONE}
    good = encode_message(Message(MSG_PROP, ME, YOU))
    frames = encode_frame(encode_message(message)) + encode_frame(good)
    assert MessageDecoder(screen).receive(frames) == [good]
    assert screen.refused == 1
    assert decode_post(screen, encode_message(message)) is None


def test_entries_of_newer_members_get_our_form() -> None:
    """They leave out what is zero."""
    encoder = MsgappEncoder(YOU, ME)
    first = b"".join(encoder.encode(Append(2, 2, 3, 3, [])))
    entry = bytes.fromhex("1002 1804 2201 78")
    frame = b"\x01" + struct.pack(">QQ", 1, len(entry)) + entry + struct.pack(">Q", 4)
    (_, message) = MsgappDecoder(Screen(ME), YOU).receive(first + frame)
    assert decode_message(message).entries == [make_entry(0, 2, 4, b"x")]
