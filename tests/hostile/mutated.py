"""Requests of every method: valid ones drawn from the schema, and the same with bytes changed."""

import selectors
import socket
import time
from collections import Counter
from random import Random
from typing import Any, Final

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb as election
from etcdz.proto import v3lockpb as lock
from etcdz.wire.client import DONE, ClientSettings, GrpcClientConnection

# path, request, how often, whether it may wait or has streams
_METHODS: Final[list[tuple[bytes, Any, int, bool]]] = [
    (b"/etcdserverpb.KV/Range", pb.RangeRequest, 30, False),
    (b"/etcdserverpb.KV/Put", pb.PutRequest, 30, False),
    (b"/etcdserverpb.KV/DeleteRange", pb.DeleteRangeRequest, 15, False),
    (b"/etcdserverpb.KV/Txn", pb.TxnRequest, 40, False),
    (b"/etcdserverpb.KV/Compact", pb.CompactionRequest, 5, False),
    (b"/etcdserverpb.KV/RangeStream", pb.RangeRequest, 5, True),
    (b"/etcdserverpb.Watch/Watch", pb.WatchRequest, 20, True),
    (b"/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, 10, False),
    (b"/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, 10, False),
    (b"/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, 10, True),
    (b"/etcdserverpb.Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest, 10, False),
    (b"/etcdserverpb.Lease/LeaseLeases", pb.LeaseLeasesRequest, 2, False),
    (b"/etcdserverpb.Cluster/MemberList", pb.MemberListRequest, 5, False),
    (b"/etcdserverpb.Maintenance/Status", pb.StatusRequest, 5, False),
    (b"/etcdserverpb.Maintenance/Alarm", pb.AlarmRequest, 5, False),
    (b"/etcdserverpb.Maintenance/Hash", pb.HashRequest, 1, False),
    (b"/etcdserverpb.Maintenance/HashKV", pb.HashKVRequest, 1, False),
    (b"/etcdserverpb.Maintenance/MoveLeader", pb.MoveLeaderRequest, 3, False),
    (b"/etcdserverpb.Maintenance/Downgrade", pb.DowngradeRequest, 3, False),
    (b"/v3lockpb.Lock/Lock", lock.LockRequest, 5, True),
    (b"/v3lockpb.Lock/Unlock", lock.UnlockRequest, 5, True),
    (b"/v3electionpb.Election/Campaign", election.CampaignRequest, 5, True),
    (b"/v3electionpb.Election/Proclaim", election.ProclaimRequest, 5, True),
    (b"/v3electionpb.Election/Leader", election.LeaderRequest, 5, True),
    (b"/v3electionpb.Election/Observe", election.LeaderRequest, 3, True),
    (b"/v3electionpb.Election/Resign", election.ResignRequest, 5, True),
    (b"/grpc.health.v1.Health/Check", pb.StatusRequest, 3, False),
]
_KEYS: Final = [b"", b"a", b"b", b"k/1", b"k/2", b"m/a", b"m/b", b"n", b"\xff", b"\xff" * 9, b"x" * 300]
"""NB: none lies between the victim's keys; a range may hold them, and the victim allows for that."""
_NUMBERS: Final = [0, 0, 1, 2, 3, 7, 100, -1, -2, 1 << 31, (1 << 63) - 1, -(1 << 63)]
_DEPTH_MAX: Final = 3
_CONNECTIONS: Final = 4
_STREAMS: Final = 48
_WAIT_S: Final = 0.2
_CALL_S: Final = 30.0


def draw_message(rng: Random, cls: Any, depth: int = 0) -> Any:
    """A message of this class with about half of its fields set, nested ones at most so deep."""
    message = cls()
    for field in cls.DESCRIPTOR.fields:
        if rng.random() < 0.45:
            continue
        nested = field.type == field.TYPE_MESSAGE
        if nested and depth >= _DEPTH_MAX:
            continue
        if field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED:
            target = getattr(message, field.name)
            for _ in range(rng.choice((0, 1, 1, 2, 4))):
                if nested:
                    target.add().CopyFrom(draw_message(rng, type(target.add()), depth + 1))
                    del target[-1]
                else:
                    target.append(_draw_value(rng, field))
        elif nested:
            inner = getattr(message, field.name)
            inner.CopyFrom(draw_message(rng, type(inner), depth + 1))
        else:
            setattr(message, field.name, _draw_value(rng, field))
    return message


def _draw_value(rng: Random, field: Any) -> Any:
    if field.type == field.TYPE_BYTES:
        return rng.choice(_KEYS)
    if field.type == field.TYPE_STRING:
        return rng.choice(_KEYS).decode("latin-1")
    if field.type == field.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == field.TYPE_ENUM:
        return rng.choice((0, 1, 2, 3, 4, 5, 99, -1)) if rng.random() < 0.3 else rng.randrange(3)
    number = rng.choice(_NUMBERS)
    if field.type in (field.TYPE_UINT64, field.TYPE_UINT32):
        number &= (1 << (64 if field.type == field.TYPE_UINT64 else 32)) - 1
    elif field.type == field.TYPE_INT32:
        number = max(-(1 << 31), min((1 << 31) - 1, number))
    return number


def mutate(rng: Random, body: bytes) -> bytes:
    """body with a few changes of the kinds that break parsers."""
    data = bytearray(body)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 9)))
        elif kind == 3:
            del data[at : at + rng.choice((1, 1, 2, 7))]
        elif kind == 4:
            end = at + rng.randrange(12)
            data[at:at] = data[at:end]
        else:
            data[at:at] = rng.choice((b"\x80" * 10, b"\xff" * 9 + b"\x01", b"\x0b", b"\x0c", b"\x08\xff\x0f"))
    return bytes(data)


def _is_allowed(path: bytes, body: bytes) -> bool:
    """Whether a request only does what must not reach others: an alarm that is raised ends all writes, rightly so."""
    if not path.endswith(b"/Alarm"):
        return True
    try:
        return bool(pb.AlarmRequest.FromString(body).action != 1)
    except Exception:  # of protobuf, in more than one kind: it is what the member is to be sent
        return True


class _Peer:
    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), _CALL_S)
        self.grpc = GrpcClientConnection(ClientSettings(), time.monotonic)

    def write(self) -> None:
        output = self.grpc.take_output()
        if output:
            self.socket.sendall(output)


