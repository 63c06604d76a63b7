"""The compactor: the pace of compactions, and automatic compaction that goes on over restarts of any process."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.compactor.actor import BUSY_PAUSE_S_MAX, BUSY_PAUSES, CompactorActor, slices
from actors.runtime.link import Peer
from etcdz import limits
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import CompactionState, CompactSlice, Leadership, Propose
from etcdz.ipc.request_ids import COMPACTOR_SLOT, slot_of
from etcdz.proto import etcdserverpb as pb
from tests.actors.recorded_links import RecordedLinks

LEADS = Leadership(incarnation=5, term=3, leader=1, commit=9, read_index=9, ready_index=9, lead_index=9)
FOLLOWS = LEADS._replace(lead_index=0)


class Clock:
    now = 1000.0


class Bench:
    """A compactor that compacts by itself every 100 s, and the time."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock = clock
        config = MemberConfig(auto_compaction_retention="100s")
        endpoints = f"ipc://{folder}/compactor", f"ipc://{folder}/supervisor"
        self.actor = CompactorActor(
            Boot("compactor", "compactor", 0, 7, str(folder), *endpoints, [], config.to_dict(), {})
        )
        self.actor.links.close(0)
        links: Any = RecordedLinks()
        self.links = self.actor.links = links
        self.actor.on_leadership(LEADS)

    def state(self, revision: int, compacted: int = -1, running: bool = False, notes: bytes = b"") -> None:
        self.actor.on_compaction_state(CompactionState(revision, compacted, running, notes))

    def wait(self) -> float:
        """To the next deadline. return how long that was"""
        at = self.actor.next_deadline()
        assert at is not None
        waited, self.clock.now = at - self.clock.now, at
        self.actor.on_deadline(at)
        return waited

    def compact_at(self, revision: int) -> list[int]:
        """Beats at this revision until a compaction is proposed. return where, as proposed"""
        for _ in range(30):
            self.wait()
            self.state(revision)
            if proposed := self.proposed():
                return proposed
        raise AssertionError("no compaction in three periods")

    def proposed(self) -> list[int]:
        """Revisions at which compactions were proposed to raft."""
        found = []
        for name, message in self.links.take():
            if isinstance(message, Propose):
                assert (name, message.slot) == ("raft", COMPACTOR_SLOT)
                found += [pb.InternalRaftRequest.FromString(data).compaction.revision for _, data in message.items]
                assert all(slot_of(request_id) == COMPACTOR_SLOT for request_id, _ in message.items)
        return found

    def close(self) -> None:
        self.actor.mailbox.close()
        self.actor.context.term()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:
        one = Bench(Path(folder), clock)
        try:
            yield one
        finally:
            one.close()


def slices_asked(bench: Bench) -> list[int]:
    return [message.records for message in bench.links.of(CompactSlice) if message.records]


def test_a_slice_is_asked_for_when_the_one_before_is_done_and_a_pause_has_passed(bench: Bench) -> None:
    bench.state(50, 40, running=True)
    assert bench.wait() == pytest.approx(bench.actor.pause_s)
    assert slices_asked(bench) == [bench.actor.slice]
    bench.clock.now += 3 * bench.actor.pause_s
    assert bench.actor.slice_at == float("inf"), "the slice is not done"
    bench.state(50, 40, running=True)
    assert bench.wait() == pytest.approx(BUSY_PAUSES * 3 * bench.actor.pause_s), "a busy backend gets a longer pause"
    bench.clock.now += 1.0
    bench.state(50, 40, running=True)
    assert bench.wait() == pytest.approx(BUSY_PAUSE_S_MAX)
    slices_asked(bench)
    bench.state(50, 40, running=False)
    assert bench.actor.slice_at == float("inf")


def test_a_new_backend_is_asked_where_the_compaction_stands(bench: Bench) -> None:
    bench.actor.on_peer_up(Peer("backend", "backend", 0, 9, ""))
    assert [message.records for message in bench.links.of(CompactSlice)] == [0]


def test_what_is_older_than_the_retention_is_compacted(bench: Bench) -> None:
    bench.state(50)
    assert bench.compact_at(70) == [50]
    assert bench.clock.now == pytest.approx(1100.0)
    bench.state(70, compacted=50, running=True)
    assert bench.actor.waits_for is None


def test_a_new_raft_is_offered_the_same_compaction_again(bench: Bench) -> None:
    bench.state(50)
    bench.compact_at(70)
    offered = bench.actor.proposal
    bench.actor.on_peer_up(Peer("raft", "raft", 0, 9, ""))
    assert bench.links.of(Propose) == [Propose(COMPACTOR_SLOT, [offered])], "raft drops an id that its log has"
    bench.state(70, compacted=50)
    bench.actor.on_peer_up(Peer("raft", "raft", 0, 10, ""))
    assert bench.links.of(Propose) == []


def test_a_compaction_that_is_not_applied_within_the_request_timeout_is_tried_again(bench: Bench) -> None:
    bench.state(50)
    bench.compact_at(70)
    assert bench.wait() == pytest.approx(bench.actor.config.request_timeout_s)
    assert bench.actor.waits_for is None
    before = bench.clock.now
    assert bench.compact_at(70) == [50]
    assert bench.clock.now - before == pytest.approx(10.0), "with the next beat"


def test_a_member_that_does_not_lead_proposes_nothing(bench: Bench) -> None:
    bench.actor.on_leadership(FOLLOWS)
    bench.state(50)
    for _ in range(15):
        bench.wait()
        bench.state(70)
    assert bench.proposed() == []


def test_notes_that_a_former_compactor_left_with_the_backend_count(bench: Bench) -> None:
    bench.state(50)
    for _ in range(9):
        bench.wait()
        bench.state(70)
    notes = bench.links.of(CompactSlice)[-1].notes
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:
        successor = Bench(Path(folder), bench.clock)
        successor.state(70, notes=notes)
        assert successor.compact_at(70) == [50], "not a whole period later"
        assert successor.clock.now == pytest.approx(1100.0)
        successor.close()


@pytest.mark.parametrize(
    ("batch", "sleep_s", "expected"),
    [
        (0, 1.0, (limits.COMPACTION_SLICE, limits.COMPACTION_PAUSE_S)),
        (100, 0.01, (100, 0.01)),
        (10 * limits.COMPACTION_SLICE, 1.0, (limits.COMPACTION_SLICE, 0.1)),
        (100, -1.0, (100, 0.0)),
    ],
)
def test_slices_keep_the_pace_of_the_flags(batch: int, sleep_s: float, expected: tuple[int, float]) -> None:
    assert slices(batch, sleep_s) == pytest.approx(expected)
