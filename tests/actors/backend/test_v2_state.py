"""The v2 store in the backend: entries are applied once, answered, and there again in the next process."""

import json
from collections.abc import Callable

import msgpack
import pytest

from actors.backend import long_reads, reads, v2_gets
from actors.runtime.link import Peer
from actors.runtime.loop import FatalError
from etcdz.api import errors
from etcdz.api.methods import V2_GET
from etcdz.cluster.membership import attributes_request, bootstrap_entries, version_request
from etcdz.ipc.messages import (
    Apply,
    AuthHeard,
    BackendHello,
    Flush,
    Flushed,
    Leadership,
    LongReads,
    Propose,
    Read,
    ReadLong,
    Replies,
    ReplyPart,
    V2Events,
    V2Guard,
    V2Watch,
    V2WatchEnd,
)
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.v2 import snapshot
from etcdz.v2.answers import Result, decode_result
from tests.actors.backend.started import MEMBER_ID, RAFT, TERM, Entries, Started

Start = Callable[..., Started]
URLS = json.dumps({"id": MEMBER_ID, "peerURLs": ["http://localhost:2380"]}).encode()


class Calls:
    """Entries and reads of the listener in slot 1."""

    def __init__(self, one: Started, index: int = 0) -> None:
        self.one, self.index = one, index
        self.ids = Entries().ids
        one.turn(BackendHello(RAFT))

    def apply(self, data: bytes, kind: int = 0) -> list[tuple[str, object]]:
        self.index += 1
        return self.one.turn(Apply(RAFT, self.index, TERM, [data], bytes([kind])))

    def call(self, method: str, path: str, **fields: object) -> Result:
        request = pb.Request(ID=self.ids.next(), Method=method, Path=path, **fields)
        return result_of(self.apply(request.SerializeToString()), request.ID)

    def get(self, path: str) -> Result:
        request_id = self.ids.next()
        body = pb.Request(Method="GET", Path=path).SerializeToString()
        return result_of(self.one.turn(Read(1, [(request_id, V2_GET, body, 0)])), request_id)


def events_of(sent: list[tuple[str, object]]) -> list[tuple[int, tuple[int, ...], list[tuple[int, bytes]], bytes]]:
    return [item for _, message in sent if isinstance(message, V2Events) for item in message.items]


def result_of(sent: list[tuple[str, object]], request_id: int) -> Result:
    (body,) = [item[2] for _, m in sent if isinstance(m, Replies) for item in m.items if item[0] == request_id]
    return decode_result(body)


def test_an_entry_is_answered_and_read_again_after_a_kill(start: Start) -> None:
    calls = Calls(start())
    put = calls.call("PUT", "/1/key", Val="v")
    assert put[:4] == (201, 1, 1, TERM)
    assert put.body == b'{"action":"set","node":{"key":"/key","value":"v","modifiedIndex":1,"createdIndex":1}}\n'
    refused = calls.call("PUT", "/1/key", Val="w", PrevValue="x")
    assert (refused.status, json.loads(refused.body)["cause"]) == (412, "[x != v]")
    again = Calls(start(), index=2)
    assert json.loads(again.get("/1/key").body)["node"]["value"] == "v"
    assert again.call("PUT", "/1/key", Val="w").store_index == 2


def test_of_a_turn_that_was_not_committed_nothing_is_left(start: Start) -> None:
    one = start()
    one.turn(BackendHello(RAFT))
    one.hand(Apply(RAFT, 1, TERM, [pb.Request(ID=1, Method="PUT", Path="/1/key", Val="v").SerializeToString()], b""))
    again = Calls(start())
    assert again.get("/1/key").status == 404
    assert again.call("PUT", "/1/key", Val="v").store_index == 1


def test_what_expires_goes_with_an_entry_of_the_leader(start: Start) -> None:
    calls = Calls(start())
    calls.call("PUT", "/1/key", Val="v", Expiration=1_700_000_000_000_000_000)
    calls.apply(pb.Request(ID=2, Method="SYNC", Time=1_700_000_000_000_000_001).SerializeToString())
    assert calls.get("/1/key")[:2] == (404, 2)


