"""Flushes: what raft is told, and when, while the v2 store changes."""

from typing import Any

import pytest

from actors.backend import flushes
from actors.backend.flushes import Flushes
from actors.backend.raft_link import RaftLink
from etcdz.cluster.membership import Membership
from etcdz.ipc.messages import Flushed
from etcdz.mvcc.mvcc import Mvcc
from etcdz.store.interface import MemoryStore
from etcdz.v2 import snapshot
from etcdz.v2.store import V2Store
from tests.actors.recorded_links import RecordedLinks


class Bench:
    """Flushes of a store with some keys, at index 4 of term 2."""

    def __init__(self) -> None:
        links: Any = RecordedLinks()
        mvcc = Mvcc(MemoryStore(), 1, 2)
        mvcc.state.commit(4, 2)
        self.links = links
        self.raft = RaftLink(links, mvcc, Membership(1, 2))
        self.store = V2Store()
        for number in range(1000):
            self.store.set(f"/1/{number % 7}/{number}", "v", 0, 0)
        self.flushes = Flushes(self.store, self.raft, links)


def test_a_small_store_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushes, "SLICE_S", 1000)
    bench = Bench()
    bench.flushes.begin()
    assert not bench.flushes.has_work
    (flushed,) = bench.links.of(Flushed)
    assert (flushed.applied_index, flushed.applied_term) == (4, 2)
    assert flushed.snapshot_data == snapshot.encode(bench.store)


def test_what_is_told_is_of_the_moment_at_which_raft_has_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushes, "SLICE_S", 0)
    bench = Bench()
    expected = snapshot.encode(bench.store)
    bench.flushes.begin()
    steps = 0
    while bench.flushes.has_work:
        steps += 1
        bench.raft.applied_index += 1
        bench.store.set(f"/1/{steps % 9}/{steps}", "new", 0, 0)
        bench.store.delete(f"/1/{steps % 7}/{steps + 7}", False, False, 0)
        if steps == 3:
            bench.flushes.begin()  # a new raft: the one that is under way is an answer for it, too
        bench.flushes.work()
    assert steps > 3
    (flushed,) = bench.links.of(Flushed)
    assert (flushed.applied_index, flushed.snapshot_data) == (4, expected)
    bench.flushes.begin()
    while bench.flushes.has_work:
        bench.flushes.work()
    assert bench.links.of(Flushed)[-1].snapshot_data == snapshot.encode(bench.store)
