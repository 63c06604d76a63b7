"""The protocol between processes: every message, its senders and receivers, its answer, what happens if it is lost.

A frame (one ZeroMQ message) holds a batch: a msgpack array of [tag, fields]. One frame per destination and turn.

While an upgrade is under way, actors of two versions of this file talk to each other. So the rules for changing it:
fields are only added, at the end and with a default; types are only added, with a tag that was never used. A receiver
fills what an older sender leaves out, drops what a newer one says more, and skips messages with tags that it does not
know (`Unknown`). etcdz/ipc/compatibility.py holds an upgrade to these rules before anything is restarted.

| message            | from -> to                  | answer               | if it is lost                                    |
|--------------------|-----------------------------|----------------------|--------------------------------------------------|
| Roster             | supervisor -> all           | -                    | sent again whole with every change               |
| Stop               | supervisor -> all           | exit                 | SIGTERM, then SIGKILL after the deadline         |
| Listen             | supervisor -> listener, proxy | -                    | sent again with every change                     |
| Ready              | all -> supervisor           | Roster               | start deadline runs out, the actor is restarted  |
| Heartbeat          | all -> supervisor           | -                    | the next one; none for long: killed as hung      |
| Fault              | all -> supervisor           | -                    | the exit status still tells that it failed       |
| Removed            | peer -> supervisor          | Stop                 | said again with the next refusal, also at the next start |
| Query              | supervisor -> all           | QueryReply           | the order or query fails: no answer came         |
| QueryReply         | all -> supervisor           | -                    | the order or query fails: no answer came         |
| QueryMetrics       | listener -> supervisor      | Metrics              | the scrape is answered with an error             |
| Metrics            | supervisor -> listener      | -                    | the scrape is answered with an error             |
| Look               | listener -> supervisor      | Looked               | the request is answered with an error            |
| Looked             | supervisor -> listener      | -                    | the request is answered with an error            |
| Propose            | listener, lessor, compactor, backend -> raft | Replies or Refused   | offered again to the next raft incarnation       |
| Write              | listener, raft -> wal       | Replies or Refused   | offered to raft when the delegation ends         |
| Reconfigure        | listener -> raft            | Replies or Refused   | offered again to the next raft incarnation       |
| MoveLeader         | listener -> raft            | Leadership           | the call times out                               |
| Received           | peer -> raft                | -                    | members say again what was not answered          |
| Send               | raft, wal -> peer           | -                    | as a network that loses: raft says it again      |
| PeerState          | peer -> raft, listener | -                 | sent again with every change, and to each new one |
| PeerReports        | peer -> raft                | -                    | a new peer actor stands for "all unreachable, every snapshot failed" |
| Members            | backend -> peer, raft, listener, lessor | -        | sent again with every change, and to each new one |
| SnapshotWanted     | raft -> peer                | SnapshotTaken        | raft asks the next peer incarnation              |
| SnapshotTaken      | peer -> raft                | Send with MsgSnap    | as above                                         |
| SnapshotArrived    | peer -> raft                | -                    | the sender sends its snapshot again              |
| PeerCall           | listener, lessor, raft, backend -> peer | PeerAnswer | the caller's own deadline                        |
| PeerAnswer         | peer -> listener, lessor, raft, backend | -                    | as above                                         |
| PeerAsk            | peer -> listener, lessor    | PeerReply            | HTTP 408 or 500 after the request's own deadline |
| PeerReply          | listener, lessor -> peer    | -                    | as above                                         |
| AppendFiguresAsk   | listener -> peer            | AppendFigures        | asked again of the next peer incarnation         |
| AppendFigures      | peer -> listener            | -                    | as above                                         |
| Refused            | raft, wal -> listener, lessor | -                    | the call times out                               |
| ReadIndex          | listener, lessor, backend -> raft | ReadStates           | asked again of the next raft incarnation         |
| ReadStates         | raft -> listener, lessor, backend | -                    | the call times out                               |
| Leadership         | raft -> listener, lessor, compactor, backend, wal | -                    | sent again to each new incarnation               |
| WalHello           | raft -> wal                 | WalState             | sent again to the next wal incarnation           |
| WalState           | wal -> raft                 | -                    | raft asks the next wal incarnation               |
| Append             | raft -> wal                 | Appended             | kept until answered, then sent to a new wal      |
| Appended           | wal -> raft                 | -                    | a new raft reads the log again                   |
| Delegate           | raft -> wal                 | DelegatedAppends, DelegationReturned | ends with the wal                                |
| DelegatedAppends   | wal -> raft                 | -                    | asked of the next wal incarnation by WalHello    |
| RecallDelegation   | raft -> wal                 | DelegationReturned   | ends with the wal                                |
| DelegationReturned | wal -> raft                 | -                    | a new raft, or a new wal, ends the delegation    |
| SaveSnapshot       | raft -> wal                 | -                    | written again with the next snapshot             |
| BackendHello       | raft -> backend             | BackendState         | sent again to the next backend incarnation       |
| BackendState       | backend -> raft             | -                    | raft asks the next backend incarnation           |
| Apply              | raft -> backend             | Applied, and Replies | sent again from the consistent index on          |
| Durable            | wal -> backend              | -                    | raft tells the backend when either one is new    |
| Install            | raft -> backend             | BackendState of the next backend | said again to each one that stands before it |
| Applied            | backend -> raft             | -                    | the next one says more                           |
| Flush              | raft -> backend             | Flushed              | asked again at the next snapshot-count           |
| Flushed            | backend -> raft             | -                    | asked again at the next snapshot-count           |
| Read               | listener, lessor -> backend | Replies              | asked again of the next backend incarnation      |
| LongReads          | backend -> listener         | ReadLong             | asked again of the next backend incarnation      |
| ReadLong           | listener -> backend         | ReplyPart, Replies   | asked again of the next backend incarnation      |
| CancelReads        | listener -> backend         | -                    | the next backend is not asked again              |
| ReplyPart          | backend -> listener         | -                    | a read: as above; a change: the call times out   |
| Replies            | backend -> listener, lessor | -                    | the next backend sends its reply ring again      |
| LeaseCalls         | listener -> lessor          | LeaseAnswers         | asked again of the next lessor incarnation       |
| LeaseAnswers       | lessor -> listener          | -                    | as above; if the listener is gone, no call waits |
| LeaseHello         | lessor -> backend           | LeaseTable           | sent again to the next backend incarnation       |
| LeaseTable         | backend -> lessor           | -                    | the lessor asks the next backend incarnation     |
| LeaseEvents        | backend -> lessor           | -                    | the next backend's table holds what they said    |
| LeaseNews          | lessor -> backend           | LeaseNewsEnd         | calls that it decides wait for the next table    |
| LeaseNewsEnd       | backend -> lessor           | -                    | as above                                         |
| QuotaHeadroom      | backend -> listener         | -                    | sent again when it changes, and to each new one  |
| AuthState          | backend -> listener         | AuthHeard            | sent again with every change, and to each new one |
| AuthTokens         | backend -> listener         | AuthHeard, if some are gone | all of them are sent to each new one             |
| AuthHeard          | listener -> backend         | -                    | the listener, or the backend, is gone            |
| TokensUsed         | listener -> backend         | -                    | the token lives a little shorter                 |
| CompactSlice       | compactor -> backend        | CompactionState      | asked again of the next backend incarnation      |
| CompactionState    | backend -> compactor        | -                    | a new compactor asks, and so does one that waits |
| WatchAsk           | listener -> backend         | WatchPosition        | asked again of the next backend incarnation      |
| WatchPosition      | backend -> listener         | -                    | the listener asks the next backend incarnation   |
| WatchChanges       | backend -> listener         | -                    | the listener sees a gap and asks for history     |
| WatchHistory       | listener -> backend         | WatchChunk           | asked again of the next backend incarnation      |
| WatchChunk         | backend -> listener         | -                    | the listener asks the next backend incarnation   |
| V2Watch            | listener -> backend         | V2Events             | asked again of the next backend incarnation      |
| V2WatchEnd         | listener -> backend         | -                    | the next backend is not asked again              |
| V2Events           | backend -> listener         | -                    | the listener asks the next backend incarnation   |
| V2Guard            | backend -> listener         | AuthHeard            | sent again when it changes, and to each new one  |

The lessor proposes with a slot of its own (etcdz.ipc.request_ids), so that its replies reach it as a listener's do.
The backend and the compactor propose as well: they see by what is applied that it was done, and propose again if not.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgpack


class Roster(NamedTuple):
    """The living actors. Each child: (name, kind, slot, incarnation, endpoint)."""

    version: int
    children: list[tuple[str, str, int, int, str]]


class Stop(NamedTuple):
    """Finish what is under way and exit 0 within deadline_s."""

    deadline_s: float


class Listen(NamedTuple):
    """Which of the sockets in Boot.fds, by their number within each address, to accept connections from.

    drain_share   close this share of the open connections gracefully: their clients reconnect, to any listener
    """

    sockets: list[int]
    drain_share: float


class Ready(NamedTuple):
    """Init has succeeded. info: what the supervisor logs, e.g. which addresses are served."""

    name: str
    incarnation: int
    info: dict[str, Any]


class Heartbeat(NamedTuple):
    """Sent from inside the actor's loop. `handled` counts messages, `batches` turns, `busy_us` time spent handling.

    statistics: as `actors.runtime.statistics` describes it
    """

    name: str
    incarnation: int
    handled: int
    batches: int
    busy_us: int
    last_tag: int
    summary: dict[str, Any]
    statistics: dict[str, Any]


class Fault(NamedTuple):
    """The actor is about to exit. `fatal`: a restart cannot help (corrupt file, newer format): the member stops.
    `given_up`: what it ends over is not tried for ever, so this does not count among ends for one and the same reason.
    """

    name: str
    incarnation: int
    fatal: bool
    reason: str
    given_up: bool = False


class Removed(NamedTuple):
    """This member is no longer one of its cluster, by the word of `reason`: it stops in order, and is not at fault."""

    name: str
    incarnation: int
    reason: str


class Query(NamedTuple):
    """A question to a living actor, or an order that changes what it logs and shows; the verbs stand in
    `actors.runtime.queries`. id: of the question; comes back with the answer
    """

    id: int
    verb: str
    args: dict[str, Any]


LAST_FIGURES = 0
"""QueryReply.id of what nobody has asked for: the figures for /metrics of an actor that is about to end."""


class QueryReply(NamedTuple):
    """The answer to Query `id`. result: what the verb gives; if not ok, a text that says why not."""

    name: str
    incarnation: int
    id: int
    ok: bool
    result: Any


class QueryMetrics(NamedTuple):
    """A client scrapes /metrics at this listener. seq: comes back with the answer."""

    incarnation: int
    seq: int


class Metrics(NamedTuple):
    """The answer to QueryMetrics `seq`. text: the body, of all actors that answered in time."""

    seq: int
    text: bytes


class Look(NamedTuple):
    """A client of this listener wants to see something of the whole member. seq: comes back with the answer.

    verb, args  of supervisor/control/looks.py
    """

    incarnation: int
    seq: int
    verb: str
    args: dict[str, Any]


class Looked(NamedTuple):
    """The answer to Look `seq`. result: JSON; of why not, where it is not ok"""

    seq: int
    ok: bool
    result: bytes


class Propose(NamedTuple):
    """items: (request id, entry data).

    fence       0 if they are offered for the first time, or to a new raft; else these are all that the listener has
                unanswered, and may have gone to the wal before: the fence of the Leadership that asked for them, or
                UNASKED
    only_term   0, or: only the leader of this term may append them. Else they are dropped, and never forwarded
    since_peer  FIRST_OFFER, or: a raft that is gone was offered them before, and may have passed them on to other
                members; incarnation of the peer actor that has lived since, 0: none has
    """

    slot: int
    items: list[tuple[int, bytes]]
    fence: int = 0
    only_term: int = 0
    since_peer: int = -1


UNASKED = -1
FIRST_OFFER = -1


class Reconfigure(NamedTuple):
    """items: (request id, encoded raftpb.ConfChange that carries it). The reply is the backend's, with the members.

    since_peer  as Propose has it
    """

    slot: int
    items: list[tuple[int, bytes]]
    since_peer: int = -1


class MoveLeader(NamedTuple):
    """Have this voter lead. Leadership says whether it does."""

    target: int


class Received(NamedTuple):
    """Encoded raftpb.Message of other members to this one."""

    messages: list[bytes]


class Send(NamedTuple):
    """What raft has to say to other members in one turn, or the wal in its name: acknowledgements.

    messages    (recipient, encoded raftpb.Message): all but appends
    appends     (recipient, term, log term, index before the entries, commit, encoded raftpb.Entry): MsgApp, whose form on
                the wire depends on the connection
    forwarded   request ids of proposals that other members may have by this, in a MsgProp or in an append that leaves
                before it is on disk here: the peer actor keeps them for the next raft
    """

    incarnation: int
    messages: list[tuple[int, bytes]]
    appends: list[tuple[int, int, int, int, int, list[bytes]]]
    forwarded: Sequence[int] = ()


class PeerState(NamedTuple):
    """active: (member id, unix time in s since when it is) of the members that are heard of. forwarded: said to each new
    raft, once and first: the latest REQUEST_WINDOW request ids that any raft has named in a Send, oldest first. streams:
    (member id, number, whether it looks for what is offered twice) of those that have dialled for messages; another
    number is another connection."""

    incarnation: int
    active: list[tuple[int, float]]
    forwarded: Sequence[int] = ()
    streams: Sequence[tuple[int, int, bool]] = ()


class PeerReports(NamedTuple):
    """unreachable: members to whom something was lost. snapshots: (member id, whether its snapshot has arrived)."""

    unreachable: list[int]
    snapshots: Sequence[tuple[int, bool]] = ()


class Members(NamedTuple):
    """The membership as it is applied. members: (id, name, peer URLs, client URLs, is learner), ascending by id.
    removed: ids that were members. cluster_version: "3.5.0"; empty: not decided. downgrade: target version of the one
    that is under way."""

    applied_index: int
    cluster_id: int
    member_id: int
    members: list[tuple[int, str, list[str], list[str], bool]]
    removed: list[int]
    cluster_version: str
    downgrade: str = ""


class SnapshotWanted(NamedTuple):
    """This member needs a snapshot: make one ready."""

    incarnation: int
    to: int


class SnapshotTaken(NamedTuple):
    """The snapshot for this member is ready; it leaves when the MsgSnap comes that names this index, with data as its
    snapshot.data. snapshot_index 0: none can be made now."""

    to: int
    snapshot_index: int
    snapshot_term: int
    conf_state: bytes
    data: bytes


class SnapshotArrived(NamedTuple):
    """Another member's snapshot has come and is on disk, converted, at path. message: the encoded MsgSnap."""

    snapshot_index: int
    snapshot_term: int
    path: str
    message: bytes


