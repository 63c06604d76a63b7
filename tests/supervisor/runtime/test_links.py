"""The supervisor's sockets: an incarnation gets what is sent to it, and its files go with it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from etcdz.ipc.messages import Roster, Stop, decode_frame, encode_frame
from supervisor.runtime.links import Links


class Wired:
    """The supervisor's links, and the mailbox of a wal."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.context: zmq.Context[Any] = zmq.Context()
        self.links = Links(self.context, run_dir, 1)
        self.mailbox: zmq.Socket[bytes] = self.context.socket(zmq.PULL)
        self.mailbox.bind(self.links.endpoint_of("wal", 7))

    def close(self) -> None:
        self.links.close()
        self.mailbox.close(linger=0)
        self.context.term()


@pytest.fixture
def wired() -> Iterator[Wired]:
    with tempfile.TemporaryDirectory(prefix="run-") as path:
        made = Wired(Path(path))
        yield made
        made.close()


def test_what_is_sent_to_an_incarnation_reaches_its_mailbox(wired: Wired) -> None:
    wired.links.connect("wal", 7)
    wired.links.send(7, Roster(1, []))
    wired.links.send(7, Stop(5.0))
    assert wired.mailbox.poll(60_000)
    frames = [wired.mailbox.recv(), wired.mailbox.recv()]
    assert [decode_frame(frame) for frame in frames] == [[Roster(1, [])], [Stop(5.0)]]


def test_what_is_sent_to_one_without_a_link_is_dropped(wired: Wired) -> None:
    wired.links.send(7, Stop(5.0))
    wired.links.connect("wal", 7)
    wired.links.disconnect(7)
    wired.links.send(7, Stop(5.0))
    assert not wired.mailbox.poll(0)


def test_frames_are_received_in_turns(wired: Wired) -> None:
    sender = wired.context.socket(zmq.PUSH)
    sender.connect(wired.links.endpoint)
    for number in range(3):
        sender.send(encode_frame([Roster(number, [])]))
    found: list[bytes] = []
    while len(found) < 3:
        assert wired.links.mailbox.poll(60_000)
        found += wired.links.receive()
    assert [decode_frame(frame)[0].version for frame in found] == [0, 1, 2]
    assert wired.links.receive() == []
    sender.close()


def test_the_files_of_a_dead_incarnation_are_removed_and_no_others(wired: Wired) -> None:
    for name in ("wal.7", "wal.7.stack", "wal.7.dgram", "wal.70", "wal.8"):
        (wired.run_dir / name).touch()
    wired.links.connect("wal", 7)
    wired.links.disconnect(7)
    wired.links.remove_files("wal", 7)
    wired.links.remove_files("wal", 7)
    assert {path.name for path in wired.run_dir.iterdir()} == {"supervisor.1", "wal.70", "wal.8"}
