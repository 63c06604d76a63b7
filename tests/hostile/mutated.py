"""Requests of every method: valid ones drawn from the schema, and the same with bytes changed."""

from collections.abc import Iterator
from random import Random
from typing import Any, Final

from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb as election
from etcdz.proto import v3lockpb as lock
from tests.hostile.storm import Request, Storm

# path, request, how often, whether it may wait or has streams
_METHODS: Final[list[tuple[bytes, Any, int, bool]]] = [
    (b"/etcdserverpb.KV/Range", pb.RangeRequest, 150, False),
    (b"/etcdserverpb.KV/Put", pb.PutRequest, 150, False),
    (b"/etcdserverpb.KV/DeleteRange", pb.DeleteRangeRequest, 75, False),
    (b"/etcdserverpb.KV/Txn", pb.TxnRequest, 200, False),
    (b"/etcdserverpb.KV/Compact", pb.CompactionRequest, 25, False),
    (b"/etcdserverpb.KV/RangeStream", pb.RangeRequest, 25, True),
    (b"/etcdserverpb.Watch/Watch", pb.WatchRequest, 100, True),
    (b"/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, 50, False),
    (b"/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, 50, False),
    (b"/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, 50, True),
    (b"/etcdserverpb.Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest, 50, False),
    (b"/etcdserverpb.Lease/LeaseLeases", pb.LeaseLeasesRequest, 10, False),
    (b"/etcdserverpb.Cluster/MemberList", pb.MemberListRequest, 25, False),
    (b"/etcdserverpb.Maintenance/Status", pb.StatusRequest, 25, False),
    (b"/etcdserverpb.Maintenance/Alarm", pb.AlarmRequest, 25, False),
    (b"/etcdserverpb.Maintenance/Hash", pb.HashRequest, 1, False),
    (b"/etcdserverpb.Maintenance/HashKV", pb.HashKVRequest, 1, False),
    (b"/etcdserverpb.Maintenance/MoveLeader", pb.MoveLeaderRequest, 15, False),
    (b"/etcdserverpb.Maintenance/Downgrade", pb.DowngradeRequest, 15, False),
    (b"/v3lockpb.Lock/Lock", lock.LockRequest, 25, True),
    (b"/v3lockpb.Lock/Unlock", lock.UnlockRequest, 25, True),
    (b"/v3electionpb.Election/Campaign", election.CampaignRequest, 25, True),
    (b"/v3electionpb.Election/Proclaim", election.ProclaimRequest, 25, True),
    (b"/v3electionpb.Election/Leader", election.LeaderRequest, 25, True),
    (b"/v3electionpb.Election/Observe", election.LeaderRequest, 15, True),
    (b"/v3electionpb.Election/Resign", election.ResignRequest, 25, True),
    (b"/grpc.health.v1.Health/Check", pb.StatusRequest, 15, False),
]
_KEYS: Final = [b"", b"a", b"b", b"k/1", b"k/2", b"m/a", b"m/b", b"n", b"\xff", b"\xff" * 9, b"x" * 300]
"""NB: none lies between the victim's keys; a range may hold them, and the victim allows for that."""
_NUMBERS: Final = [0, 0, 1, 2, 3, 7, 100, -1, -2, 1 << 31, (1 << 63) - 1, -(1 << 63)]
_DEPTH_MAX: Final = 3
_FROM_ONE_DRAW: Final = 10
_WAIT_S: Final = 0.05


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
        return bool(deep.decode(pb.AlarmRequest, body).action != 1)  # as the member reads it, and etcd
    except Exception:  # of protobuf, in more than one kind: it is what the member is to be sent
        return True


def _draw_requests(rng: Random, count: int) -> Iterator[Request]:
    """Each is valid or was; to draw one takes as long as to change some."""
    rows = [row for row in _METHODS for _ in range(row[2])]
    left = count
    while left:
        path, cls, _, waits = rng.choice(rows)
        drawn = draw_message(rng, cls).SerializeToString()
        for _ in range(min(left, _FROM_ONE_DRAW)):
            body = mutate(rng, drawn)
            if not _is_allowed(path, body):
                continue
            left -= 1
            if waits:
                bodies = (body,) if rng.random() < 0.6 else (body, mutate(rng, body))
                yield Request(path, bodies, _WAIT_S, rng.random() < 0.7)
            else:
                yield Request(path, (body,))


def send_mutated_requests(target: str, rng: Random, count: int) -> dict[str, int]:
    """return counts as Storm has them"""
    return Storm(target, _draw_requests(rng, count)).run()