class PeerCall(NamedTuple):
    """Ask another member over HTTP. asker: name of the actor that the answer goes to; method, path, body: of the request,
    which goes to the member's peer URLs in order until one answers."""

    asker: str
    id: int
    to: int
    method: str
    path: str
    body: bytes
    timeout_s: float


class PeerAnswer(NamedTuple):
    """The answer to PeerCall `id`: HTTP status and body; status 0: none came, and body says why."""

    id: int
    status: int
    body: bytes


class PeerAsk(NamedTuple):
    """Another member asks over HTTP what only its receiver knows."""

    id: int
    method: str
    path: str
    body: bytes


class PeerReply(NamedTuple):
    """The answer to PeerAsk `id`."""

    id: int
    status: int
    content_type: str
    body: bytes


class Write(NamedTuple):
    """Append these yourself, if this is the delegation that you have. slot: of the listener, or RAFT."""

    slot: int
    delegation: int
    items: list[tuple[int, bytes]]


RAFT = -1


class Refused(NamedTuple):
    """items: (request id, name in etcdz.api.errors)."""

    items: list[tuple[int, str]]


class ReadIndex(NamedTuple):
    """Wants an index at which a linearizable read is safe, for each request id."""

    slot: int
    ids: list[int]


class ReadStates(NamedTuple):
    """The answer: all of ids may be read once the backend has applied index."""

    read_index: int
    ids: list[int]


