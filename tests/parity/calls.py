"""One gRPC call as a value and as a line of text, with revisions that count from the start of a conversation.

A case file (`cases/*.txt`) holds one call per line, `#` begins a comment:

    Put key: "a" value: "1"
    Range key: "a" range_end: "b" revision: 2
    Txn compare { target: MOD key: "a" mod_revision: 2 } success { request_put { key: "a" } }
    KILL

A line is a method's name and its request in protobuf's own text format: it writes every field, set-but-empty
messages and unknown enum values too. RESTART and KILL stop both members (SIGTERM, SIGKILL) and start them again.

Revisions in a line are relative: 1 is the store's revision when the conversation starts, as in a fresh member, so the
same lines mean the same on a member that has lived through other conversations before. Revisions <= 0 and the ones
from FAR on stand for themselves.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import text_format

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb as election
from etcdz.proto import v3lockpb as lock

FAR = 1 << 40
RESTART = "RESTART"
KILL = "KILL"

# name in a case line -> (path, request class, answer class)
METHODS: dict[str, tuple[str, Any, Any]] = {
    "Range": ("/etcdserverpb.KV/Range", pb.RangeRequest, pb.RangeResponse),
    "Put": ("/etcdserverpb.KV/Put", pb.PutRequest, pb.PutResponse),
    "DeleteRange": ("/etcdserverpb.KV/DeleteRange", pb.DeleteRangeRequest, pb.DeleteRangeResponse),
    "Txn": ("/etcdserverpb.KV/Txn", pb.TxnRequest, pb.TxnResponse),
    "Compact": ("/etcdserverpb.KV/Compact", pb.CompactionRequest, pb.CompactionResponse),
    "HashKV": ("/etcdserverpb.Maintenance/HashKV", pb.HashKVRequest, pb.HashKVResponse),
    "Status": ("/etcdserverpb.Maintenance/Status", pb.StatusRequest, pb.StatusResponse),
    "LeaseGrant": ("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse),
    "LeaseRevoke": ("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse),
    "LeaseKeepAlive": ("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse),
    "LeaseTimeToLive": ("/etcdserverpb.Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest, pb.LeaseTimeToLiveResponse),
    "LeaseLeases": ("/etcdserverpb.Lease/LeaseLeases", pb.LeaseLeasesRequest, pb.LeaseLeasesResponse),
    "Alarm": ("/etcdserverpb.Maintenance/Alarm", pb.AlarmRequest, pb.AlarmResponse),
    "Defragment": ("/etcdserverpb.Maintenance/Defragment", pb.DefragmentRequest, pb.DefragmentResponse),
    "Downgrade": ("/etcdserverpb.Maintenance/Downgrade", pb.DowngradeRequest, pb.DowngradeResponse),
    "MoveLeader": ("/etcdserverpb.Maintenance/MoveLeader", pb.MoveLeaderRequest, pb.MoveLeaderResponse),
    "MemberList": ("/etcdserverpb.Cluster/MemberList", pb.MemberListRequest, pb.MemberListResponse),
    "Lock": ("/v3lockpb.Lock/Lock", lock.LockRequest, lock.LockResponse),
    "Unlock": ("/v3lockpb.Lock/Unlock", lock.UnlockRequest, lock.UnlockResponse),
    "Campaign": ("/v3electionpb.Election/Campaign", election.CampaignRequest, election.CampaignResponse),
    "Proclaim": ("/v3electionpb.Election/Proclaim", election.ProclaimRequest, election.ProclaimResponse),
    "Leader": ("/v3electionpb.Election/Leader", election.LeaderRequest, election.LeaderResponse),
    "Resign": ("/v3electionpb.Election/Resign", election.ResignRequest, election.ResignResponse),
}

STREAMS = frozenset(["/etcdserverpb.Lease/LeaseKeepAlive"])
"""Called with one message; the answer is one message."""

_REVISION_FIELDS = {
    "RangeRequest": (
        "revision",
        "min_mod_revision",
        "max_mod_revision",
        "min_create_revision",
        "max_create_revision",
    ),
    "Compare": ("create_revision", "mod_revision"),
    "CompactionRequest": ("revision",),
    "HashKVRequest": ("revision",),
    "LeaderKey": ("rev",),
}


class Call(NamedTuple):
    """One line of a conversation. `name` is a key of METHODS (then `request` is its message), RESTART or KILL."""

    name: str
    request: Any = None

    def __repr__(self) -> str:
        if self.request is None:
            return self.name
        fields = text_format.MessageToString(self.request, as_one_line=True)
        return f"{self.name} {fields}".rstrip()


def parse_call(line: str) -> Call:
    """The call in a line that `repr` wrote. Raises ValueError for an unknown name, ParseError for a bad message."""
    name, _, fields = line.strip().partition(" ")
    if name in (RESTART, KILL):
        return Call(name)
    if name not in METHODS:
        raise ValueError(f"no method {name!r} in {line!r}")
    return Call(name, text_format.Parse(fields, METHODS[name][1]()))


def read_case(path: Path) -> list[Call]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [parse_call(line) for line in lines if line and not line.startswith("#")]


def at_base(request: Any, base: int) -> Any:
    """A copy of request whose relative revisions became those of a store that was at `base` in the beginning."""
    moved = type(request)()
    moved.CopyFrom(request)
    for message in _walk(moved):
        for field in _REVISION_FIELDS.get(type(message).__name__, ()):
            value = getattr(message, field)
            if 0 < value < FAR:
                setattr(message, field, value + base - 1)
    return moved


def _walk(message: Any) -> Iterator[Any]:
    """message and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from _walk(inner)
