"""The v2 store in the backend: entries are applied once, answered, and there again in the next process."""

import json
from collections.abc import Callable

import msgpack
import pytest

from actors.runtime.loop import FatalError
from etcdz.api.methods import V2_GET
from etcdz.cluster.membership import attributes_request, bootstrap_entries, version_request
from etcdz.ipc.messages import Apply, BackendHello, Flush, Flushed, Read, Replies
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


def test_a_result_travels_as_it_is() -> None:
    result = Result(200, 1, 2, 3, b"{}\n")
    assert decode_result(msgpack.packb(tuple(result))) == result