class Leadership(NamedTuple):
    """What listeners know of raft.

    read_index      while not None, this member is the only voter, and a linearizable read may go straight to the
                    backend, which answers once it has applied that index
    ready_index     once it is applied, the cluster knows this member's name and URLs: clients may come; 0: not yet
    lead_index      0, or: this member leads, and this entry of its term is committed
    delegation      while not 0, proposals go straight to the wal, as Write with this number
    fence           a listener or lessor that has not answered this number yet does so, with a Propose of all that it
                    has unanswered
    """

    incarnation: int
    term: int
    leader: int
    commit: int
    read_index: int | None
    ready_index: int
    lead_index: int
    delegation: int = 0
    fence: int = 0


class WalHello(NamedTuple):
    """A raft incarnation presents itself; entries of older raft incarnations are ignored from here on.

    first_index     it would like to have all entries from here on
    needed_index    and cannot do without those from here on; 0: it knows them
    """

    incarnation: int
    first_index: int
    needed_index: int = 0


class WalState(NamedTuple):
    """All that is on disk from first_index on. entries: encoded raftpb.Entry.

    term, leader: what raft said last in this life of the wal, 0 if nothing: a hint for a raft that begins anew.
    says_acknowledgements: whether it has those said that come with an Append; a wal of earlier code has not.
    """

    raft_incarnation: int
    metadata: bytes
    fresh: bool
    hard_state: bytes
    snapshot_index: int
    snapshot_term: int
    first_index: int
    entries: list[bytes]
    last_index: int
    term: int = 0
    leader: int = 0
    says_acknowledgements: bool = False


