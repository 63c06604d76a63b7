"""Every bound of the member in one place, with asserts on how they relate."""

# ---- actors ----
HEARTBEAT_S = 0.5
"""How often an actor tells the supervisor that its loop turns."""
HEARTBEAT_IDLE_S = 1.0
"""The same while it gets no messages."""
TICKS_DELEGATED = 4
"""By how many ticks raft's clock may lag while the log's end is delegated: the only voter has nobody to hear from."""
FRAMES_PER_TURN = 256
"""Frames that one turn takes out of the mailbox before it works off what it batched."""

# ---- calls ----
CALLS_IN_FLIGHT_MAX = 4096
"""Unary calls that one listener admits at a time; beyond, `etcdserver: too many requests`."""
CALLS_BATCHED_FROM = 2
"""With more calls than this in flight a listener reads all that is readable before it sends them on."""
BUSY_CALLS = 16
"""A listener with so many calls under way tells the supervisor at once, which gives the actors more room."""
CALLS_RESERVED = 256
"""Lane kept free beside these for health, status and alarms."""
READ_AGAIN_MAX = 3
"""How often a read is asked again of a new backend: with more ends it is taken for the cause of them."""
KEEP_ALIVES_IN_FLIGHT = 1_024
"""Of one LeaseKeepAlive stream: sent to the lessor and not answered."""
KEEP_ALIVES_QUEUED = 65_536
"""Of one stream, beyond these. etcd's client keeps all its leases on one stream and renews them in bursts."""
RECEIVE_OVERHEAD_BYTES = 512 * 1024
"""gRPC receives messages up to --max-request-bytes plus this."""

UNFINISHED_BYTES_MAX = 64 << 20
"""Of requests that have not come completely, over all connections of a listener."""
MUTE_S = 30.0
"""A client has so long to say which protocol it speaks and to greet, or to ask something over HTTP/1."""

SNAPSHOTS_MAX = 4
"""Snapshots that one listener sends at a time, each from a process of its own."""
SNAPSHOTS_WAITING_MAX = 256
"""Snapshots that wait for one of these slots; beyond, `etcdserver: too many requests`."""
SNAPSHOT_STALL_S = 3.0
"""A client that has not read for so long loses its slot to one that waits."""

# ---- raft ----
APPLY_LAG_MAX = 5_000
"""Entries between commit and apply beyond which proposals are refused, as in etcd."""
CATCH_UP_ENTRIES = 5_000
"""Entries kept in the log behind a snapshot for slow followers."""
REQUEST_WINDOW = 8_192
"""Ids of this many latest entries are remembered, so that a proposal offered again enters the log at most once."""
APPEND_BYTES_IN_FLIGHT_MAX = 64 << 20
"""Bytes handed to the wal and not yet durable, beyond which proposals are refused."""
RAFT_MESSAGE_BYTES = 1 << 20
"""Entries in one append message."""
RAFT_INFLIGHT_MESSAGES = 512
APPLY_BYTES_IN_FLIGHT_MAX = 64 << 20
"""Bytes of committed entries handed to the backend and not yet reported applied."""
LAZY_ACK_S = 0.01
"""How long the wal may keep from raft what it has appended in its name, and how many bytes of it."""
LAZY_ACK_BYTES = 1 << 20

# ---- wal ----
RESUME_POINT_BYTES = 2 << 20
"""The wal notes for a successor where its log stands after so many bytes: they are all that it has to read again."""

# ---- backend ----
REPLY_RING_SLOTS = 64
"""Batches whose replies are kept in the store, to be sent again by the next incarnation."""
APPLIED_EVERY_ENTRIES = 512
"""The backend tells raft how far it is after this many entries, else with its timer."""
APPLIED_EVERY_BYTES = 4 << 20
APPLIED_EVERY_S = 0.1
COMPACTION_SLICE = 400
"""Revisions that one slice of a compaction looks at, so that no apply waits longer than one slice. A batch of etcd's
(--compaction-batch-limit) is several slices, its sleep is spread over the pauses between them."""
COMPACTION_PAUSE_S = 0.004
"""After a slice, where no flag says otherwise."""
HASH_SLICE = 500
"""Records that one slice of a hash reads."""
SLICE_SHARE = 0.5
"""Of the backend's time that hashes may take."""
DEFRAG_LOOK_S = 0.02
"""How often a defragmentation is looked after."""
QUOTA_DEFAULT_BYTES = 2 << 30
QUOTA_NEAR_BYTES = 16 << 20
"""With less room than this, listeners are told how much, and ask before they propose what grows the store."""
LONG_RUNNING_CALLS_MAX = 256
"""Calls of one listener that may take as long as they take: hashes, defragmentations, physical compactions."""

# ---- disk ----
DISK_RESERVE_BYTES = 16 << 20
"""Below this much free space writes are refused, while there is still room to write down what was accepted."""
BALLAST_BYTES = 32 << 20
"""Set aside for the store, and given up when it runs out of space (etcdz/store/ballast.py). Room for LevelDB to write a
full log to a table when it is opened, and for what was admitted before the disk was full."""
STORE_SHORT_BYTES = 4 << 20
"""With less free space than this, the store's reserve is given up."""
DISK_CHECK_S = 0.1
DISK_CHECK_IDLE_S = 1.0
"""While the log has not been written to since the last look."""
BALLAST_CHECK_BYTES = 1 << 20
"""The backend looks at its reserve after writing so much, or after DISK_CHECK_S."""

assert CALLS_IN_FLIGHT_MAX <= APPLY_LAG_MAX
assert CALLS_IN_FLIGHT_MAX < REQUEST_WINDOW, "every call in flight must still be known when it is offered again"
assert CALLS_RESERVED < CALLS_IN_FLIGHT_MAX
assert LAZY_ACK_BYTES * 2 <= APPEND_BYTES_IN_FLIGHT_MAX, "or raft refuses what the wal has written long ago"
assert APPLIED_EVERY_BYTES * 2 <= APPLY_BYTES_IN_FLIGHT_MAX, "or raft waits for the timer of the backend"
