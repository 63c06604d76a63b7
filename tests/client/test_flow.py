"""What waits for who is slow to take it is bounded, and holds nobody else up."""

import threading
from typing import Any

import pytest

import etcdz
from etcdz.client import snapshots, watches
from etcdz.client.errors import Compacted
from etcdz.client.methods import RANGE, SNAPSHOT, WATCH
from etcdz.client.snapshots import SnapshotStream
from etcdz.client.watches import WatchOptions
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.wire.client import ClientSettings
from tests.client.scripted import Server, World, replies
from tests.etcd_process import Member

VALUE = b"x" * 1000


# ---- watches ----


class Watching:
    """A scripted server with one stream of watches."""

    def __init__(self) -> None:
        self.world = World("a:1")
        self.world.server.answers[WATCH.path] = self._on_request
        self.created: list[tuple[int, int]] = []
        self.canceled: list[int] = []
        self._stream_id = 0

    def _on_request(self, server: Server, stream_id: int, body: bytes) -> None:
        request = pb.WatchRequest.FromString(body)
        self._stream_id = stream_id
        if request.HasField("create_request"):
            create = request.create_request
            self.created.append((create.watch_id, create.start_revision))
            self._say(create.watch_id, 7, created=True)
        elif request.HasField("cancel_request"):
            self.canceled.append(request.cancel_request.watch_id)
            self._say(request.cancel_request.watch_id, 7, canceled=True)

    def _say(self, watch_id: int, revision: int, **fields: Any) -> None:
        response = pb.WatchResponse(header=pb.ResponseHeader(revision=revision), watch_id=watch_id, **fields)
        self.world.server.conn.send_message(self._stream_id, response.SerializeToString())

    def tell(self, watch_id: int, *revisions: int, **fields: Any) -> None:
        kvs = [mvccpb.KeyValue(key=b"k", value=VALUE, mod_revision=revision) for revision in revisions]
        self._say(watch_id, max(revisions, default=7), events=[mvccpb.Event(kv=kv) for kv in kvs], **fields)
        self.world.turn()

    def add(self) -> watches.Watcher:
        watcher = self.world.core.watches.add(WatchOptions(b"k", start=8))
        self.world.turn()
        return watcher


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    monkeypatch.setattr(watches, "QUEUE_BYTES", 10 * (len(VALUE) + 500))
    return Watching()


def _take_all(watcher: watches.Watcher) -> list[int]:
    found = []
    while watcher.events:
        event = watcher.take().value
        assert event is not None
        found.append(event.revision)
    return found


def test_a_watcher_of_whom_nobody_takes_is_paused_and_goes_on_where_it_stood(watching: Watching) -> None:
    slow, other = watching.add(), watching.add()
    watching.tell(slow.watch_id, *range(8, 28))
    assert watching.canceled == [1]
    watching.tell(1, 28, 29)  # was on its way
    watching.tell(other.watch_id, 8)
    assert _take_all(other) == [8] and len(slow.events) == 20
    assert _take_all(slow) == list(range(8, 28)) and len(watching.created) == 2
    waiting = slow.take()
    watching.world.turn()
    assert watching.created[2:] == [(3, 28)]
    watching.tell(1, 30)  # for the one that was canceled: late, and not in turn
    watching.tell(3, 28, 29, 30)
    assert waiting.value is not None and waiting.value.revision == 28
    assert _take_all(slow) == [29, 30]


def test_one_whose_events_are_taken_is_not_paused(watching: Watching) -> None:
    watcher = watching.add()
    for revision in range(8, 108, 5):
        watching.tell(1, *range(revision, revision + 5))
        assert _take_all(watcher) == list(range(revision, revision + 5))
    assert watching.canceled == []


def test_a_paused_one_alone_needs_no_stream_until_it_goes_on(watching: Watching) -> None:
    watcher = watching.add()
    watching.tell(1, *range(8, 28))
    assert watching.world.server.canceled and not watching.world.core.watches.is_active
    watching.world.server.break_off()
    watching.world.advance(60)
    _take_all(watcher)
    waiting = watcher.take()
    watching.world.turn()
    watching.tell(2, 28)
    assert waiting.value is not None and waiting.value.revision == 28