class Append(NamedTuple):
    """Make durable: entries (encoded raftpb.Entry, the first at first_index) and hard_state (or empty). snapshot: encoded
    raftpb.Snapshot that a leader has sent, in place of the log as it is; the entries follow it. Empty: none.

    acknowledgements    (leader, term, index, encoded MsgAppResp) that are true once all of this is durable: the wal has
                        the peer actor say them
    """

    incarnation: int
    seq: int
    first_index: int
    entries: list[bytes]
    hard_state: bytes
    sync: bool
    snapshot: bytes = b""
    acknowledgements: Sequence[tuple[int, int, int, bytes]] = ()


APPENDED: Final = "appended"
ACKNOWLEDGED: Final = "acknowledged"
"""Kinds of messages to raft that are deferrable (actors/runtime/mailbox.py): Appended without an error, and Received
that holds nothing but acknowledgements."""


class Appended(NamedTuple):
    """All Appends of this raft incarnation up to seq are durable; or, with error, these are not and will not be."""

    raft_incarnation: int
    seq: int
    error: str


class Delegate(NamedTuple):
    """The end of the log is the wal's: it appends what is written to it, in this term and behind last_index, and hands
    it to the backend when it is durable. delegation: higher than any before, of this raft incarnation or an earlier
    one. backend: incarnation of the one that raft knows; a wal that knows another gives the delegation back."""

    raft_incarnation: int
    delegation: int
    term: int
    last_index: int
    backend: int = 0


