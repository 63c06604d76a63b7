"""Who is connected to whom after a roster, and what becomes of messages to those who are not."""

from typing import Any

import pytest

from actors.runtime import link
from actors.runtime.link import Links
from etcdz.ipc.messages import Flush, Stop, decode_frame, encode_frame
from etcdz.ipc.request_ids import LESSOR_SLOT

RAFT, NEXT_RAFT = ("raft", "raft", 0, 5, "ipc://raft.5"), ("raft", "raft", 0, 8, "ipc://raft.8")
LISTENER = ("listener-1", "listener", 0, 6, "ipc://listener-1.6")
SUCCESSOR = ("listener-1", "listener", 3, 9, "ipc://listener-1.9")


class RecordedLink:
    """In place of the sending end of a link."""

    def __init__(self, context: Any, endpoint: str, sender: int) -> None:
        self.endpoint = endpoint
        self.frames: list[bytes] = []
        self.is_open = True

    @property
    def sent(self) -> int:
        return len(self.frames)

    def send(self, messages: bytes) -> None:
        assert self.is_open
        self.frames.append(messages)

    def close(self, linger_ms: int) -> None:
        self.is_open = False


class NoSocket:
    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: NoSocket()


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> Links:
    monkeypatch.setattr(link, "Link", RecordedLink)
    context: Any = NoSocket()
    return Links(context, 7, "supervisor")


def received(links: Links, name: str) -> list[list[Any]]:
    """Frames to this peer's living incarnation, decoded."""
    recorded: Any = links._links[name]
    return [decode_frame(frame) for frame in recorded.frames]


def test_a_turns_messages_leave_as_one_frame_for_each_destination(links: Links) -> None:
    links.update([RAFT, LISTENER], "wal")
    links.send("raft", Flush(1))
    links.send_all("raft", [Flush(2), Flush(3)])
    links.send("listener-1", Stop(1.0))
    links.flush()
    links.flush()
    assert received(links, "raft") == [[Flush(1), Flush(2), Flush(3)]]
    assert received(links, "listener-1") == [[Stop(1.0)]]
    assert links.sent == {Flush: 3, Stop: 1}


def test_a_message_to_a_name_that_no_roster_has_waits_for_it(links: Links) -> None:
    links.send("raft", Flush(1))
    links.flush()
    links.update([RAFT], "wal")
    links.flush()
    assert received(links, "raft") == [[Flush(1)]]


def test_what_waits_for_an_incarnation_that_is_gone_is_dropped_with_it(links: Links) -> None:
    links.update([RAFT], "wal")
    links.send("raft", Flush(1))
    new, gone = links.update([NEXT_RAFT], "wal")
    links.flush()
    assert ([peer.incarnation for peer in new], [peer.incarnation for peer in gone]) == ([8], [5])
    assert received(links, "raft") == [] and links.incarnation_of("raft") == 8


def test_a_message_to_a_listener_that_is_gone_is_dropped(links: Links) -> None:
    links.update([LISTENER], "wal")
    assert (links.listener(0), links.listener(4), links.listener(LESSOR_SLOT)) == ("listener-1", "", "lessor")
    links.send(links.listener(4), Flush(1))
    links.flush()
    links.update([LISTENER, RAFT], "wal")
    links.flush()
    assert links.sent == {}


def test_a_successor_beside_its_predecessor_has_a_name_of_its_own_and_keeps_it(links: Links) -> None:
    links.update([LISTENER], "wal")
    links.update([SUCCESSOR, LISTENER], "wal")
    assert (links.listener(0), links.listener(3)) == ("listener-1", "listener-1.9")
    new, gone = links.update([SUCCESSOR], "wal")
    assert new == [] and [peer.name for peer in gone] == ["listener-1"]
    assert links.listener(3) == "listener-1.9" and links.incarnation_of("listener-1") == 0


def test_an_actor_has_no_link_to_itself(links: Links) -> None:
    assert links.update([RAFT], "raft") == ([], [])


def test_an_encoded_frame_follows_what_waits_for_its_receiver(links: Links) -> None:
    links.update([RAFT], "wal")
    links.send("raft", Flush(1))
    links.send_frame("raft", encode_frame([Flush(2)]))
    links.flush()
    assert received(links, "raft") == [[Flush(1)], [Flush(2)]]
    assert links.sent == {Flush: 2} and links.frames_sent() == {"raft": 2}


def test_what_is_sent_now_leaves_with_what_waits_for_that_actor_and_before_the_rest(links: Links) -> None:
    links.update([RAFT, LISTENER], "wal")
    links.send("listener-1", Stop(1.0))
    links.send("raft", Flush(1))
    links.send_now("raft", Flush(2))
    assert received(links, "raft") == [[Flush(1), Flush(2)]] and received(links, "listener-1") == []
    links.flush()
    assert received(links, "raft") == [[Flush(1), Flush(2)]] and received(links, "listener-1") == [[Stop(1.0)]]
    links.send_now("backend", Flush(3))
    links.flush()
    assert links.sent[Flush] == 2, "it waits for the roster"
