"""The methods that work so far, by a small number that travels in messages instead of the path."""

PUT, DELETE_RANGE, TXN, COMPACT, ALARM = 1, 2, 3, 4, 6
RANGE = 10
STATUS, HASH, HASH_KV, MEMBER_LIST, HEALTH = 20, 21, 22, 23, 24
DEFRAGMENT, MOVE_LEADER, DOWNGRADE = 26, 27, 28

LEASE_GRANT, LEASE_REVOKE, LEASE_TIME_TO_LIVE, LEASE_LEASES, LEASE_KEEP_ALIVE = 40, 41, 42, 43, 44
SNAPSHOT = 25
WATCH = 45

LOCK, UNLOCK = 50, 51
CAMPAIGN, PROCLAIM, LEADER, OBSERVE, RESIGN = 52, 53, 54, 55, 56
RANGE_STREAM = 57

RANGE_CHUNK = 11
"""No method of its own: a range that does not count what is behind its limit."""

WAIT_COMPACTION, RAISE_NOSPACE, SET_DOWNGRADE = 30, 31, 32
"""No methods of their own: the second halves of a Compact with `physical`, which waits in the backend, and of a
Downgrade; and what becomes of a call that the store has no room for."""

PATHS: dict[bytes, int] = {
    b"/etcdserverpb.KV/Put": PUT,
    b"/etcdserverpb.KV/DeleteRange": DELETE_RANGE,
    b"/etcdserverpb.KV/Txn": TXN,
    b"/etcdserverpb.KV/Compact": COMPACT,
    b"/etcdserverpb.KV/Range": RANGE,
    b"/etcdserverpb.Maintenance/Status": STATUS,
    b"/etcdserverpb.Maintenance/Alarm": ALARM,
    b"/etcdserverpb.Maintenance/Hash": HASH,
    b"/etcdserverpb.Maintenance/HashKV": HASH_KV,
    b"/etcdserverpb.Lease/LeaseGrant": LEASE_GRANT,
    b"/etcdserverpb.Lease/LeaseRevoke": LEASE_REVOKE,
    b"/etcdserverpb.Lease/LeaseTimeToLive": LEASE_TIME_TO_LIVE,
    b"/etcdserverpb.Lease/LeaseLeases": LEASE_LEASES,
    b"/etcdserverpb.Maintenance/Defragment": DEFRAGMENT,
    b"/etcdserverpb.Maintenance/MoveLeader": MOVE_LEADER,
    b"/etcdserverpb.Maintenance/Downgrade": DOWNGRADE,
    b"/etcdserverpb.Cluster/MemberList": MEMBER_LIST,
    b"/grpc.health.v1.Health/Check": HEALTH,
}

STREAM_PATHS: dict[bytes, int] = {
    b"/etcdserverpb.Watch/Watch": WATCH,
    b"/etcdserverpb.Lease/LeaseKeepAlive": LEASE_KEEP_ALIVE,
    b"/etcdserverpb.Maintenance/Snapshot": SNAPSHOT,
    b"/etcdserverpb.KV/RangeStream": RANGE_STREAM,
    b"/v3lockpb.Lock/Lock": LOCK,
    b"/v3lockpb.Lock/Unlock": UNLOCK,
    b"/v3electionpb.Election/Campaign": CAMPAIGN,
    b"/v3electionpb.Election/Proclaim": PROCLAIM,
    b"/v3electionpb.Election/Leader": LEADER,
    b"/v3electionpb.Election/Observe": OBSERVE,
    b"/v3electionpb.Election/Resign": RESIGN,
}
"""Methods with a stream in either direction, or that wait for as long as their client does; each has its service in the
listener (actors/listener/streams.py)."""

WAITING = frozenset([LOCK, UNLOCK, CAMPAIGN, PROCLAIM, LEADER, RESIGN])
"""Those of STREAM_PATHS that are no streams to their clients."""

RAFT_FIELD: dict[int, int] = {
    PUT: 4,
    DELETE_RANGE: 5,
    TXN: 6,
    COMPACT: 7,
    LEASE_GRANT: 8,
    LEASE_REVOKE: 9,
    ALARM: 10,
    SET_DOWNGRADE: 1302,
}
"""Field of InternalRaftRequest that carries a method's request body."""