class DelegatedAppends(NamedTuple):
    """Request ids and data of entries that were appended on this delegation and are durable, contiguous from
    first_index."""

    delegation: int
    first_index: int
    ids: list[int]
    entries: list[bytes]


class RecallDelegation(NamedTuple):
    """Give the end of the log back."""

    delegation: int


class DelegationReturned(NamedTuple):
    """Nothing more is appended on this delegation; all that was has been told by DelegatedAppends."""

    delegation: int


class SaveSnapshot(NamedTuple):
    """Write a .snap file and its WAL marker, release segments wholly below keep_index."""

    incarnation: int
    snapshot_index: int
    snapshot_term: int
    conf_state: bytes
    data: bytes
    keep_index: int


class BackendHello(NamedTuple):
    """A raft incarnation presents itself to the backend."""

    incarnation: int


class BackendState(NamedTuple):
    """Where the backend stands."""

    raft_incarnation: int
    member_id: int
    cluster_id: int
    applied_index: int
    applied_term: int
    flushed_index: int
    conf_state: bytes
    cluster_version: str


class Apply(NamedTuple):
    """Committed entries, contiguous from first_index, all of this term: their data. kinds: empty if all are normal."""

    incarnation: int
    first_index: int
    term: int
    entries: list[bytes]
    kinds: bytes


class Install(NamedTuple):
    """The log begins after this entry, durably: the store that was received takes the place of the backend's own. It ends
    then, and its successor serves the new one."""

    incarnation: int
    snapshot_index: int


class Durable(NamedTuple):
    """Entries that were appended on a delegation and are durable, so committed: their data, contiguous, all of this
    term."""

    raft_incarnation: int
    first_index: int
    term: int
    entries: list[bytes]


class Applied(NamedTuple):
    """Everything up to applied_index is applied; everything up to flushed_index survives power loss.

    conf_state: encoded raftpb.ConfState of the members at applied_index; empty: not said
    """

    applied_index: int
    flushed_index: int
    conf_state: bytes = b""


class Flush(NamedTuple):
    """Make what is applied durable in the backend's own store."""

    incarnation: int


