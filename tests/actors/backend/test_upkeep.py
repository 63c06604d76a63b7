"""Long work in slices: compactions on request, hashes, defragmentation. Checks are in test_data_checks.py."""

from typing import Any

from actors.backend.upkeep import Upkeep
from etcdz.api.errors import Code
from etcdz.api.methods import DEFRAGMENT, HASH_KV, WAIT_COMPACTION
from etcdz.ipc.messages import CompactionState, CompactSlice
from etcdz.mvcc.hashes import HashKvJob
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from tests.actors.backend.test_data_checks import Log
from tests.actors.recorded_links import RecordedLinks


class Slow(MemoryStore):
    """A store whose defragmentation takes three steps."""

    left = 0
    begun = 0

    def defragment(self) -> None:
        self.left, self.begun = 3, self.begun + 1

    def defragment_step(self) -> bool:
        self.left -= 1
        return self.left == 0


class Readers:
    """holding: until when they hold a compaction up"""

    holding = 0.0

    def holds_up(self, target: int, now: float) -> bool:
        return now < self.holding


class Host:
    """A backend with 100 revisions of five keys; the latest is 101."""

    def __init__(self) -> None:
        self.links: Any = RecordedLinks()
        self.log: Any = Log()
        self.store = Slow()
        self.mvcc = Mvcc(self.store, 1, 2)
        self.long_reads = Readers()
        self.answers: list[tuple[int, int, int, bytes]] = []
        self.upkeep = Upkeep(self, lambda *answer: self.answers.append(answer))
        for number in range(100):
            self.mvcc.put(pb.PutRequest(key=b"k%d" % (number % 5)))
        self.commit_pending()

    def commit_pending(self) -> None:
        self.mvcc.state.commit(self.mvcc.state.consistent_index + 1, 1)

    def raise_corrupt(self) -> None:
        raise AssertionError("the data is as it was written")

    def compact(self, revision: int) -> None:
        self.mvcc.compact(pb.CompactionRequest(revision=revision))
        self.commit_pending()

    def states(self) -> list[Any]:
        return self.links.of(CompactionState)

    def begin(self, method: int, request_id: int, body: bytes = b"") -> None:
        self.upkeep.long[method](1, request_id, body)

    def run(self) -> int:
        """Until there is nothing left to do. return in how many slices"""
        now, slices = 0.0, 0
        while self.upkeep.next_at is not None:
            now = max(now, self.upkeep.next_at)
            self.upkeep.work(now)
            slices += 1
        return slices


def test_a_compaction_does_no_more_than_it_is_asked_for_and_says_after_each_slice_where_it_is() -> None:
    host = Host()
    host.compact(90)
    slices = 0
    while not slices or host.mvcc.compaction.running:
        assert host.upkeep.next_at is None, "the compactor sets the pace"
        host.upkeep.on_compact_slice(CompactSlice(7, 20, b""))
        host.upkeep.work(0.0)
        [state] = host.states()
        assert (state.revision, state.compact_revision, state.running) == (101, 90, host.mvcc.compaction.running)
        slices += 1
    assert slices == 5


def test_a_compactor_that_asks_for_no_records_is_told_where_the_compaction_stands_and_its_notes() -> None:
    host = Host()
    host.upkeep.on_compact_slice(CompactSlice(7, 0, b"notes"))
    host.upkeep.on_compact_slice(CompactSlice(8, 0, b""))
    assert [state.notes for state in host.states()] == [b"notes", b"notes"]
    assert host.upkeep.next_at is None


def test_a_physical_compaction_is_answered_when_all_is_taken_out() -> None:
    host = Host()
    host.begin(WAIT_COMPACTION, 10)
    assert [answer[:3] for answer in host.answers] == [(1, 10, Code.OK)], "there is nothing to wait for"
    host.compact(50)
    host.begin(WAIT_COMPACTION, 11)
    host.upkeep.on_compact_slice(CompactSlice(7, 20, b""))
    host.upkeep.work(0.0)
    assert len(host.answers) == 1
    host.upkeep.on_compact_slice(CompactSlice(7, 1000, b""))
    host.upkeep.work(0.0)
    assert [answer[:3] for answer in host.answers] == [(1, 10, Code.OK), (1, 11, Code.OK)]


def test_hashes_are_made_one_after_another_and_changes_meanwhile_do_not_count() -> None:
    host = Host()
    expected = HashKvJob(host.mvcc.state, 40).step()
    body = pb.HashKVRequest(revision=40).SerializeToString()
    for request_id in (10, 11):
        host.begin(HASH_KV, request_id, body)
    host.mvcc.put(pb.PutRequest(key=b"k1", value=b"later"))
    host.commit_pending()
    assert host.run() >= 2
    assert [answer[1] for answer in host.answers] == [10, 11]
    for _, _, code, answer in host.answers:
        found = pb.HashKVResponse.FromString(answer)
        assert (code, (found.hash, found.compact_revision, found.hash_revision)) == (Code.OK, expected)


def test_a_defragmentation_that_is_asked_for_during_another_is_one_of_its_own() -> None:
    host = Host()
    host.begin(DEFRAGMENT, 10)
    host.begin(DEFRAGMENT, 11)
    host.begin(DEFRAGMENT, 12)
    assert host.store.begun == 1
    host.run()
    assert [answer[1] for answer in host.answers] == [10, 11, 12]
    assert host.store.begun == 2, "11 and 12 may have deleted what the first had passed"
