"""Frames of a link arrive once and in order, whichever of its two ways they take."""

import select
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from actors.runtime.mailbox import DATAGRAM_BYTES_MAX, MARK, SEQUENCED, Link, Mailbox

SMALL, LARGE = b"\x90small", b"\x90" + b"x" * (DATAGRAM_BYTES_MAX + 1)


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="etcdz-test-"))  # short: a unix socket's path ends at 107 bytes
    yield path
    shutil.rmtree(path)


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def mailbox(context: "zmq.Context[zmq.Socket[bytes]]", directory: Path) -> Iterator[Mailbox]:
    mailbox = Mailbox(context, f"ipc://{directory}/raft.7")
    for sender in (5, 6):
        mailbox.admit(sender)
    yield mailbox
    mailbox.close()


@pytest.fixture
def link(context: "zmq.Context[zmq.Socket[bytes]]", mailbox: Mailbox, directory: Path) -> Iterator[Link]:
    link = Link(context, f"ipc://{directory}/raft.7", 5)
    yield link
    link.close(linger_ms=0)


def collect(mailbox: Mailbox, count: int) -> list[bytes]:
    """The next count frames; fails if they do not come."""
    frames: list[bytes] = []
    while len(frames) < count:
        mailbox.wait(10.0)
        taken = mailbox.take(256)
        assert taken or mailbox.pending() is False
        frames += [bytes(frame) for frame in taken]
    assert len(frames) == count
    return frames


def test_frames_of_all_sizes_arrive_in_the_order_of_their_sending(mailbox: Mailbox, link: Link) -> None:
    sent = [SMALL, LARGE, SMALL + b"1", SMALL + b"2", LARGE + b"1", SMALL + b"3"]
    for frame in sent:
        link.send(frame)
    assert collect(mailbox, len(sent)) == sent


def test_more_than_the_lane_has_room_for_is_neither_lost_nor_mixed_up(mailbox: Mailbox, link: Link) -> None:
    sent = [b"\x90%d" % number for number in range(1000)]
    for frame in sent:
        link.send(frame)
    assert collect(mailbox, len(sent)) == sent


def test_two_senders_do_not_wait_for_each_other(
    context: "zmq.Context[zmq.Socket[bytes]]", mailbox: Mailbox, link: Link, directory: Path
) -> None:
    other = Link(context, f"ipc://{directory}/raft.7", 6)
    link.send(SMALL)
    other.send(SMALL + b"other")
    assert sorted(collect(mailbox, 2)) == [SMALL, SMALL + b"other"]
    other.close(linger_ms=0)


def test_a_frame_that_overtook_another_waits_for_it(mailbox: Mailbox) -> None:
    taken: list[bytes | memoryview] = []
    for number in (3, 1, 2):
        mailbox._sort(SEQUENCED.pack(MARK, 5, number, 1) + b"%d" % number, taken)
    assert [bytes(frame) for frame in taken] == [b"1", b"2", b"3"]


def test_frames_of_a_sender_wait_until_the_roster_names_it(
    context: "zmq.Context[zmq.Socket[bytes]]", mailbox: Mailbox, link: Link, directory: Path
) -> None:
    early = Link(context, f"ipc://{directory}/raft.7", 8)
    sent = [SMALL + b"early", LARGE, SMALL]
    for frame in sent:
        early.send(frame)
    link.send(SMALL + b"known")
    assert collect(mailbox, 1) == [SMALL + b"known"]
    mailbox.admit(8)
    assert collect(mailbox, 3) == sent
    early.close(linger_ms=0)


def test_late_frames_of_a_sender_that_is_gone_are_dropped(mailbox: Mailbox, link: Link) -> None:
    mailbox.forget(5)
    taken: list[bytes | memoryview] = []
    mailbox._sort(SEQUENCED.pack(MARK, 5, 1, 1) + b"late", taken)
    mailbox.admit(9)
    assert taken == [] and mailbox.take(256) == []


def test_frames_of_the_supervisor_have_no_number(
    context: "zmq.Context[zmq.Socket[bytes]]", mailbox: Mailbox, directory: Path
) -> None:
    socket = context.socket(zmq.PUSH)
    socket.connect(f"ipc://{directory}/raft.7")
    socket.send(SMALL)
    assert collect(mailbox, 1) == [SMALL]


def test_sending_to_a_receiver_that_is_gone_is_counted_and_holds_up_no_other_link(
    context: "zmq.Context[zmq.Socket[bytes]]", mailbox: Mailbox, link: Link, directory: Path
) -> None:
    gone = Mailbox(context, f"ipc://{directory}/wal.1")
    to_gone = Link(context, f"ipc://{directory}/wal.1", 5)
    to_gone.send(SMALL)
    gone.close()
    for frame in (SMALL, LARGE) * 50:
        to_gone.send(frame)
        link.send(frame)
    assert to_gone.sent == 101
    assert collect(mailbox, 100) == [SMALL, LARGE] * 50
    to_gone.close(linger_ms=0)


def test_a_deferred_frame_wakes_only_who_heeds_it_and_is_taken_with_whatever_comes(
    context: "zmq.Context[zmq.Socket[bytes]]", directory: Path
) -> None:
    receiver = Mailbox(context, f"ipc://{directory}/raft.8", ("news",))
    receiver.admit(5)
    sender = Link(context, f"ipc://{directory}/raft.8", 5)
    sender.send(LARGE)  # by ZeroMQ: its descriptor speaks when a sender has connected, and that may be late
    assert collect(receiver, 1) == [LARGE]
    receiver.heed("news", False)
    while receiver.pending():
        receiver.take(256)
    sender.send_deferred("news", SMALL + b"1")
    receiver.wait(0.0)
    assert not receiver.pending()
    with select.epoll() as poll:
        poll.register(receiver.descriptors[0], select.EPOLLIN)
        assert poll.poll(0) == []
    sender.send(SMALL + b"2")
    sender.send_deferred("news", LARGE)
    sender.send_deferred("news", SMALL + b"3")
    assert collect(receiver, 4) == [SMALL + b"1", SMALL + b"2", LARGE, SMALL + b"3"]
    sender.send_deferred("news", SMALL + b"4")
    receiver.heed("news", True)
    assert collect(receiver, 1) == [SMALL + b"4"]
    sender.close(linger_ms=0)
    receiver.close()


def test_to_a_mailbox_that_defers_nothing_it_goes_as_any_other(mailbox: Mailbox, link: Link) -> None:
    link.send_deferred("news", SMALL)
    assert collect(mailbox, 1) == [SMALL]


def test_more_deferred_frames_than_there_is_room_for_are_not_lost(
    context: "zmq.Context[zmq.Socket[bytes]]", directory: Path
) -> None:
    receiver = Mailbox(context, f"ipc://{directory}/raft.8", ("news",))
    receiver.admit(5)
    sender = Link(context, f"ipc://{directory}/raft.8", 5)
    receiver.heed("news", False)
    sent = [b"\x90%d" % number for number in range(3000)]
    for frame in sent:
        sender.send_deferred("news", frame)
    assert collect(receiver, len(sent)) == sent
    sender.close(linger_ms=0)
    receiver.close()