def test_the_membership_counts_in_its_index_and_both_go_into_a_snap_file(start: Start) -> None:
    calls = Calls(start())
    first = raftpb.Entry.FromString(bootstrap_entries([(MEMBER_ID, URLS)])[0])
    calls.apply(first.Data, kind=1)
    calls.apply(attributes_request(1, MEMBER_ID, "default", ["http://localhost:2379"]))
    calls.apply(version_request(2, "3.5.0"))
    assert calls.call("PUT", "/1/key", Val="v").store_index == 4
    wrapped = pb.Request(ID=7, Method="PUT", Path="/1/wrapped", Val="v").SerializeToString()
    calls.apply(b"\x08\x07\x12" + bytes([len(wrapped)]) + wrapped)
    (flushed,) = [message for _, message in calls.one.turn(Flush(7)) if isinstance(message, Flushed)]
    store = snapshot.decode(flushed[3])
    assert store.index == 5
    assert [event.store_index for event in store.hub.history.events] == [1, 2, 3, 4, 5]


def test_a_key_that_is_no_utf_8_ends_nobody(start: Start) -> None:
    """etcd's members hand on what their clients have sent."""
    calls = Calls(start())
    data = pb.Request(ID=calls.ids.next(), Method="PUT", Path="/1/k", Val="v").SerializeToString()
    calls.apply(data.replace(b"/1/k", b"/1/\xff"))
    assert calls.get("/1/\ufffd").status == 200


def test_keys_of_the_v2_api_keep_a_member_from_starting_if_it_is_told_so(start: Start) -> None:
    calls = Calls(start())
    calls.call("PUT", "/1/key", Val="v")
    with pytest.raises(FatalError, match="custom content in v2store for stage --v2-deprecation=write-only"):
        start(v2_deprecation="write-only")


def test_listeners_are_told_when_users_of_the_v2_api_are_in_force(start: Start) -> None:
    calls = Calls(start(enable_v2=True))
    calls.one.links.peers = [Peer("listener-1", "listener", 1, 1, "")]
    enabled = pb.Request(ID=1, Method="PUT", Path="/2/enabled", Val="true").SerializeToString()
    assert [m for _, m in calls.apply(enabled) if isinstance(m, V2Guard)] == [V2Guard(True, 1)]
    again = pb.Request(ID=2, Method="PUT", Path="/2/enabled", Val="true").SerializeToString()
    assert not [m for _, m in calls.apply(again) if isinstance(m, V2Guard)]


def test_who_turns_users_of_the_v2_api_on_is_answered_when_no_listener_acts_without_them(start: Start) -> None:
    calls = Calls(start(enable_v2=True))
    calls.one.links.peers = [Peer(f"listener-{slot}", "listener", slot, slot, "") for slot in (1, 2)]
    request = pb.Request(ID=calls.ids.next(), Method="PUT", Path="/2/enabled", Val="true")
    sent = calls.apply(request.SerializeToString())
    assert [name for name, m in sent if isinstance(m, V2Guard)] == ["listener-1", "listener-2"]
    assert not [m for _, m in sent if isinstance(m, Replies)]
    assert not [m for _, m in calls.one.turn(AuthHeard(1, 1)) if isinstance(m, Replies)]
    assert result_of(calls.one.turn(AuthHeard(2, 1)), request.ID).status == 201


def test_a_watch_is_told_what_is_committed_and_goes_on_with_the_next_backend(start: Start) -> None:
    calls = Calls(start())
    calls.call("PUT", "/1/_h/x", Val="0")
    began = events_of(calls.one.turn(V2Watch(1, 7, "/1", True, True, 0)))
    assert began == [(7, (1, 1, TERM), [], b"")]
    sent = events_of(calls.apply(pb.Request(ID=9, Method="PUT", Path="/1/a", Val="1").SerializeToString()))
    ((_, start_, [(index, line)], _),) = sent
    assert (start_, index, json.loads(line)["node"]["key"]) == ((), 2, "/a")
    calls.call("PUT", "/1/_h/y", Val="0")
    calls.call("PUT", "/1/b", Val="1")
    again = Calls(start(), index=4)
    ((_, _, missed, _),) = events_of(again.one.turn(V2Watch(1, 7, "/1", True, True, 3, True)))
    assert [json.loads(line)["node"]["key"] for _, line in missed] == ["/b"]
    again.one.turn(V2WatchEnd(1, [7]))
    assert events_of(again.apply(pb.Request(ID=9, Method="PUT", Path="/1/a", Val="1").SerializeToString())) == []