class Flushed(NamedTuple):
    """The answer; index and term of the last applied entry, conf state and v2 store as a .snap holds them."""

    applied_index: int
    applied_term: int
    conf_state: bytes
    snapshot_data: bytes


class Read(NamedTuple):
    """items: (request id, method tag, request body, index that must be applied first). askers: (request id, user name,
    auth revision) of those items of which it is known who asks; empty while auth is off. asker: (user name, auth
    revision) of all items, in place of askers. NB: only for a backend that has said that it takes it (AuthState): an
    older one would see nobody there."""

    slot: int
    items: list[tuple[int, int, bytes, int]]
    askers: Sequence[tuple[int, str, int]] = ()
    asker: tuple[str, int] | None = None


class LongReads(NamedTuple):
    """These reads take long, or their answers are large: they are not answered, and not kept. Ask for each by ReadLong
    when there is room for its answer."""

    incarnation: int
    ids: list[int]


class ReadLong(NamedTuple):
    """As Read, for reads that were told to be long."""

    slot: int
    items: list[tuple[int, int, bytes, int]]
    askers: Sequence[tuple[int, str, int]] = ()


class CancelReads(NamedTuple):
    """Nobody waits for these reads any more."""

    slot: int
    ids: list[int]


class ReplyPart(NamedTuple):
    """A part of the answer to a long read, or to a change with a large answer. offset: bytes in the parts before it.
    is_last: the answer is complete. An error instead of an answer comes as Replies, also behind parts."""

    incarnation: int
    request_id: int
    offset: int
    data: bytes
    is_last: bool


class Replies(NamedTuple):
    """items: (request id, gRPC code, response body or error text as bytes). batch: applied index, 0 for reads.
    revision: the backend's when this was sent."""

    incarnation: int
    batch: int
    items: list[tuple[int, int, bytes]]
    revision: int


class LeaseCalls(NamedTuple):
    """items: (request id, KEEP_ALIVE, TIME_TO_LIVE or LEASES of etcdz.lease.question, lease id). revision: the latest
    that the listener has seen in an answer. with_keys: request ids of those that want the lease's keys as well."""

    slot: int
    revision: int
    items: list[tuple[int, int, int]]
    with_keys: Sequence[int] = ()


class LeaseAnswers(NamedTuple):
    """items: (request id, body): what the lessor has to say, see etcdz.lease.lessor. final: (request id, encoded
    LeaseTimeToLiveResponse): the whole answer, as the leader has given it."""

    items: list[tuple[int, bytes]]
    final: Sequence[tuple[int, bytes]] = ()


class LeaseHello(NamedTuple):
    """A lessor wants to know all leases once the backend has applied at_index, and from then on every change."""

    at_index: int


class LeaseTable(NamedTuple):
    """All leases, as (id, TTL, remaining) one after the other. at_index: as asked for."""

    at_index: int
    cluster_id: int
    member_id: int
    revision: int
    leases: list[int]


class LeaseEvents(NamedTuple):
    """What was applied, in order: (GRANTED, GONE or REMAINS of etcdz.lease.lessor, lease id, seconds)."""

    revision: int
    items: list[tuple[int, int, int]]


class LeaseNews(NamedTuple):
    """Wants to be told when everything that the backend knows by now is sent, and at_index is applied."""

    number: int
    at_index: int = 0


class LeaseNewsEnd(NamedTuple):
    """Everything is, up to applied_index."""

    number: int
    applied_index: int = 0


class QuotaHeadroom(NamedTuple):
    """headroom: bytes until the quota is reached, None while that is far; is_capped: the alarm NOSPACE is raised."""

    member_id: int
    headroom: int | None
    is_capped: bool


class AuthState(NamedTuple):
    """Users and roles as they are applied: sent before the reply to whoever has changed them.

    applied_index   of the entry up to which this holds
    users           (name, its roles), and roles: (name, its permissions as (type, key, range_end)), as
                    etcdz.auth.access.Access.decode takes them; both empty while auth is off
    takes_asker     this backend knows Read.asker
    """

    incarnation: int
    applied_index: int
    enabled: bool
    revision: int
    users: list[tuple[str, list[str]]]
    roles: list[tuple[str, list[tuple[int, bytes, bytes]]]]
    takes_asker: bool = False


