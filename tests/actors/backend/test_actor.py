"""The backend's turn: entries are taken in order, applied, committed as one batch, and only then answered."""

import random
from collections.abc import Callable
from typing import Any

from actors.backend import reply_ring
from actors.runtime.link import Peer
from etcdz.api.methods import RANGE
from etcdz.ipc.messages import (
    Applied,
    Apply,
    BackendHello,
    BackendState,
    Durable,
    Flush,
    Flushed,
    LeaseEvents,
    Read,
    Replies,
)
from etcdz.ipc.request_ids import RequestIds
from etcdz.lease.lessor import GRANTED
from etcdz.proto import etcdserverpb as pb
from tests.actors.backend.started import RAFT, TERM, Entries, Started, replied

Start = Callable[..., Started]


def apply(first_index: int, *entries: bytes) -> Apply:
    return Apply(RAFT, first_index, TERM, list(entries), b"")


def durable(first_index: int, *entries: bytes, raft: int = RAFT) -> Durable:
    return Durable(raft, first_index, TERM, list(entries))


def greeted(start: Start) -> Started:
    one = start()
    one.turn(BackendHello(RAFT))
    return one


def test_a_put_is_in_the_store_before_its_reply_leaves(start: Start) -> None:
    one, (request_id, entry) = start(), Entries().put(b"a")
    seen: list[bool] = []
    plain = one.links.send_frame

    def send_frame(name: str, frame: bytes) -> None:
        seen.append(one.actor.mvcc.state.pending == {} and one.actor.mvcc.state.consistent_index == 1)
        plain(name, frame)

    one.links.send_frame = send_frame  # type: ignore[method-assign]
    assert replied(one.turn(apply(1, entry))) == [("listener-1", request_id)]
    assert seen == [True]


def test_all_entries_of_a_turn_are_one_batch(start: Start, monkeypatch: Any) -> None:
    one, entries = start(), Entries()
    batches: list[Any] = []
    plain = one.actor.store.write

    def write(batch: Any, sync: bool = False) -> bool:
        batches.append(batch)
        return plain(batch, sync)

    monkeypatch.setattr(one.actor.store, "write", write)
    ids, puts = zip(*[entries.put(b"k%d" % i) for i in range(5)], strict=True)
    sent = one.turn(apply(1, *puts[:2]), apply(3, *puts[2:]))
    assert replied(sent) == [("listener-1", request_id) for request_id in ids]
    assert len(batches) == 1


def test_entries_that_are_applied_already_are_passed_over(start: Start) -> None:
    one, entries = start(), Entries()
    _, first = entries.put(b"a")
    second_id, second = entries.put(b"a")
    one.turn(apply(1, first))
    assert replied(one.turn(apply(1, first, second))) == [("listener-1", second_id)]
    sent = one.turn(apply(1, first, second))
    assert [message.applied_index for _, message in sent if isinstance(message, Applied)] == [2], "raft is told so"
    assert replied(sent) == []


def test_entries_behind_a_gap_are_not_applied_and_raft_is_told_where_to_go_on(start: Start) -> None:
    one = greeted(start)
    sent = one.turn(apply(3, Entries().put(b"a")[1]))
    assert [(name, type(message), message.applied_index) for name, message in sent] == [("raft", BackendState, 0)]


def test_what_the_wal_hands_over_waits_for_the_entries_of_raft_before_it(start: Start) -> None:
    one, entries = greeted(start), Entries()
    (first_id, first), (second_id, second), (third_id, third) = [entries.put(b"a") for _ in range(3)]
    assert replied(one.turn(durable(2, second), durable(3, third))) == []
    assert replied(one.turn(apply(1, first))) == [("listener-1", each) for each in (first_id, second_id, third_id)]


def test_what_the_wal_hands_over_for_a_raft_that_is_gone_is_dropped(start: Start) -> None:
    one = greeted(start)
    early = durable(2, Entries().put(b"a")[1])
    assert replied(one.turn(durable(1, Entries().put(b"a")[1], raft=RAFT - 1))) == []
    one.turn(early)
    one.turn(BackendHello(RAFT + 1))
    request_id, entry = Entries().put(b"a")
    assert replied(one.turn(apply(1, entry))) == [("listener-1", request_id)], "what waited for it is gone as well"


def test_replies_that_a_killed_backend_wrote_are_sent_by_the_next_to_their_listener(start: Start) -> None:
    one = start()
    mine, others = Entries(1).put(b"a"), Entries(2).put(b"a")
    one.turn(apply(1, mine[1], others[1]))
    again = start()
    again.actor.on_peer_up(Peer("listener-1", "listener", 1, 9, ""))
    assert replied(again.links.take()) == [("listener-1", mine[0])]


def test_a_new_wal_makes_the_backend_tell_a_raft_that_it_knows_where_it_stands(start: Start) -> None:
    """The wal before it may have written entries that it did not hand over."""
    one = start()
    wal = Peer("wal", "wal", 0, 9, "")
    one.actor.on_peer_up(wal)
    assert one.links.take() == []
    one.turn(BackendHello(RAFT), apply(1, Entries().put(b"a")[1]))
    one.actor.on_peer_up(wal)
    assert [message.applied_index for message in one.links.of(BackendState)] == [1]