class _Storm:
    """So many requests over a few connections, many at a time."""

    def __init__(self, target: str, rng: Random, count: int) -> None:
        self._target = target
        self._rng = rng
        self._left = count
        self._said: Counter[str] = Counter()
        self._paths = [row for row in _METHODS for _ in range(row[2])]

    def run(self) -> dict[str, int]:
        peers = [_Peer(self._target) for _ in range(_CONNECTIONS)]
        selector = selectors.DefaultSelector()
        for peer in peers:
            selector.register(peer.socket, selectors.EVENT_READ, peer)
            self._fill(peer)
        until = time.monotonic() + _CALL_S
        while (self._left or any(peer.grpc.open_streams for peer in peers)) and time.monotonic() < until:
            for key, _ in selector.select(0.05):
                if not self._read(key.data):
                    selector.unregister(key.fileobj)
                    peers.remove(key.data)
                    if not peers:
                        return self._result()
                until = time.monotonic() + _CALL_S
            for peer in peers:
                self._count(peer.grpc.expire(time.monotonic()))
                self._fill(peer)
        self._said["unanswered"] = sum(peer.grpc.open_streams for peer in peers)
        return self._result()

    def _result(self) -> dict[str, int]:
        return dict(sorted(self._said.items()))

    def _fill(self, peer: _Peer) -> None:
        while self._left and peer.grpc.open_streams < _STREAMS:
            self._begin(peer.grpc)
        peer.write()

    def _begin(self, grpc: GrpcClientConnection) -> None:
        rng = self._rng
        path, cls, _, waits = rng.choice(self._paths)
        body = mutate(rng, draw_message(rng, cls).SerializeToString())
        if not _is_allowed(path, body):
            return
        self._left -= 1
        self._said["requests"] += 1
        if not waits:
            grpc.call(path, body, _CALL_S)
            return
        stream_id = grpc.open(path, _WAIT_S)
        for _ in range(rng.choice((1, 1, 2))):
            grpc.send_message(stream_id, body)
            body = mutate(rng, body)
        if rng.random() < 0.7:
            grpc.half_close(stream_id)

    def _read(self, peer: _Peer) -> bool:
        try:
            data = peer.socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._said["lost"] += 1
            return False
        self._count(peer.grpc.receive(data))
        return True

    def _count(self, events: list[tuple[Any, ...]]) -> None:
        for event in events:
            if event[0] == DONE:
                self._said[f"code{int(event[2])}"] += 1


def send_mutated_requests(target: str, rng: Random, count: int) -> dict[str, int]:
    """return counts: requests, codeN for each status, lost connections, unanswered calls"""
    return _Storm(target, rng, count).run()
