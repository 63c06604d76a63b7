"""What is on its way to the wal: what is sent, what waits, and what must never come."""

from types import SimpleNamespace

import pytest

from actors.raft.appends import Appends
from actors.raft.delegation import Delegation
from etcdz.ipc.messages import Append, Appended
from etcdz.raft import ConfState, HardState, MemoryStorage, Message, Snapshot, codec, make_entry
from etcdz.raft.messages import APPEND_THREAD, MSG_STORAGE_APPEND
from tests.actors.raft.restarted import RecordedLinks

ENTRY = make_entry(0, 3, 1, b"data")


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, text: str, **fields: object) -> None:
        self.lines.append(text)


class Host(SimpleNamespace):
    def __init__(self) -> None:
        self.boot = SimpleNamespace(incarnation=7)
        self.links = RecordedLinks()
        self.log = Log()
        self.delegation = Delegation(7)
        self.storage = MemoryStorage()
        self.installs = SimpleNamespace(holds_back=lambda response: False)
        self.stepped: list[Message] = []
        self.node = SimpleNamespace(
            raft=SimpleNamespace(id=1, log=SimpleNamespace(unstable=SimpleNamespace(offset=1))),
            step=self.stepped.append,
        )


@pytest.fixture
def host() -> Host:
    return Host()


def response(index: int) -> Message:
    return Message(0, to=1, index=index)


def work(
    entries: tuple[object, ...] = (),
    hard_state: tuple[int, int, int] = (0, 0, 0),
    responses: tuple[Message, ...] = (),
    snapshot: Snapshot | None = None,
) -> Message:
    term, vote, commit = hard_state
    return Message(
        MSG_STORAGE_APPEND,
        to=APPEND_THREAD,
        entries=entries,
        term=term,
        vote=vote,
        commit=commit,
        responses=responses,
        snapshot=snapshot,
    )


def test_responses_are_stepped_when_the_wal_has_answered_and_in_order(host: Host) -> None:
    appends = Appends(host)
    appends.put(work((ENTRY,), (3, 1, 0), (response(1),)))
    appends.put(work((make_entry(0, 3, 2, b"x"),), (0, 0, 0), (response(2),)))
    assert host.stepped == [] and (len(appends), appends.bytes > 0) == (2, True)
    appends.on_appended(Appended(7, 1, ""))
    assert host.stepped == [response(1)]
    appends.on_appended(Appended(6, 2, ""))  # of another raft
    assert host.stepped == [response(1)]
    appends.on_appended(Appended(7, 2, ""))
    assert host.stepped == [response(1), response(2)] and (len(appends), appends.bytes) == (0, 0)


def test_a_commit_index_goes_with_the_next_entries_and_a_vote_at_once(host: Host) -> None:
    appends = Appends(host)
    appends.put(work(hard_state=(3, 1, 0)))
    assert [append.hard_state for append in host.links.of_type(Append)] == [codec.encode_hard_state(HardState(3, 1, 0))]
    appends.put(work(hard_state=(3, 1, 5)))
    assert len(host.links.of_type(Append)) == 1 and appends.owes_commit_index
    appends.put(work((ENTRY,)))
    assert host.links.of_type(Append)[1].hard_state == codec.encode_hard_state(HardState(3, 1, 5))
    assert not appends.owes_commit_index


def test_a_commit_index_goes_alone_if_nothing_follows(host: Host) -> None:
    appends = Appends(host)
    appends.put(work(hard_state=(3, 1, 0)))
    appends.put(work(hard_state=(3, 1, 5), responses=(response(9),)))
    appends.send_commit_index()
    appends.send_commit_index()
    assert len(host.links.of_type(Append)) == 2
    appends.on_appended(Appended(7, 2, ""))
    assert host.stepped == [response(9)]


def test_entries_that_are_on_disk_are_not_sent_and_their_responses_are_due_at_once(host: Host) -> None:
    appends = Appends(host)
    host.delegation.begin(3, 0, 5)
    appends.adopt(work((ENTRY,), (3, 1, 1), (response(1),)))
    assert host.links.sent == [] and host.stepped == [response(1)]
    assert host.storage.last_index() == 1 and appends.owes_commit_index


def test_entries_of_rafts_own_while_the_end_of_the_log_is_delegated_end_the_process(host: Host) -> None:
    host.delegation.begin(3, 0, 5)
    with pytest.raises(RuntimeError, match="delegated"):
        Appends(host).put(work((ENTRY,)))


def test_a_snapshot_never_comes_while_the_end_of_the_log_is_the_wals(host: Host) -> None:
    with pytest.raises(RuntimeError, match="snapshot while the end of the log is delegated"):
        Appends(host).adopt(work((), snapshot=Snapshot(9, 3, ConfState((1,)), b"")))


def test_a_new_wal_is_sent_what_was_not_answered(host: Host) -> None:
    appends = Appends(host)
    for index in (1, 2):
        appends.put(work((make_entry(0, 3, index, b"x"),)))
    appends.on_appended(Appended(7, 1, ""))
    host.links.sent.clear()
    appends.send_again()
    assert [append.seq for append in host.links.of_type(Append)] == [2]


def test_a_refusal_of_the_wal_is_kept_until_it_ends_and_told_once(host: Host) -> None:
    appends = Appends(host)
    for error in ("NoSpace", "NoSpace", ""):
        appends.on_appended(Appended(7, 0, error))
        assert appends.refusal == error
    assert host.log.lines == ["writes are refused", "writes are taken again"]
