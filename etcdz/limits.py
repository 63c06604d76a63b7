"""Bounds that processes of a member have with each other: what is in flight between them, how often they report, what
space they leave each other. Asserts at the end say how they relate. Bounds that concern one component alone (of frames
on the wire, of the store's files, of restarts) stand where that component is.
"""

# ---- actors ----
HEARTBEAT_S = 0.5
"""How often an actor tells the supervisor that its loop turns."""
HEARTBEAT_IDLE_S = 1.0
"""The same while it gets no messages."""
TICKS_DELEGATED = 4
"""By how many ticks raft's clock may lag while appends are delegated: the only voter hears from no other member."""
FRAMES_PER_TURN = 256
"""Frames that one turn takes out of the mailbox before it works off what it batched."""

# ---- calls ----
CALLS_IN_FLIGHT_MAX = 4096
"""Unary calls that all listeners together admit at a time, each an equal share, those included that their clients have
given up; beyond, clients with few calls wait, and the others are told `etcdserver: too many requests`."""
CALLS_WAITING_MAX = 4096
"""Calls of one listener that wait for a place."""
CALLS_WAITING_BYTES_MAX = 64 << 20
"""Of their requests."""
CALLS_WAITING_EACH = 64
"""A client with more calls than this does not wait, but is refused; fewer, where there are so many clients that they
could not all wait."""
CALLS_BATCHED_FROM = 2
"""With so many calls in flight a listener reads all that is readable before it sends them on."""
BUSY_CALLS = 16
"""A listener with so many calls under way tells the supervisor at once, which gives the actors more room."""
CALLS_RESERVED = 256
"""Calls that each listener admits beside these, for health, status and alarms alone."""
READ_AGAIN_MAX = 3
"""How often a read is asked again of a new backend: if yet another one ends, the read is taken for the cause."""
LONG_READS_MAX = 2048
"""Reads of one listener that take long; beyond, `etcdserver: too many requests`."""
LONG_READS_EACH = 256
"""Of one client."""
LONG_READS_BYTES_MAX = 64 << 20
"""Of their requests."""
LONG_READS_ASKED = 2
"""Those that the backend works on at a time for one listener."""
LONG_READ_WAIT_S = 60.0
"""How long one may wait to be asked for. etcd has no such bound: it makes all answers at once."""
UNSENT_BYTES_MAX = 64 << 20
"""Of large answers that the clients of one listener have not taken: with more, no further ones are asked for."""
UNSENT_STALL_S = 3.0
"""A client that has taken nothing for so long loses its answers, if others wait for the space."""
UNSENT_STARVED_S = 20.0
"""If for so long no long read could be asked for, since answers are taken too slowly, the client that holds most of the
space loses its own, so that others need not wait until LONG_READ_WAIT_S."""
CLIENT_ROOM_BYTES = 1 << 20
"""A client that has not taken so much is not given more large answers."""
KEEP_ALIVES_IN_FLIGHT = 1_024
"""Of one LeaseKeepAlive stream: sent to the lessor and not answered."""
KEEP_ALIVES_QUEUED = 65_536
"""Of one stream, beyond these. etcd's client keeps all its leases on one stream and renews them in bursts."""
LEASE_FORWARDS_IN_FLIGHT = 32
"""Requests that the lessor of a member that does not lead has under way at its leader."""
WATCH_REQUESTS_PENDING = 65_536
"""Requests of one Watch stream that wait for the backend's position; beyond, the stream ends."""
UNREAD_BYTES_MAX = 4 << 20
"""A stream whose client asks on, while so much of what it has asked for waits to be read, ends."""
RECEIVE_OVERHEAD_BYTES = 512 * 1024
"""gRPC receives messages up to --max-request-bytes plus this."""


def body_bytes_max(request_bytes_max: int) -> int:
    """Bytes of a body over HTTP that is handed on whole: bytes of a request are base64 in JSON.

    request_bytes_max   --max-request-bytes
    """
    return 2 * request_bytes_max + RECEIVE_OVERHEAD_BYTES


