"""Bodies of several MiB both ways through small windows; no window is ever overrun, none is left shut."""

import pytest

from etcdz.wire import frames as f
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import CALL, ClientEvent, ServerEvent
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.conversation import (
    ECHO,
    HELLO,
    METHODS,
    STREAM,
    Clock,
    Reader,
    answered,
    call,
    changed,
    data,
    headers,
    message,
    serve,
    settings,
    window_update,
)
from tests.wire.echo_server import answer
from tests.wire.told import done, messages

MIB = 1 << 20


def pair(server_window: int, client_window: int, chunk: int = 1 << 16) -> "Pair":
    limits = ServerSettings(message_bytes_max=8 * MIB, window=max(server_window, 65_535), stream_window=server_window)
    offered = ClientSettings(window=max(client_window, 65_535), stream_window=client_window)
    return Pair(GrpcClientConnection(offered, Clock()), GrpcServerConnection(METHODS, limits, Clock()), chunk)


class Pair:
    """A client and a server and the bytes between them, in chunks."""

    def __init__(self, client: GrpcClientConnection, server: GrpcServerConnection, chunk: int) -> None:
        self.client, self.server, self.chunk = client, server, chunk
        self.server_events: list[ServerEvent] = []
        self.turns = 0

    def run(self) -> list[tuple]:
        """The client's events until neither side has anything to say."""
        events: list[ClientEvent] = []
        while True:
            up = self.client.take_output()
            for at in range(0, len(up), self.chunk):
                found = self.server.receive(up[at : at + self.chunk])
                self.server_events += found
                answer(self.server, found)
            down = self.server.take_output()
            for at in range(0, len(down), self.chunk):
                events += self.client.receive(down[at : at + self.chunk])
            self.turns += 1
            if not up and not down:
                assert not self.client.closed and not self.server.closed
                return events


@pytest.mark.parametrize("window", [16_384, 65_535, 70_000, 4 * MIB])
def test_bodies_of_several_mib_both_ways(window: int) -> None:
    ends = pair(window, window)
    bodies = {ends.client.call(ECHO, bytes([n]) * (n * MIB + n)): bytes([n]) * (n * MIB + n) for n in (1, 3, 5)}
    events = ends.run()
    assert sorted(events) == sorted(done(stream_id, message=body) for stream_id, body in bodies.items())
    assert ends.client.pending_bytes == ends.server.pending_bytes == 0
    assert ends.client.open_streams == ends.server.open_streams == 0


def test_streams_of_many_messages_both_ways() -> None:
    ends = pair(65_535, 65_535, chunk=999)
    bodies = [bytes([n % 256]) * (n * 977 % 30_000) for n in range(150)]
    stream_id = ends.client.open(STREAM)
    for body in bodies:
        ends.client.send_message(stream_id, body)
    ends.client.half_close(stream_id)
    events = ends.run()
    assert messages(events) == bodies
    assert events[-1] == done(stream_id)


def test_a_reader_that_grants_nothing_holds_up_only_itself() -> None:
    """The second answer overtakes the first, whose window stays shut; what waits is seen in pending_stream_bytes."""
    lines, _, conn = serve([HELLO + settings((4, 1_000)) + call(1, b"big:50000") + call(3, b"big:900")])
    assert lines[2:] == [answered(1, 0)[0], "DATA 1 1000", *answered(3, 900)]
    assert conn.pending_stream_bytes(1) == conn.pending_bytes == 49_005
    assert conn.pending_stream_bytes(3) == 0
    conn.receive(window_update(1, 100_000))
    assert Reader().lines(conn.take_output()[:-10])[-1] == "DATA 1 " + str(49_005 - 2 * 16_384)
    assert conn.pending_bytes == 0 and conn.open_streams == 0


