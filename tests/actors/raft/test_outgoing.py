"""What leaves for other members: in one message per turn, and nothing while nobody carries it."""

from types import SimpleNamespace

import pytest

from actors.raft.outgoing import Outgoing
from etcdz import limits
from etcdz.ipc.messages import Send
from etcdz.raft import Message, codec, make_entry
from etcdz.raft.messages import MSG_APP, MSG_APP_RESP, MSG_HEARTBEAT, MSG_READ_INDEX_RESP
from etcdz.raft.progress import PROBE, REPLICATE
from tests.actors.raft.restarted import PEER, RecordedLinks


@pytest.fixture
def links() -> RecordedLinks:
    made = RecordedLinks()
    made.peers = [PEER]
    return made


def outgoing(links: RecordedLinks, state: int = REPLICATE) -> Outgoing:
    progress = {member: SimpleNamespace(state=state) for member in (2, 3)}
    node = SimpleNamespace(raft=SimpleNamespace(tracker=SimpleNamespace(progress=progress)))
    return Outgoing(SimpleNamespace(boot=SimpleNamespace(incarnation=7), links=links, node=node))


def append(to: int, commit: int, *data: bytes) -> Message:
    entries = [make_entry(0, 3, at, one) for at, one in enumerate(data, 6)]
    return Message(MSG_APP, to=to, from_=1, term=3, log_term=3, index=5, entries=entries, commit=commit)


def commits_sent(links: RecordedLinks) -> list[tuple[int, int, int]]:
    """(recipient, commit index, how many entries) of all appends that have left."""
    return [(to, commit, len(entries)) for send in links.of_type(Send) for to, *_, commit, entries in send.appends]


def acknowledged(to: int, index: int, term: int = 3, reject: bool = False) -> Message:
    return Message(MSG_APP_RESP, to=to, from_=1, term=term, index=index, reject=reject)


def sent(links: RecordedLinks) -> list[Message]:
    (send,) = links.of_type(Send)
    assert all(to == codec.decode_message(encoded).to for to, encoded in send.messages)
    return [codec.decode_message(encoded)._replace(entries=()) for _, encoded in send.messages]


def test_all_of_a_turn_leaves_at_once_and_appends_in_parts(links: RecordedLinks) -> None:
    out = outgoing(links)
    entry = make_entry(0, 3, 6, b"x")
    out.put(Message(MSG_APP, to=2, from_=1, term=3, log_term=2, index=5, entries=(entry,), commit=4))
    out.put(Message(MSG_HEARTBEAT, to=3, from_=1, term=3))
    out.remember([77])
    out.send()
    out.send()
    (send,) = links.of_type(Send)
    assert (send.incarnation, send.forwarded) == (7, [77])
    assert send.appends == [(2, 3, 2, 5, 4, [entry.encoded])]
    assert [message.to for message in sent(links)] == [3]


def test_only_the_newest_acknowledgement_to_a_member_is_said(links: RecordedLinks) -> None:
    out = outgoing(links)
    for message in (acknowledged(2, 5), acknowledged(3, 5), acknowledged(2, 9)):
        out.put(message)
    out.send()
    assert sent(links) == [acknowledged(2, 9), acknowledged(3, 5)]


@pytest.mark.parametrize("other", [acknowledged(2, 9, term=4), acknowledged(2, 4), acknowledged(2, 9, reject=True)])
def test_what_says_something_else_is_said_beside_it(links: RecordedLinks, other: Message) -> None:
    out = outgoing(links)
    out.put(acknowledged(2, 5))
    out.put(other)
    out.send()
    assert sent(links) == [acknowledged(2, 5), other]


def test_without_a_peer_actor_it_is_lost_as_in_a_network(links: RecordedLinks) -> None:
    links.peers = []
    out = outgoing(links)
    out.put(acknowledged(2, 5))
    out.send()
    links.peers = [PEER]
    out.send()
    assert links.sent == [] and out.unsent == 1


def test_a_commit_index_alone_goes_with_the_next_entries(links: RecordedLinks) -> None:
    out = outgoing(links)
    out.put(append(2, 5))
    out.send()
    assert commits_sent(links) == [] and out.due_at is not None
    out.put(append(2, 5, b"next"))
    out.send()
    assert commits_sent(links) == [(2, 5, 1)] and out.due_at is None


def test_or_after_a_moment_and_then_the_newest_one(links: RecordedLinks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    out = outgoing(links)
    for commit in (4, 5):
        out.put(append(2, commit))
        out.put(append(3, commit))
    out.send_put_off(100.0)
    out.send()
    assert commits_sent(links) == [] and out.due_at == 100.0 + limits.COMMIT_LAG_S
    out.send_put_off(out.due_at)
    out.send()
    assert commits_sent(links) == [(2, 5, 0), (3, 5, 0)] and out.due_at is None


def test_who_has_forwarded_what_is_committed_is_told_at_once(links: RecordedLinks) -> None:
    out = outgoing(links)
    out.on_forwarded(2, 5)
    for commit in (4, 5, 6):
        for member in (2, 3):
            out.put(append(member, commit))
    out.send()
    assert commits_sent(links) == [(2, 4, 0), (2, 5, 0)]


def test_who_is_told_a_read_index_is_told_what_is_committed(links: RecordedLinks) -> None:
    out = outgoing(links)
    for member in (2, 3):
        out.put(append(member, 5))
    out.put(Message(MSG_READ_INDEX_RESP, to=2, from_=1, term=3, index=5))
    out.send()
    assert commits_sent(links) == [(2, 5, 0)]


def test_a_probe_leaves_at_once(links: RecordedLinks) -> None:
    out = outgoing(links, state=PROBE)
    out.put(append(2, 5))
    out.send()
    assert commits_sent(links) == [(2, 5, 0)]


def test_an_acknowledgement_that_only_a_commit_index_has_repeated_waits_for_the_tick(links: RecordedLinks) -> None:
    out = outgoing(links)
    out.put(acknowledged(2, 5))
    out.send()
    out.on_commit_index(2)
    out.put(acknowledged(2, 5))
    out.send()
    assert sent(links) == [acknowledged(2, 5)]
    out.send_repeated()
    out.send()
    assert len(links.of_type(Send)) == 2
    out.send_repeated()
    out.send()
    assert len(links.of_type(Send)) == 2, "once"


def test_but_the_answer_to_a_probe_leaves_at_once(links: RecordedLinks) -> None:
    out = outgoing(links)
    for _ in range(2):
        out.put(acknowledged(2, 5))
        out.send()
    assert len(links.of_type(Send)) == 2


def test_what_the_wal_says_anew_need_not_be_repeated(links: RecordedLinks) -> None:
    out = outgoing(links)
    out.on_acknowledged(acknowledged(2, 5))
    out.on_commit_index(2)
    out.put(acknowledged(2, 5))
    out.on_acknowledged(acknowledged(2, 6))
    out.send_repeated()
    out.send()
    assert links.of_type(Send) == []
