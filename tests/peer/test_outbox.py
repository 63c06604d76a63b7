"""What waits for one member: which way it goes, in which order, and what becomes of what does not fit."""

from etcdz.limits import PEER_BULK_BYTES_MAX, PEER_URGENT_BYTES_MAX
from etcdz.peer.appends import Append
from etcdz.peer.http1 import END, ResponseReader
from etcdz.peer.message_stream import MessageDecoder
from etcdz.peer.msgapp_stream import MsgappDecoder
from etcdz.peer.outbox import CHUNK_BYTES, MESSAGE, MSGAPP, POSTS_MAX, Outbox
from etcdz.peer.screen import Screen
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.entry import make_entry
from etcdz.raft.messages import MSG_APP, MSG_HEARTBEAT, MSG_PROP, MSG_VOTE, Message

ME, YOU = 1, 2


def vote(term: int = 1) -> bytes:
    return encode_message(Message(MSG_VOTE, YOU, ME, term))


def heartbeat(context: bytes = b"") -> bytes:
    return encode_message(Message(MSG_HEARTBEAT, YOU, ME, 1, context=context))


def proposal(size: int) -> bytes:
    return encode_message(Message(MSG_PROP, YOU, ME, entries=(make_entry(0, 0, 0, b"x" * size),)))


def append(index: int, size: int = 10) -> Append:
    return Append(1, 1, index, index, [make_entry(0, 1, index + 1, b"x" * size).encoded])


class Reader:
    """The other member's end of both streams."""

    def __init__(self, outbox: Outbox) -> None:
        screen = Screen(YOU)
        self.outbox = outbox
        self.decoders = {MESSAGE: MessageDecoder(screen), MSGAPP: MsgappDecoder(screen, ME)}
        self.http = {kind: ResponseReader(is_stream=True) for kind in self.decoders}
        for http in self.http.values():
            http.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def read(self, kind: str) -> list[bytes]:
        """The messages of one chunk."""
        pieces = self.http[kind].receive(self.outbox.take(kind))
        assert END not in pieces
        return [m for piece in pieces if isinstance(piece, bytes) for m in self.decoders[kind].receive(piece)]


def attached() -> tuple[Outbox, Reader]:
    outbox = Outbox(ME, YOU)
    outbox.attach(MESSAGE)
    outbox.attach(MSGAPP)
    return outbox, Reader(outbox)


def test_appends_have_a_stream_of_their_own() -> None:
    outbox, reader = attached()
    outbox.append(append(5))
    outbox.send(vote())
    outbox.append(append(6))
    assert outbox.has_output(MESSAGE) and outbox.has_output(MSGAPP)
    assert reader.read(MESSAGE) == [vote()]
    assert [decode_message(m).index for m in reader.read(MSGAPP)] == [5, 6]
    assert not outbox.has_output(MESSAGE) and not outbox.has_output(MSGAPP)
    assert outbox.take(MESSAGE) == outbox.take(MSGAPP) == b""
    assert not outbox.take_unreachable()


def test_without_their_stream_appends_go_with_the_other_messages_and_without_any_all_is_posted() -> None:
    outbox, reader = attached()
    outbox.detach(MSGAPP)
    outbox.append(append(5))
    (message,) = reader.read(MESSAGE)
    assert decode_message(message).index == 5
    outbox.detach(MESSAGE)
    outbox.append(append(6))
    outbox.send(vote())
    assert outbox.has_post
    first = outbox.next_post()
    assert first is not None and decode_message(first).type == MSG_APP
    assert outbox.next_post() == vote()
    assert outbox.next_post() is None and not outbox.has_post


def test_votes_and_heartbeats_go_before_proposals() -> None:
    outbox, reader = attached()
    large = proposal(CHUNK_BYTES)
    for message in (large, large, heartbeat()):
        outbox.send(message)
    assert reader.read(MESSAGE) == [heartbeat(), large]
    outbox.send(heartbeat(b"later"))
    assert reader.read(MESSAGE) == [heartbeat(b"later"), large]


def test_what_has_no_room_is_lost_and_the_member_unreachable_once() -> None:
    outbox, reader = attached()
    size = PEER_BULK_BYTES_MAX // 4
    for index in range(6):
        outbox.append(append(index, size))
    assert outbox.take_unreachable() and not outbox.take_unreachable()
    assert outbox.dropped == 3
    assert outbox.waiting_bytes(MSGAPP) <= PEER_BULK_BYTES_MAX
    outbox.append(append(3, 1))
    got = [decode_message(m).index for _ in range(4) for m in reader.read(MSGAPP)]
    assert got == [0, 1, 2, 3], "the stream goes on where it was"
    for _ in range(20):
        outbox.send(heartbeat(b"x" * (PEER_URGENT_BYTES_MAX // 10)))
    assert outbox.take_unreachable()
    assert outbox.waiting_bytes(MESSAGE) <= PEER_URGENT_BYTES_MAX


def test_one_message_that_is_larger_than_all_room_gets_through() -> None:
    outbox, reader = attached()
    outbox.append(append(1, PEER_BULK_BYTES_MAX + 1))
    outbox.append(append(2))
    assert outbox.take_unreachable()
    (message,) = reader.read(MSGAPP)
    assert decode_message(message).index == 1


def test_what_waits_for_a_stream_that_breaks_is_lost() -> None:
    outbox, _ = attached()
    outbox.send(vote())
    outbox.append(append(1))
    outbox.take(MSGAPP)
    outbox.append(append(2))
    outbox.attach(MSGAPP)
    assert outbox.take_unreachable()
    assert outbox.dropped == 1
    reader = Reader(outbox)
    outbox.append(append(3))
    (message,) = reader.read(MSGAPP)
    assert decode_message(message).index == 3, "a new stream begins with a whole message"
    outbox.detach(MESSAGE)
    outbox.detach(MESSAGE)
    assert outbox.dropped == 2


def test_posts_are_few() -> None:
    outbox = Outbox(ME, YOU)
    for _ in range(POSTS_MAX):
        outbox.send(vote())
    assert not outbox.take_unreachable()
    outbox.send(vote())
    assert outbox.take_unreachable()
    while outbox.next_post():
        pass
    assert not outbox.take_unreachable()
    outbox.on_post_failed()
    assert outbox.take_unreachable()


def test_a_link_is_kept_alive_where_nothing_else_is_written() -> None:
    outbox, reader = attached()
    for kind in (MESSAGE, MSGAPP):
        outbox.heartbeat(kind)
        outbox.heartbeat(kind)
        assert outbox.waiting_bytes(kind) > 0
        assert reader.read(kind) == []
        assert outbox.waiting_bytes(kind) == 0
    outbox.send(vote())
    outbox.heartbeat(MESSAGE)
    assert reader.read(MESSAGE) == [vote()]
    outbox.detach(MSGAPP)
    outbox.heartbeat(MSGAPP)
    assert outbox.take(MSGAPP) == b""


def test_bytes_are_counted_once_they_are_handed_over() -> None:
    outbox, _ = attached()
    outbox.send(vote())
    assert outbox.sent_bytes == 0
    outbox.take(MESSAGE)
    assert outbox.sent_bytes == len(vote()) + 8
