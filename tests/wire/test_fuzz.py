"""No bytes make either end raise; how bytes are cut into chunks changes nothing."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.wire import frames as f
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import CALL, DONE, STREAM_OPEN
from etcdz.wire.http1 import Http1Connection, Http1Limits
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from etcdz.wire.stream import Stream
from tests.examples import examples
from tests.wire.conversation import (
    CALL_FIELDS,
    ECHO,
    HELLO,
    METHODS,
    STREAM,
    Clock,
    block,
    call,
    changed,
    data,
    frame,
    headers,
    message,
    ping,
    rst_stream,
    window_update,
)
from tests.wire.conversation import settings as settings_frame
from tests.wire.echo_server import answer

STREAM_FIELDS = changed((b":path", STREAM))
TIMED_FIELDS = [*CALL_FIELDS, (b"grpc-timeout", b"5S"), (b"token", b"t")]
IDS = st.sampled_from([0, 1, 1, 3, 3, 5, 7, 2, 9, 0x80000001])
BODIES = st.sampled_from([b"", b"hello", b"never", b"big:100000", b"fail:3:no", b"x" * 9_000])
PAYLOADS = st.one_of(
    BODIES.map(message),
    BODIES.map(lambda body: message(body)[:-1]),
    st.binary(max_size=30),
    st.sampled_from(
        [block(), block(STREAM_FIELDS), block()[:20], b"\x82\x86\x84", b"\x40\x01a\x01b", bytes(5), bytes(8)]
    ),
)
FLAGS = st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0x24, 0x25, 0xFF])
FRAMES = st.one_of(
    st.builds(call, IDS, BODIES),
    st.builds(call, IDS, BODIES, st.just(TIMED_FIELDS)),
    st.builds(headers, IDS, st.sampled_from([CALL_FIELDS, STREAM_FIELDS, TIMED_FIELDS, []]), FLAGS),
    st.builds(data, IDS, PAYLOADS, FLAGS),
    st.builds(rst_stream, IDS),
    st.builds(window_update, IDS, st.sampled_from([0, 1, 70_000, (1 << 31) - 1])),
    st.builds(settings_frame, st.tuples(st.integers(0, 6), st.sampled_from([0, 1, 100, 16_384, 70_000, 1 << 31]))),
    st.builds(frame, st.integers(0, 11), FLAGS, IDS, PAYLOADS),
    st.just(ping()),
)
CONVERSATIONS = st.lists(FRAMES, max_size=25).map(lambda frames: HELLO + b"".join(frames))
LIMITS = ServerSettings(message_bytes_max=20_000, stream_window=66_000, window=70_000, max_concurrent_streams=3)


def cut(data: bytes, seed: int) -> list[bytes]:
    """data in chunks of random sizes, many of them small."""
    rng, chunks, pos = random.Random(seed), [], 0
    while pos < len(data):
        size = rng.choice([1, 2, 9, 10, 50, 1_000, 20_000])
        chunks.append(data[pos : pos + size])
        pos += size
    return chunks


def run(chunks: list[bytes], reply: bool) -> tuple[bytes, list[tuple], GrpcServerConnection]:
    conn = GrpcServerConnection(METHODS, LIMITS, Clock())
    output, events = conn.take_output(), []
    for chunk in chunks:
        found = conn.receive(chunk)
        events += found
        if reply:
            answer(conn, found)
        output += conn.take_output()
    return output, events, conn


def check_books(conn: GrpcServerConnection) -> None:
    """What is counted is what is there."""
    streams = [stream for stream in conn._streams.values() if isinstance(stream, Stream)]
    assert conn.pending_bytes == sum(sum(map(len, stream.outbox)) for stream in streams)
    assert all(stream.outbox_bytes == sum(map(len, stream.outbox)) for stream in streams)
    assert conn._inbox_bytes == sum(len(stream.inbox) + len(stream.message or b"") for stream in streams)
    assert set(conn._blocked) <= set(conn._streams)
    assert set(conn._due) <= set(conn._streams)
    assert not conn.closed or not conn._streams


@pytest.mark.slow
@pytest.mark.slow
@given(CONVERSATIONS, st.integers(0, 1 << 30))
@settings(max_examples=examples(300), deadline=None)
def test_chunks_do_not_matter(conversation: bytes, seed: int) -> None:
    whole_output, whole_events, whole = run([conversation], reply=False)
    output, events, conn = run(cut(conversation, seed), reply=False)
    assert (output, events) == (whole_output, whole_events)
    check_books(whole)
    check_books(conn)


@given(CONVERSATIONS, st.integers(0, 1 << 30))
@settings(max_examples=examples(200), deadline=None)
def test_conversations_with_replies(conversation: bytes, seed: int) -> None:
    _, events, conn = run(cut(conversation, seed), reply=True)
    check_books(conn)
    conn.expire(1e9)
    check_books(conn)
    lost = conn.connection_lost()
    known = [stream_id for kind, stream_id, *_ in events if kind in (CALL, STREAM_OPEN)]
    assert {stream_id for _, stream_id, *_ in lost} <= set(known)
    check_books(conn)


@given(CONVERSATIONS, st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=8))
@settings(max_examples=examples(300), deadline=None)
def test_mutated_conversations(conversation: bytes, flips: list[tuple[int, int]]) -> None:
    mutated = bytearray(conversation)
    for at, flip in flips:
        mutated[at % len(mutated)] ^= flip
    conn = run([bytes(mutated)], reply=True)[2]
    check_books(conn)


@given(st.binary(max_size=400))
def test_random_bytes(noise: bytes) -> None:
    run([noise], reply=True)
    run([HELLO + noise], reply=True)
    client = GrpcClientConnection(ClientSettings(), Clock())
    client.call(ECHO, b"x")
    client.receive(settings_frame() + noise)
    assert client.receive(noise) is not None
    http1 = Http1Connection(Http1Limits())
    http1.receive(noise)
    http1.receive(b"GET / HTTP/1.1\r\n" + noise)


@pytest.mark.slow
@given(
    st.lists(BODIES, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), max_size=6),
    st.integers(0, 1 << 30),
)
@settings(max_examples=examples(200), deadline=None)
def test_mutated_answers(bodies: list[bytes], flips: list[tuple[int, int]], seed: int) -> None:
    """The client, too, gets each call's end exactly once, whatever the server sends."""
    client = GrpcClientConnection(ClientSettings(), Clock())
    ids = [client.call(ECHO, body) for body in bodies] + [client.open(STREAM)]
    output, _, _ = run([client.take_output()], reply=True)
    mutated = bytearray(output)
    for at, flip in flips:
        mutated[at % len(mutated)] ^= flip
    events = [event for chunk in cut(bytes(mutated), seed) for event in client.receive(chunk)]
    events += client.connection_lost()
    done = [stream_id for kind, stream_id, *_ in events if kind == DONE]
    assert sorted(done) == sorted(ids)
    if not flips:
        again = GrpcClientConnection(ClientSettings(), Clock())
        for body in bodies:
            again.call(ECHO, body)
        again.open(STREAM)
        assert again.receive(output) + again.connection_lost() == events


def test_a_frame_head_alone_costs_no_memory() -> None:
    conn = run([HELLO + frame(f.DATA, 0, 1, b"")[:8]], reply=False)[2]
    assert len(conn._tail) == 8