class AuthTokens(NamedTuple):
    """What has changed of the simple tokens, up to applied_index: first dropped, then added.

    dropped   tokens that are gone; None: all are
    added     (token, name of its user)
    """

    incarnation: int
    applied_index: int
    dropped: list[str] | None
    added: list[tuple[str, str]]


class AuthHeard(NamedTuple):
    """This listener has taken what it was told of users, roles and tokens: it acts by nothing older.

    incarnation     of the listener
    applied_index   of AuthState, AuthTokens or V2Guard
    """

    incarnation: int
    applied_index: int


class TokensUsed(NamedTuple):
    """These simple tokens were used at this listener since it last said so: they live on."""

    tokens: list[str]


class CompactSlice(NamedTuple):
    """Look at up to so many records that a compaction has put out of reach; 0: only say where you stand.

    notes: what the next compactor incarnation must know of this one; the backend keeps it in memory. Empty: as before.
    """

    incarnation: int
    records: int
    notes: bytes


class CompactionState(NamedTuple):
    """running: there is something to compact. notes: the last that were sent, for a compactor that has none."""

    revision: int
    compact_revision: int
    running: bool
    notes: bytes


class WatchAsk(NamedTuple):
    """From now on send what etcdz.watch.hub calls wants (0: nothing), and say where you stand."""

    slot: int
    seq: int
    wants: int


class WatchPosition(NamedTuple):
    """The answer, behind all changes up to there. position: the fields of etcdz.watch.hub.Position."""

    seq: int
    position: tuple[int, ...]


class WatchChanges(NamedTuple):
    """All that happened behind revision before, up to position's. changes: columns of etcdz.watch.events.Changes."""

    before: int
    position: tuple[int, ...]
    changes: tuple[list[Any], ...]


class WatchHistory(NamedTuple):
    """Send what happened to spans, (lo, hi) as in etcdz.watch.ranges, from revision first on."""

    slot: int
    seq: int
    first: int
    spans: list[tuple[bytes, bytes | None]]
    with_prev_kv: bool


class WatchChunk(NamedTuple):
    """The answer: all of it up to and with revision through, which may be far from the end. Nothing and through below
    first: it is compacted."""

    seq: int
    through: int
    position: tuple[int, ...]
    changes: tuple[list[Any], ...]


class V2Watch(NamedTuple):
    """Tell listener slot what happens at path of the v2 store from index since on, 0: from now on.

    id          of the watch, of the listener's making
    is_resumed  a backend that is gone was asked before: what watchers of path do not see is left out of history as well
    """

    slot: int
    id: int
    path: str
    is_recursive: bool
    is_stream: bool
    since: int
    is_resumed: bool = False


class V2WatchEnd(NamedTuple):
    """Nobody waits for these watches any more."""

    slot: int
    ids: list[int]


class V2Events(NamedTuple):
    """What watches are told: (id, start, events, error).

    start   where it began: (index of the store, raft index, raft term); empty but in the first word
    events  (index, JSON as clients read it)
    error   JSON of why it does not watch, or empty
    """

    items: list[tuple[int, tuple[int, ...], list[tuple[int, bytes]], bytes]]


class AppendFiguresAsk(NamedTuple):
    """What have appends come to? asker: name of the actor that the answer goes to"""

    asker: str
    id: int


class AppendFigures(NamedTuple):
    """The answer to AppendFiguresAsk `id`, of what this process of the peer actor has seen.

    sent, received  (appends, appends a second, bytes a second)
    followers       (id, figures as etcdz.v2.append_statistics has them) of all other members
    """

    id: int
    sent: tuple[int, float, float]
    received: tuple[int, float, float]
    followers: Sequence[tuple[int, Sequence[float]]]


class V2Guard(NamedTuple):
    """Whether users of the v2 API are to be asked for their names. The listener says AuthHeard.

    applied_index   of the last entry that the backend has applied
    """

    is_on: bool
    applied_index: int = 0


