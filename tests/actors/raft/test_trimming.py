"""When the log is cut, and that a snapshot's marker never comes before the commit index that it needs."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.raft.trimming import Trimming
from etcdz import limits
from etcdz.ipc.messages import Flush, Flushed, SaveSnapshot
from etcdz.raft import ConfState, MemoryStorage, codec, make_entry
from tests.actors.raft.restarted import RecordedLinks

CONF_STATE = codec.encode_conf_state(ConfState((1,)))
EVERY = 100


class Host(SimpleNamespace):
    """An actor with a log of 6,000 entries. order: what was done."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.links = RecordedLinks()
        self.boot = SimpleNamespace(incarnation=7)
        self.storage = MemoryStorage()
        self.storage.append([make_entry(0, 3, index, b"") for index in range(1, 6_001)])
        self.outgoing_snapshots = SimpleNamespace(kept_from=None)
        self.appends: Any = SimpleNamespace(send_commit_index=lambda: self.links.send("wal", "the commit index"))


@pytest.fixture
def host() -> Host:
    return Host()


def test_the_log_is_kept_behind_a_snapshot_that_is_on_its_way(host: Host) -> None:
    host.outgoing_snapshots.kept_from = 700
    trimming = Trimming(host, EVERY, limits.CATCH_UP_ENTRIES)
    trimming.on_flushed(flushed(6_000))
    trimming.maybe_save(committed=6_000)
    assert host.storage.first_index() == 701


def flushed(index: int) -> Flushed:
    return Flushed(index, 3, CONF_STATE, b"v2")


def test_a_flush_is_asked_for_once_after_so_many_entries(host: Host) -> None:
    trimming = Trimming(host, EVERY, limits.CATCH_UP_ENTRIES)
    trimming.begin(snapshot_index=50)
    for applied in (149, 150, 151):
        trimming.on_applied(applied)
    assert host.links.sent == [("backend", Flush(7))]


def test_a_new_backend_is_asked_again(host: Host) -> None:
    trimming = Trimming(host, EVERY, limits.CATCH_UP_ENTRIES)
    trimming.on_applied(100)
    trimming.on_new_backend()
    trimming.on_applied(101)
    assert host.links.of_type(Flush) == [Flush(7), Flush(7)]


def test_the_marker_waits_until_raft_has_committed_it_and_follows_the_commit_index(host: Host) -> None:
    trimming = Trimming(host, EVERY, limits.CATCH_UP_ENTRIES)
    trimming.on_flushed(flushed(200))
    trimming.maybe_save(committed=199)
    assert host.links.sent == [] and trimming.flushed is not None
    trimming.maybe_save(committed=200)
    assert [message for _, message in host.links.sent] == [
        "the commit index",
        SaveSnapshot(7, 200, 3, CONF_STATE, b"v2", keep_index=200),
    ]
    assert (trimming.snapshot_index, trimming.flushed) == (200, None)


def test_the_log_keeps_what_slow_followers_may_ask_for(host: Host) -> None:
    trimming = Trimming(host, EVERY, limits.CATCH_UP_ENTRIES)
    trimming.on_flushed(flushed(limits.CATCH_UP_ENTRIES - 1))
    trimming.maybe_save(committed=6_000)
    assert host.storage.first_index() == 1
    trimming.on_flushed(flushed(6_000))
    trimming.maybe_save(committed=6_000)
    assert host.storage.first_index() == 6_000 - limits.CATCH_UP_ENTRIES + 1


def test_a_flush_no_further_than_the_last_snapshot_saves_nothing(host: Host) -> None:
    trimming = Trimming(host, EVERY, limits.CATCH_UP_ENTRIES)
    trimming.begin(snapshot_index=200)
    trimming.on_flushed(flushed(200))
    trimming.maybe_save(committed=300)
    assert host.links.sent == [] and trimming.flushed is None