def test_the_leader_proposes_an_end_only_if_one_is_due(start: Start) -> None:
    calls = Calls(start())
    leads = Leadership(RAFT, TERM, MEMBER_ID, 1, None, 1, lead_index=1)
    calls.one.turn(leads)
    expiry = calls.one.actor.v2_expiry
    assert expiry.next_at is None
    calls.call("PUT", "/1/later", Val="v", Expiration=(1 << 62))
    assert expiry.next_at is not None
    expiry.work(expiry.next_at)
    assert not [m for _, m in calls.one.links.take() if isinstance(m, Propose)]
    calls.call("PUT", "/1/gone", Val="v", Expiration=1_700_000_000_000_000_000)
    expiry.work(expiry.next_at)
    ((_, proposal),) = [(name, m) for name, m in calls.one.links.take() if isinstance(m, Propose)]
    calls.apply(proposal.items[0][1])
    assert calls.get("/1/gone").status == 404
    calls.one.turn(leads._replace(lead_index=0))
    assert expiry.next_at is None


def test_a_result_travels_as_it_is() -> None:
    result = Result(200, 1, 2, 3, b"{}\n")
    assert decode_result(msgpack.packb(tuple(result))) == result


def filled(start: Start, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """With a directory that takes longer than a turn may."""
    calls = Calls(start())
    for number in range(300):
        calls.call("PUT", f"/1/d/{number}", Val="v")
    monkeypatch.setattr(v2_gets, "SHORT_S", 0)
    monkeypatch.setattr(reads, "SHORT_S", 0)
    monkeypatch.setattr(long_reads, "SLICE_S", 0.000_001)
    return calls


def keys_in(result: Result) -> list[str]:
    return [node["key"] for node in json.loads(result.body)["node"]["nodes"]]


def read_on(calls: Calls, request_id: int) -> tuple[Result, int]:
    """The answer to a long read, and how many turns with a change each it has taken."""
    parts, turns = b"", 0
    while True:
        turns += 1
        sent = calls.apply(pb.Request(ID=1, Method="PUT", Path=f"/1/d/{1000 + turns}", Val="v").SerializeToString())
        for part in [message for _, message in sent if isinstance(message, ReplyPart)]:
            assert (part.request_id, part.offset) == (request_id, len(parts))
            parts += part.data
            if part.is_last:
                return decode_result(parts), turns
        answers = [item for _, m in sent if isinstance(m, Replies) for item in m.items if item[0] == request_id]
        if answers:
            return decode_result(answers[0][2]), turns


def test_a_large_directory_is_read_between_turns_as_it_was_when_that_began(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = filled(start, monkeypatch)
    before = calls.one.actor.v2.store.statistics.counts["getsSuccess"]
    request_id = calls.ids.next()
    body = pb.Request(Method="GET", Path="/1/d", Recursive=True).SerializeToString()
    sent = calls.one.turn(Read(1, [(request_id, V2_GET, body, 0)]))
    assert [m.ids for _, m in sent if isinstance(m, LongReads)] == [[request_id]]
    calls.one.turn(ReadLong(1, [(request_id, V2_GET, body, 0)]))
    result, turns = read_on(calls, request_id)
    assert turns > 1
    assert result[:4] == (200, 300, 300, TERM)
    assert keys_in(result) == [f"/d/{number}" for number in range(300)]
    assert calls.one.actor.v2.store.statistics.counts["getsSuccess"] == before + 1


def test_a_quorum_get_of_a_large_directory_shows_it_as_its_entry_has_found_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = filled(start, monkeypatch)
    asked = [pb.Request(ID=calls.ids.next(), Method="QGET", Path="/1/d", Sorted=True) for _ in range(2)]
    for request in asked:
        calls.apply(request.SerializeToString())
        calls.call("DELETE", f"/1/d/{len(asked)}")
    foreign = pb.Request(ID=1, Method="QGET", Path="/1/d")  # of another member's client: nothing is read for it
    assert not [m for _, m in calls.apply(foreign.SerializeToString()) if isinstance(m, ReplyPart)]
    first, _ = read_on(calls, asked[0].ID)
    second, _ = read_on(calls, asked[1].ID)
    assert (first[1:3], second[1:3]) == ((300, 301), (301, 303))
    assert (len(keys_in(first)), len(keys_in(second))) == (300, 299)


def test_more_quorum_gets_than_may_wait_are_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = filled(start, monkeypatch)
    monkeypatch.setattr(long_reads, "ENTRIES_MAX", 1)
    asked = [pb.Request(ID=calls.ids.next(), Method="QGET", Path="/1/d").SerializeToString() for _ in range(3)]
    calls.index += 3
    sent = calls.one.turn(Apply(RAFT, calls.index - 2, TERM, asked, b""))
    codes = [item[1] for _, m in sent if isinstance(m, Replies) for item in m.items]
    assert codes == [errors.REQUEST_TOO_MANY_REQUESTS.code] * 2