MESSAGES: dict[int, type[Any]] = {
    1: Roster,
    2: Stop,
    3: Ready,
    4: Heartbeat,
    5: Fault,
    6: Query,
    7: QueryReply,
    8: Listen,
    9: QueryMetrics,
    15: Metrics,
    16: Removed,
    19: Look,
    37: Looked,
    10: Propose,
    11: Refused,
    12: ReadIndex,
    13: ReadStates,
    14: Leadership,
    17: Reconfigure,
    18: Received,
    20: WalHello,
    21: WalState,
    22: Append,
    23: Appended,
    24: SaveSnapshot,
    25: Delegate,
    26: Write,
    27: DelegatedAppends,
    28: RecallDelegation,
    29: DelegationReturned,
    30: BackendHello,
    31: BackendState,
    32: Apply,
    33: Applied,
    34: Flush,
    35: Flushed,
    36: Durable,
    40: Read,
    41: Replies,
    42: QuotaHeadroom,
    43: LongReads,
    44: ReadLong,
    45: CancelReads,
    46: ReplyPart,
    47: AuthState,
    48: AuthTokens,
    49: TokensUsed,
    50: CompactSlice,
    51: CompactionState,
    52: AuthHeard,
    60: LeaseCalls,
    61: LeaseAnswers,
    62: LeaseHello,
    63: LeaseTable,
    64: LeaseEvents,
    65: LeaseNews,
    66: LeaseNewsEnd,
    70: WatchAsk,
    71: WatchPosition,
    72: WatchChanges,
    73: WatchHistory,
    74: WatchChunk,
    75: V2Watch,
    76: V2WatchEnd,
    77: V2Events,
    78: V2Guard,
    80: Send,
    81: PeerState,
    82: PeerReports,
    83: Members,
    84: SnapshotWanted,
    85: SnapshotTaken,
    86: SnapshotArrived,
    87: PeerCall,
    88: PeerAnswer,
    89: PeerAsk,
    90: PeerReply,
    91: Install,
    92: AppendFiguresAsk,
    93: AppendFigures,
    105: MoveLeader,
}
TAGS: dict[type[Any], int] = {kind: tag for tag, kind in MESSAGES.items()}

assert all(0 < tag < 128 for tag in MESSAGES), "first_type reads a tag as one byte; 0 is the flight recorder's"
assert len(TAGS) == len(MESSAGES), "a type has one tag"


class Unknown(NamedTuple):
    """What a receiver finds in the place of a message whose tag it does not know: newer code has sent it. Never sent."""

    tag: int


_packer = msgpack.Packer(use_bin_type=True, autoreset=True)
_path_packer = msgpack.Packer(use_bin_type=True, autoreset=True, unicode_errors="surrogateescape")
"""For the rare text that is not UTF-8, such as a path: slower, as it encodes all text anew."""
_MAKE: Final[dict[int, Callable[[Iterable[Any]], Any]]] = {tag: kind._make for tag, kind in MESSAGES.items()}


def encode_frame(batch: Iterable[Any]) -> bytes:
    """One frame out of messages of this module, in order. raises KeyError: a type that is not in MESSAGES"""
    items = [(TAGS[type(message)], message) for message in batch]
    try:
        return _packer.pack(items)  # type: ignore[no-any-return]
    except UnicodeEncodeError:
        return _path_packer.pack(items)  # type: ignore[no-any-return]


def decode_frame(frame: bytes | memoryview) -> list[Any]:
    """The messages of a frame, in order; in the place of one with an unknown tag stands an Unknown.

    return  messages with the fields of this version: what the sender left out has its default, what it said more is
            dropped. NB: lists and tuples inside of fields all come as lists
    raises  ValueError: no frame of any version
    """
    try:
        return [_MAKE[tag](fields) for tag, fields in msgpack.unpackb(frame, use_list=True, strict_map_key=False)]
    except (KeyError, TypeError, UnicodeDecodeError):
        # A sender of another version, a path that is not UTF-8, or garbage: rare, so looked at message by message.
        return _decode_tolerantly(frame)


def _decode_tolerantly(frame: bytes | memoryview) -> list[Any]:
    try:
        items = msgpack.unpackb(frame, use_list=True, strict_map_key=False, unicode_errors="surrogateescape")
        return [_decode(tag, fields) for tag, fields in items]
    except TypeError as error:
        raise ValueError(f"no frame of messages: {error}") from error


def _decode(tag: int, fields: list[Any]) -> Any:
    """raises TypeError: a field is missing that has no default, or these are no fields"""
    kind = MESSAGES.get(tag)
    return Unknown(tag) if kind is None else kind(*fields[: len(kind._fields)])


def first_type(frame: bytes) -> type[Any]:
    """Of the first message of an encoded frame. Requires: a frame of at least one and at most 15 messages."""
    return MESSAGES[frame[2]]
