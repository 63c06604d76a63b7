"""What the backend tells listeners that watch. What a watcher sees in the end is in tests/watch."""

from typing import Any

from actors.backend.publishing import Publisher
from etcdz.ipc.messages import WatchAsk, WatchChanges, WatchChunk, WatchHistory, WatchPosition
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from etcdz.watch.hub import CHANGES, CHANGES_AND_PREV_KV, NOTHING
from tests.actors.recorded_links import RecordedLinks


class Bench:
    def __init__(self) -> None:
        links: Any = RecordedLinks()
        self.links, self.mvcc = links, Mvcc(MemoryStore(), 1, 2, raft_term=3)
        self.publisher = Publisher(links, self.mvcc)

    def put(self, *keys: bytes) -> None:
        """A turn in which these are put."""
        for key in keys:
            self.mvcc.put(pb.PutRequest(key=key, value=b"v"))
        frames = self.publisher.take_frames() if self.publisher.wants else []
        self.mvcc.state.commit(1, 1)
        self.publisher.publish(frames)


def test_changes_go_to_listeners_that_want_them_and_to_no_others() -> None:
    bench = Bench()
    bench.publisher.on_ask(WatchAsk(1, 10, CHANGES))
    bench.publisher.on_ask(WatchAsk(2, 20, CHANGES))
    bench.publisher.on_ask(WatchAsk(3, 30, CHANGES))
    bench.publisher.on_ask(WatchAsk(2, 21, NOTHING))
    bench.publisher.forget(3)
    bench.put(b"a", b"b")
    [(name, changes)] = bench.links.take()
    assert name == "listener-1"
    assert isinstance(changes, WatchChanges)
    assert (changes.before, changes.position[0], changes.changes[1]) == (1, 3, [b"a", b"b"])
    assert changes.changes[3] == [], "prev_kv costs a read for each key: only if a listener wants it"
    bench.publisher.on_ask(WatchAsk(2, 22, CHANGES_AND_PREV_KV))
    bench.put(b"a")
    prev_kvs = [message.changes[3] for message in bench.links.of(WatchChanges)]
    assert [len(column) for column in prev_kvs] == [1, 1]


def test_questions_are_answered_behind_the_changes_of_their_turn() -> None:
    bench = Bench()
    bench.publisher.on_ask(WatchAsk(1, 10, CHANGES))
    bench.put(b"a")
    assert bench.publisher.is_asked
    bench.publisher.end_turn()
    assert not bench.publisher.is_asked
    changes, position = [message for _, message in bench.links.take()]
    assert isinstance(changes, WatchChanges)
    assert position == WatchPosition(10, (2, -1, 2, 1, 3))


def test_history_that_is_compacted_is_an_empty_chunk_whose_position_says_so() -> None:
    bench = Bench()
    bench.put(*[b"a"] * 9)
    bench.mvcc.compact(pb.CompactionRequest(revision=6))
    bench.put()
    for first in (5, 6):
        bench.publisher.on_history(WatchHistory(1, first, first, [(b"a", b"")], False))
    bench.publisher.end_turn()
    gone, there = bench.links.of(WatchChunk)
    assert (gone.seq, gone.through, gone.changes[0], gone.position[1]) == (5, 4, [], 6)
    assert (there.through, there.changes[0]) == (10, [6, 7, 8, 9, 10])
