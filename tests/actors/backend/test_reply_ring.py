"""The ring of replies in the store."""

from actors.backend.reply_ring import ReplyRing
from etcdz import limits
from etcdz.store.interface import MemoryStore

SIZE = limits.REPLY_RING_SLOTS


def commit(ring: ReplyRing, store: MemoryStore, index: int, frames: dict[int, bytes]) -> None:
    bucket, key, value = ring.add(index, frames)
    store.write({bucket + key: value})


def test_each_receiver_finds_its_own_frames_oldest_first() -> None:
    store = MemoryStore()
    ring = ReplyRing(store)
    commit(ring, store, 3, {1: b"one", 2: b"two"})
    commit(ring, store, 9, {1: b"later"})
    assert ring.frames_for(1) == [b"one", b"later"]
    assert ring.frames_for(2) == [b"two"]
    assert ring.frames_for(30) == []


def test_the_newest_batches_stay_also_over_restarts() -> None:
    store = MemoryStore()
    for index in range(1, 2 * SIZE + 11):
        commit(ReplyRing(store), store, index, {1: b"%d" % index})
    kept = [b"%d" % index for index in range(SIZE + 11, 2 * SIZE + 11)]
    assert ReplyRing(store).frames_for(1) == kept