def test_waiting_streams_share_the_connection_window() -> None:
    calls = b"".join([call(stream_id, b"big:100000") for stream_id in (1, 3, 5)])
    conn = serve([HELLO + settings((4, 1 << 20)) + calls])[2]
    conn.receive(window_update(0, 3 * 16_384))
    sent = [line.split()[1] for line in Reader().lines(conn.take_output())]
    assert sorted(set(sent)) == ["1", "3", "5"]


def test_short_answers_wait_for_the_connection_window_too() -> None:
    lines, _, conn = serve([HELLO + call(1, b"big:65000"), call(3, b"big:1000"), window_update(0, 10_000)])
    assert lines[-4:] == [answered(3, 0)[0], "DATA 3 530", "DATA 3 475", "HEADERS 3 END_STREAM grpc-status=0"]
    assert conn.pending_bytes == 0


def test_the_server_grants_what_it_has_read_when_half_is_used() -> None:
    limits = ServerSettings(window=100_000, stream_window=60_000, message_bytes_max=1 << 20)
    sent = headers(1) + b"".join(
        [data(1, message(bytes(200_000))[at : at + 10_000], 0) for at in range(0, 100_000, 10_000)]
    )
    lines = serve([HELLO + sent], limits)[0]
    assert lines[1:] == [
        "WINDOW_UPDATE 1 30000",
        "WINDOW_UPDATE 0 50000",
        "WINDOW_UPDATE 1 30000",
        "WINDOW_UPDATE 1 30000",
        "WINDOW_UPDATE 0 50000",
    ]


def test_padding_counts_for_the_windows() -> None:
    limits = ServerSettings(window=65_535, stream_window=65_535)
    padded = f.encode_frame(f.DATA, f.PADDED, 1, b"\xff" + message(bytes(40_000))[:744] + bytes(255))
    lines = serve([HELLO + headers(1) + padded * 33], limits)[0]
    assert lines[1:] == ["WINDOW_UPDATE 0 33000", "WINDOW_UPDATE 1 33000"]


def test_more_data_than_the_connection_window_allows() -> None:
    """Two streams may not use more together; all in one chunk, so that nothing is granted in between."""
    limits = ServerSettings(window=65_535, stream_window=65_535, message_bytes_max=1 << 20)
    conn = GrpcServerConnection(METHODS, limits, Clock())
    conn.receive(HELLO)
    conn._recv_used = 32_767 - 1  # just not half: nothing is granted yet
    conn._window = 32_767
    assert conn.receive(headers(1) + data(1, message(bytes(9)))) == []
    assert conn.error_code == f.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("flags", [0, f.END_STREAM])
def test_more_data_than_the_stream_window_allows(flags: int) -> None:
    limits = ServerSettings(stream_window=1_000, message_bytes_max=1 << 20)
    sent = headers(1) + data(1, message(bytes(2_000))[:400], 0) + data(1, bytes(1_000), flags)
    assert serve([HELLO + sent], limits)[0][1:] == ["RST_STREAM 1 FLOW_CONTROL_ERROR"]


def test_a_whole_call_over_the_stream_window() -> None:
    limits = ServerSettings(stream_window=1_000, message_bytes_max=1 << 20)
    lines, events, _ = serve([HELLO + call(1, bytes(996))], limits)
    assert lines[1:] == ["RST_STREAM 1 FLOW_CONTROL_ERROR"] and events == []
    assert [kind for kind, *_ in serve([HELLO + call(1, b"x" * 995)], limits)[1]] == [CALL]


def test_trailers_of_a_stream_wait_for_its_messages() -> None:
    conn = serve([HELLO + settings((4, 8)) + headers(1, changed((b":path", STREAM)))])[2]
    conn.send_message(1, b"12345")
    conn.finish(1)
    assert Reader().lines(conn.take_output()) == [answered(1, 0)[0], "DATA 1 8"]
    conn.receive(window_update(1, 100))
    assert [line.split()[0] for line in Reader().lines(conn.take_output()[:11])] == ["DATA"]
    assert conn.open_streams == 0
