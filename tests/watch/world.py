"""A hub with a backend and clients around it, all in one process, and what each watcher should have seen.

The backend is the real Publisher over a store in memory; its frames go through the real encoding, and wait in a queue
until somebody delivers them, so that everything that can overtake or be lost does.
"""

from collections import deque
from typing import Any, NamedTuple

from actors.backend.publishing import Publisher
from etcdz.ipc.messages import (
    WatchAsk,
    WatchChanges,
    WatchChunk,
    WatchHistory,
    WatchPosition,
    decode_frame,
    encode_frame,
)
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from etcdz.watch.events import Changes
from etcdz.watch.hub import Hub, Position
from etcdz.watch.progress import ProgressClock
from etcdz.watch.ranges import Range
from etcdz.watch.watcher import WatchStream
from etcdz.wire.frames import GRPC_PREFIX

MEMBER_ID, CLUSTER_ID, TERM = 7, 8, 3


class Event(NamedTuple):
    """One change as a client should see it. before: the encoded KeyValue that the key had, or nothing."""

    main: int
    key: bytes
    is_delete: bool
    value: bytes
    before: bytes


class Client:
    """One stream's client: notes what it asked for and what comes; `reads` False makes the stream clogged."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.reads = True
        self.asked: list[Any] = []
        self.responses: list[Any] = []
        self.waits = False
        self.touched = 0
        self.stream: WatchStream = world.hub.open(self)

    @property
    def is_clogged(self) -> bool:
        self.waits = self.waits or not self.reads
        return not self.reads

    def send_parts(self, head: bytes, body: bytes) -> None:
        self.responses.append(pb.WatchResponse.FromString(head + body))

    def send_joined(self, messages: bytes, count: int) -> None:
        while messages:
            packed, size = GRPC_PREFIX.unpack_from(messages)
            assert not packed
            self.send_parts(messages[GRPC_PREFIX.size :][:size], b"")
            messages = messages[GRPC_PREFIX.size + size :]

    def flush(self) -> None:
        pass

    def touch(self) -> None:
        self.touched += 1

    def request(self, **fields: Any) -> None:
        self._world.hub.request(self.stream, pb.WatchRequest(**fields))

    def create(self, key: bytes, **fields: Any) -> None:
        self.asked.append(pb.WatchCreateRequest(key=key, **fields))
        self.request(create_request=self.asked[-1])

    def cancel(self, watch_id: int) -> None:
        self.request(cancel_request=pb.WatchCancelRequest(watch_id=watch_id))

    def ask_progress(self) -> None:
        self.request(progress_request=pb.WatchProgressRequest())

    def read_on(self) -> None:
        self.reads = True
        if self.waits:
            self.waits = False
            self._world.hub.resume(self.stream)

    def stop_reading(self) -> None:
        self.reads = False

    def of(self, watch_id: int) -> list[Any]:
        return [each for each in self.responses if each.watch_id == watch_id]

    def take(self) -> list[Any]:
        taken, self.responses = self.responses, []
        return taken


class World:
    """See the module. Links: World is what Publisher and Hub send by; names are of no matter."""

    def __init__(self, fragment_bytes: int = 1 << 20) -> None:
        self.now = 0.0
        self.store = MemoryStore()
        self.log: list[Event] = []
        self.to_listener: deque[bytes] = deque()
        self.to_backend: deque[Any] = deque()
        self.index = 0
        self._open()
        self.hub = Hub(self, fragment_bytes, ProgressClock(10.0, lambda: self.now, lambda: 0.0))
        self.hub.on_new_backend()

    def _open(self) -> None:
        self.mvcc = Mvcc(self.store, MEMBER_ID, CLUSTER_ID, raft_term=TERM)
        self.publisher = Publisher(self, self.mvcc)  # type: ignore[arg-type]
        self.handlers = {WatchAsk: self.publisher.on_ask, WatchHistory: self.publisher.on_history}

    # what Publisher sees of its actor

    @property
    def links(self) -> "World":
        return self

    def listener(self, slot: int) -> str:
        return f"listener-{slot}"

    def send(self, name: str, message: Any) -> None:
        self.to_listener.append(encode_frame([message]))

    def send_frame(self, name: str, frame: bytes) -> None:
        self.to_listener.append(frame)

    # what Hub sees of the backend

    def ask_position(self, seq: int, wants: int) -> None:
        self.to_backend.append(WatchAsk(0, seq, wants))

    def ask_history(self, seq: int, first: int, spans: list[Range], with_prev_kv: bool) -> None:
        self.to_backend.append(WatchHistory(0, seq, first, spans, with_prev_kv))

    # the store changes

    def put(self, key: bytes, value: bytes = b"v") -> None:
        self._note(key, value, self._before(key), self.mvcc.state.revision + 1)
        self.mvcc.put(pb.PutRequest(key=key, value=value))

    def delete(self, lo: bytes, hi: bytes = b"") -> None:
        main = self.mvcc.state.revision + 1
        for key in self.mvcc.state.index.keys_now(lo, None if hi == b"\0" else hi):
            self._note(key, None, self._before(key), main)
        self.mvcc.delete_range(pb.DeleteRangeRequest(key=lo, range_end=hi))

    def txn(self, keys: list[bytes], value: bytes) -> None:
        main = self.mvcc.state.revision + 1
        request = pb.TxnRequest()
        for key in dict.fromkeys(keys):
            self._note(key, value, self._before(key), main)
            request.success.add().request_put.CopyFrom(pb.PutRequest(key=key, value=value))
        self.mvcc.txn(request)

    def _before(self, key: bytes) -> bytes:
        return self.mvcc.state.record_now(key) or b""

    def _note(self, key: bytes, value: bytes | None, before: bytes, main: int) -> None:
        self.log.append(Event(main, key, value is None, value or b"", before))

    def compact(self, revision: int) -> None:
        self.mvcc.compact(pb.CompactionRequest(revision=revision))

    # time goes on

    def commit(self) -> None:
        """The end of a backend's turn."""
        self.index += 1
        frames = self.publisher.take_frames() if self.publisher.wants else []
        self.mvcc.state.commit(self.index, TERM)
        self.publisher.publish(frames)

    def compact_slice(self, limit: int = 1_000) -> None:
        self.commit()
        self.mvcc.compaction.step(limit)

    def backend_turn(self) -> None:
        """Takes what it was sent."""
        while self.to_backend:
            message = self.to_backend.popleft()
            self.handlers[type(message)](message)
        self.commit()
        self.publisher.end_turn()

    def listener_turn(self, frames: int = 1_000) -> None:
        for _ in range(min(frames, len(self.to_listener))):
            for message in decode_frame(self.to_listener.popleft()):
                self._hear(message)
        self.hub.end_turn()

    def _hear(self, message: Any) -> None:
        position = Position(*message.position)
        if isinstance(message, WatchPosition):
            self.hub.on_position(message.seq, position)
        elif isinstance(message, WatchChanges):
            self.hub.on_changes(message.before, position, Changes(*message.changes))
        elif isinstance(message, WatchChunk):
            self.hub.on_history(message.seq, message.through, position, Changes(*message.changes))

    def kill_backend(self) -> None:
        """What it had not sent, and what was on its way to it, is gone; what was committed is not."""
        self.commit()
        self.to_listener.clear()
        self.to_backend.clear()
        self._open()
        self.hub.on_new_backend()

    def settle(self) -> None:
        """Until nobody has anything to say."""
        self.hub.end_turn()
        while self.to_backend or self.to_listener or self.mvcc.state.pending:
            self.backend_turn()
            self.listener_turn()