UNFINISHED_BYTES_MAX = 64 << 20
"""Of requests that have not come completely, over all connections of a listener."""
MUTE_S = 30.0
"""A client has so long to say which protocol it speaks and to greet, or to ask something over HTTP/1."""
HANDSHAKE_S = 10.0
"""And so long for a TLS handshake. Source: etcd 3.5.33"""
HANDSHAKE_PRESSED_S = 2.0
"""The same if others wait for a place, and none gets free for so long."""
HANDSHAKES_MAX = 256
"""Of one listener, begun and not done; beyond, clients wait in the sockets' queues."""

SNAPSHOTS_MAX = 4
"""Snapshots that one listener sends at a time, each from a process of its own."""
SNAPSHOT_SIZE_BYTES = 8
"""In front of the file that such a process writes: how long it is."""
SNAPSHOTS_WAITING_MAX = 256
"""Snapshots that wait for one of these slots; beyond, `etcdserver: too many requests`."""
SNAPSHOT_STALL_S = 3.0
"""A client that has not read for so long loses its slot to one that waits."""

# ---- raft ----
APPLY_LAG_MAX = 5_000
"""Entries between commit and apply beyond which proposals are refused, as in etcd."""
CATCH_UP_ENTRIES = 5_000
"""Entries kept in the log behind a snapshot for slow followers, where no flag says otherwise."""
REQUEST_WINDOW = 8_192
"""Ids of this many latest applied entries are remembered, and of all that are not applied, so that a proposal offered
again enters the log at most once (actors/raft/request_window.py)."""
APPEND_BYTES_IN_FLIGHT_MAX = 64 << 20
"""Bytes handed to the wal and not yet durable, beyond which proposals are refused."""
RAFT_MESSAGE_BYTES = 1 << 20
"""Entries in one append message."""
RAFT_INFLIGHT_MESSAGES = 512
RAFT_INFLIGHT_BYTES = 8 << 20
"""Entries that were sent to one member and not acknowledged, less than what the peer actor keeps for it."""
APPLY_BYTES_IN_FLIGHT_MAX = 64 << 20
"""Bytes of committed entries handed to the backend and not yet reported applied."""
COMMIT_LAG_S = 0.005
"""How much later than its own clients a leader may tell followers that nothing waits for that an entry is committed."""
LAZY_ACK_S = 0.01
"""How long the wal may put off telling raft what it has appended in raft's name."""
LAZY_ACK_BYTES = 1 << 20
"""How many bytes of that."""

# ---- peer ----
PEER_BULK_BYTES_MAX = 16 << 20
"""Of appends to one member that wait for its connection, and as much of proposals forwarded to it; beyond, they are
dropped, and raft is told that the member is unreachable."""
PEER_URGENT_BYTES_MAX = 1 << 20
"""The same for votes, heartbeats, acknowledgements and reads."""
PEER_BODIES_BYTES_MAX = 128 << 20
"""Of messages that are POSTed and have not come completely, over all connections; beyond, the largest is cut."""
PEER_UNANSWERED_BYTES_MAX = 64 << 20
"""Of appends of one member that raft has been given and has answered none of: beyond, no more are read."""

# ---- wal ----
RESUME_POINT_BYTES = 2 << 20
"""After so many bytes the wal writes down where its log stands: a restarted wal has only these to read again."""

# ---- backend ----
REPLY_RING_BATCHES = 64
"""Latest batches whose replies are kept in memory that outlives the backend, to be sent again by its next incarnation;
up to twice as many are."""
REPLY_RING_BYTES = 16 << 20
"""What these replies may take up together, one batch up to half of it: of one with more the largest are not kept."""
REPLY_RING_RESERVED_BYTES = 512 << 10
"""Of that, what is set aside at the start. Small replies fit in, and need no system call to be written down."""
APPLIED_EVERY_ENTRIES = 512
"""The backend tells raft how far it is after this many entries, else with its timer."""
APPLIED_EVERY_BYTES = 4 << 20
APPLIED_EVERY_S = 0.1
COMPACTION_SLICE = 400
"""Revisions that one slice of a compaction looks at, so that no apply waits longer than one slice. A batch of etcd's
(--compaction-batch-limit) is several slices, its sleep is spread over the pauses between them."""
COMPACTION_PAUSE_S = 0.004
"""After a slice, where no flag says otherwise."""
HELD_COMPACTION_LOOK_S = 0.01
"""How often the backend looks whether reads that need what a compaction takes out are through."""
HASH_SLICE = 50
"""Records that a hash reads without a look at the clock."""
HASH_SLICE_S = 0.001
"""How long one slice of a hash takes, about."""
SLICE_SHARE = 0.5
"""Of the backend's time that hashes may take."""
DEFRAG_LOOK_S = 0.02
"""How often the backend looks how far a defragmentation is."""
QUOTA_DEFAULT_BYTES = 2 << 30
QUOTA_NEAR_BYTES = 16 << 20
"""With less room than this, listeners are told how much, and ask before they propose what grows the store."""
LONG_RUNNING_CALLS_MAX = 256
"""Calls of one listener that may take as long as they take: hashes, defragmentations, physical compactions."""