def test_a_flush_makes_what_is_applied_durable(start: Start) -> None:
    one = start()
    assert one.turn(apply(1, Entries().put(b"a")[1]))
    assert one.actor.mvcc.state.flushed_index == 0
    [flushed] = [message for _, message in one.turn(Flush(RAFT)) if isinstance(message, Flushed)]
    assert (flushed.applied_index, flushed.applied_term, one.actor.mvcc.state.flushed_index) == (1, TERM, 1)


def test_the_lessor_hears_of_a_lease_before_the_client_does(start: Start) -> None:
    one, ids = start(), Entries().ids
    grant = pb.InternalRaftRequest(
        header=pb.RequestHeader(ID=ids.next()), lease_grant=pb.LeaseGrantRequest(ID=4, TTL=60)
    )
    sent = one.turn(apply(1, grant.SerializeToString()))
    assert [(name, type(message)) for name, message in sent] == [("lessor", LeaseEvents), ("listener-1", Replies)]
    assert sent[0][1].items == [(GRANTED, 4, 60)]


def test_a_read_shows_what_the_same_turn_has_applied(start: Start) -> None:
    one = start()
    body = pb.RangeRequest(key=b"a").SerializeToString()
    sent = one.turn(apply(1, Entries().put(b"a", b"new")[1]), Read(2, [(77, RANGE, body, 1)]))
    [answer] = [message for name, message in sent if name == "listener-2"]
    [(request_id, code, answered)] = answer.items
    assert (request_id, code, pb.RangeResponse.FromString(answered).kvs[0].value) == (77, 0, b"new")
    assert replied(sent)[0][0] == "listener-1", "and leaves behind the replies that it may show"


def test_raft_hears_by_the_clock_how_far_the_backend_is(start: Start) -> None:
    one = start()
    assert one.actor.next_deadline() is None
    one.turn(apply(1, Entries().put(b"a")[1]))
    deadline = one.actor.next_deadline()
    assert deadline is not None
    one.actor.on_deadline(deadline + 1.0)
    assert [message.applied_index for message in one.links.of(Applied)] == [1]
    assert one.actor.next_deadline() is None, "until more is applied"


_ANSWER = 700_000
_NOISE = random.Random(1).randbytes(_ANSWER)
"""What LevelDB cannot compress."""


def big_answer(ids: RequestIds) -> tuple[int, bytes]:
    """(request id, entry) of a transaction that writes little and is answered with all of `big`."""
    request_id = ids.next()
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=b"little", value=b"1")),
        pb.RequestOp(request_range=pb.RangeRequest(key=b"big/", range_end=b"big0")),
    ]
    request = pb.InternalRaftRequest(header=pb.RequestHeader(ID=request_id), txn=pb.TxnRequest(success=ops))
    return request_id, request.SerializeToString()


def test_answers_are_not_data_for_the_quota(start: Start) -> None:
    """80 MB of them under a quota of 16 MiB."""
    one, entries = start(quota_backend_bytes=16 << 20), Entries()
    one.turn(apply(1, *[entries.put(b"big/%d" % i, _NOISE)[1] for i in range(4)]))
    for index in range(5, 35):
        request_id, entry = big_answer(entries.ids)
        sent = one.turn(apply(index, entry))
        assert replied(sent) == [("listener-1", request_id)]
        assert [item[1] for _, message in sent if isinstance(message, Replies) for item in message.items] == [0]
    assert one.actor.mvcc.db_size() < 5 * _ANSWER
    again = start(quota_backend_bytes=16 << 20)
    again.actor.on_peer_up(Peer("listener-1", "listener", 1, 9, ""))
    found = replied(again.links.take())
    assert 2 <= len(found) <= 6, "16 MiB at most"
    assert found[-1] == ("listener-1", request_id)


def test_an_answer_that_is_too_large_for_the_ring_costs_no_other_its_place(start: Start, monkeypatch: Any) -> None:
    monkeypatch.setattr(reply_ring, "FRAMES_BYTES_MAX", _ANSWER)
    one, mine, others = start(), Entries(1), Entries(2)
    large, small, third = big_answer(mine.ids), mine.put(b"a"), others.put(b"b")
    puts = [mine.put(b"big/%d" % i, _NOISE[: _ANSWER // 2])[1] for i in range(3)]
    one.turn(apply(1, *puts))
    sent = one.turn(apply(4, large[1], small[1], third[1]))
    assert len(replied(sent)) == 3
    again = start()
    for slot in (1, 2):
        again.actor.on_peer_up(Peer(f"listener-{slot}", "listener", slot, 9, ""))
    ids = [request_id for _, request_id in replied(again.links.take())]
    assert ids[-2:] == [small[0], third[0]] and large[0] not in ids


def test_the_ring_in_the_store_of_an_earlier_version_is_taken_out(start: Start) -> None:
    one = start()
    rows = {b"etcdz_replies\0" + bytes([place]): bytes(100_000) for place in range(64)}
    one.actor.store.write(rows)
    store = start().actor.store
    assert list(store.iterate(b"etcdz_replies\0", b"etcdz_replies\x01")) == []
    while not store.defragment_step():
        pass
    assert store.size() < 100_000