@pytest.mark.parametrize("closed", ["watcher", "client"])
def test_the_end_of_one_that_is_paused(watching: Watching, closed: str) -> None:
    watcher = watching.add()
    watching.tell(1, *range(8, 28))
    if closed == "client":
        watching.world.core.close()
    else:
        watching.world.core.watches.remove(watcher)
    assert _take_all(watcher) == list(range(8, 28)), "what was told before can still be taken"
    end = watcher.take()
    assert end.done and (end.error is not None) == (closed == "client")
    watching.world.turn()
    assert len(watching.created) == 1


def test_it_is_told_if_what_it_has_missed_is_compacted(watching: Watching) -> None:
    watcher = watching.add()
    watching.tell(1, *range(8, 28))
    _take_all(watcher)
    waiting = watcher.take()
    watching.world.turn()
    watching.tell(2, canceled=True, compact_revision=50)
    assert isinstance(waiting.error, Compacted) and waiting.error.compact_revision == 50


def test_the_answer_to_a_request_for_progress_moves_nobody(watching: Watching) -> None:
    watcher = watching.add()
    watching.tell(1, 8, fragment=True)
    watching._say(-1, 20)
    watching.tell(1, 8)
    watching.tell(1, 9)
    assert _take_all(watcher) == [8, 8, 9]


@pytest.mark.process
def test_no_event_is_missed_by_a_slow_consumer(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "QUEUE_BYTES", 100_000)
    with etcdz.connect(member.target) as db, db.watch("k") as slow, db.watch("other") as other:
        revisions = [db.put("k", VALUE).revision for _ in range(300)]
        db.put("other", "v")
        assert other.get(120).text == "v"
        assert [slow.get(120).revision for _ in revisions] == revisions
        revisions = [db.put("k", VALUE).revision for _ in range(10)]
        assert [slow.get(120).revision for _ in revisions] == revisions


# ---- snapshots ----


def test_a_snapshot_that_nobody_writes_waits_at_the_server() -> None:
    world = World("a:1")
    server = world.server
    pieces = [bytes([number]) * (1 << 20) for number in range(40)]

    def send(server: Server, stream_id: int, body: bytes) -> None:
        for piece in pieces:
            server.conn.send_message(stream_id, pb.SnapshotResponse(blob=piece).SerializeToString())
        server.conn.finish(stream_id)

    server.answers[SNAPSHOT.path] = send
    server.answers[RANGE.path] = replies(b"")
    stream = SnapshotStream()
    found = [stream.next().begin(world.core)]
    world.turn()
    window = ClientSettings().stream_window
    waiting = sum(len(piece) for piece in stream._pieces)
    assert waiting <= snapshots.HELD_BYTES + window + (1 << 20) and server.conn.pending_bytes > 20 << 20
    assert world.call(RANGE).done, "other calls go on"
    while found[-1].value != b"":
        found.append(stream.next().begin(world.core))
        world.turn()
        assert sum(len(piece) for piece in stream._pieces) <= snapshots.HELD_BYTES + window + (1 << 20)
    assert [each.value for each in found[:-1]] == pieces


@pytest.mark.process
def test_calls_go_on_while_a_snapshot_waits(member: Member, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(snapshots, "HELD_BYTES", 1)
    go = threading.Event()
    write = snapshots.SnapshotFile.write

    def write_late(file: snapshots.SnapshotFile, piece: bytes) -> None:
        go.wait(120)
        write(file, piece)

    monkeypatch.setattr(snapshots.SnapshotFile, "write", write_late)
    with etcdz.connect(member.target) as db:
        for number in range(20):
            db.put(f"big/{number}", b"x" * (1 << 20))
        sizes: list[int] = []
        saving = threading.Thread(target=lambda: sizes.append(db.maintenance.snapshot(tmp_path / "s.db")))
        saving.start()
        try:
            assert [db.put("k", "v", timeout=120).revision for _ in range(20)]
        finally:
            go.set()
        saving.join(120)
        assert sizes and sizes[0] > 20 << 20
        db.delete(prefix="big/")