# ---- disk ----
DISK_RESERVE_BYTES = 16 << 20
"""Below this much free space writes are refused, while there is still room to write down what was accepted."""
BALLAST_BYTES = 32 << 20
"""Size of a file that holds space for the store, and is removed when the store runs out of it (etcdz/store/ballast.py):
enough for LevelDB to write a full log to a table when it is opened, and for what was admitted before that."""
STORE_SHORT_BYTES = 4 << 20
"""With less free space than this, the ballast is given up."""
DISK_CHECK_S = 0.1
DISK_CHECK_IDLE_S = 1.0
"""While the log has not been written to since the last look."""
BALLAST_CHECK_BYTES = 1 << 20
"""The backend looks at the free space after writing so much, or after DISK_CHECK_S."""

assert HEARTBEAT_S <= HEARTBEAT_IDLE_S
assert CALLS_IN_FLIGHT_MAX <= APPLY_LAG_MAX
assert 2 * CALLS_IN_FLIGHT_MAX <= REQUEST_WINDOW, (
    "every call in flight must still be known when it is offered again, also while listeners that leave finish theirs"
)
assert APPLY_LAG_MAX <= REQUEST_WINDOW, "what is not applied yet may be offered again"
assert CALLS_RESERVED < CALLS_IN_FLIGHT_MAX
assert LONG_READS_ASKED < LONG_READS_EACH < LONG_READS_MAX
assert UNSENT_STALL_S < UNSENT_STARVED_S < LONG_READ_WAIT_S
assert CLIENT_ROOM_BYTES < UNSENT_BYTES_MAX
assert CALLS_WAITING_EACH < CALLS_WAITING_MAX
assert CALLS_BATCHED_FROM < BUSY_CALLS < CALLS_IN_FLIGHT_MAX
assert KEEP_ALIVES_IN_FLIGHT <= KEEP_ALIVES_QUEUED
assert PEER_URGENT_BYTES_MAX <= PEER_BULK_BYTES_MAX
assert RAFT_INFLIGHT_BYTES < PEER_BULK_BYTES_MAX, "what raft may send without an answer has room"
assert RAFT_INFLIGHT_BYTES < PEER_UNANSWERED_BYTES_MAX, "an etcdz leader is never held"
assert RAFT_MESSAGE_BYTES <= RAFT_INFLIGHT_BYTES
assert RAFT_MESSAGE_BYTES <= APPEND_BYTES_IN_FLIGHT_MAX
assert APPLIED_EVERY_ENTRIES * 2 <= APPLY_LAG_MAX, "or proposals are refused while the backend waits for its timer"
assert QUOTA_NEAR_BYTES < QUOTA_DEFAULT_BYTES
assert BALLAST_CHECK_BYTES < STORE_SHORT_BYTES < DISK_RESERVE_BYTES, "the store must see that space runs out in time"
assert STORE_SHORT_BYTES < BALLAST_BYTES
assert REPLY_RING_RESERVED_BYTES < REPLY_RING_BYTES
assert LAZY_ACK_BYTES * 2 <= APPEND_BYTES_IN_FLIGHT_MAX, "or raft refuses what the wal has written long ago"
assert APPLIED_EVERY_BYTES * 2 <= APPLY_BYTES_IN_FLIGHT_MAX, "or raft waits for the timer of the backend"
assert HANDSHAKE_PRESSED_S < HANDSHAKE_S < MUTE_S
