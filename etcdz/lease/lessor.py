"""What a member's lessor does with its clocks: answers keep-alives, has leases revoked that have run out.

The backend tells it which leases there are: the whole table once, then every change, in order. Raft tells it which
member leads. It answers nothing before it knows both, and calls that come earlier wait here. It changes no lease
itself: it proposes, and a lease is gone when the backend says so.

    keep-alive of a lease                         is answered at once
    ... that has run out                          waits until it is revoked: nothing stops that any more
    ... whose checkpoint counts                   waits until that is cleared: else the lease might end early elsewhere
    ... that is not known                         waits until the backend has told everything that it knows now

Time is an argument, as in `clocks`. Work for others collects in the attributes that `Lessor` names.
"""

from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any, Final, NamedTuple

from etcdz.lease.clocks import NEVER, REVOKES_PER_S, Clock, Clocks
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import HeaderPieces, encode_varint, int_field
from etcdz.proto.tags import KEEP_ALIVE_ID, KEEP_ALIVE_TTL

KEEP_ALIVE, TIME_TO_LIVE, LEASES = 1, 2, 3
"""What a listener asks."""
GRANTED, GONE, REMAINS = 1, 2, 3
"""What a backend tells: (kind, lease id, seconds). Granted: of TTL. Remains: of the TTL, as a checkpoint says."""

SWEEP_S: Final = 0.1
"""Not oftener than this is looked for leases that have run out."""
REVOKES_AT_ONCE: Final = REVOKES_PER_S // 2
"""After a while without any. Source: etcd looks twice a second, and revokes what it finds, half the rate at most."""
NOT_KNOWN: Final = -(1 << 63)
"""As what is left: the lessor has not heard of this lease."""
CLOCK: Final = Struct(">qq")
"""The lessor's part of the answer to TIME_TO_LIVE: lease id, whole seconds left."""


class Question(NamedTuple):
    """A call of a listener. came_s: a lease that was alive then has not missed its keep-alive because it waited."""

    slot: int
    request_id: int
    method: int
    lease_id: int
    came_s: float


class Leader(NamedTuple):
    """What raft says. lead_index: 0, or this member leads, and this entry of its term or a later one is committed.
    alone: it is the only voter, so that no other can have led meanwhile."""

    term: int
    lead_index: int
    alone: bool


class Lessor:
    """See the module.

    answers     by listener's slot: (request id, encoded answer). Of TIME_TO_LIVE: CLOCK; of LEASES: ids of eight bytes
                each, the one that ends first first. The backend makes answers for clients of these
    proposals   (request id, entry data) for raft
    ask_table   None, or: the backend is to send its table once it has applied this index
    ask_news    None, or: the backend is to say this number, after all that it has to tell
    """

    def __init__(
        self,
        clocks: Clocks,
        next_id: Callable[[], int],
        *,
        extend_s: float,
        hold_s: float,
    ) -> None:
        """extend_s: of all leases when this member becomes leader. hold_s: clients wait no longer for an answer."""
        self.clocks = clocks
        self._next_id = next_id
        self._extend_s = extend_s
        self._hold_s = hold_s
        self.answers: dict[int, list[tuple[int, bytes]]] = {}
        self.proposals: list[tuple[int, bytes]] = []
        self.ask_table: int | None = None
        self.ask_news: int | None = None
        self._leader = Leader(0, 0, False)
        self._led_term = 0
        """For which the clocks run; 0: they stand."""
        self._promoting = False
        """The table that was asked for is the one to start all clocks with."""
        self._has_table = False
        self._header = HeaderPieces(0, 0, 0)
        self._identity = (0, 0)
        self._revision = 0
        self._held: deque[Question] = deque()
        """Came while it could not be answered, in order."""
        self._waiting: dict[int, list[Question]] = {}
        """Keep-alives by lease, until it is gone or its checkpoint cleared."""
        self._unknown: deque[tuple[int, Question]] = deque()
        """Keep-alives of unknown leases, and the number of `ask_news` that decides."""
        self._news = 0
        self._revokes: dict[int, int] = {}
        """Lease -> request id of its revoke."""
        self._clears: dict[int, int] = {}
        """Lease -> request id of the checkpoint that clears what remains."""
        self._offers: dict[int, bytes] = {}
        """Proposals without an answer so far: request id -> data."""
        self._refused: list[int] = []
        self._next_sweep_s = 0.0
        self._allowance = float(REVOKES_AT_ONCE)
        """So many revokes may be proposed now, as of `_swept_s`."""
        self._swept_s = 0.0

    @property
    def member_id(self) -> int:
        """0 before the backend has said it."""
        return self._identity[1]

    @property
    def serves(self) -> bool:
        """Whether it has all it needs to answer."""
        return self._has_table and self._leader.lead_index > 0 and self._led_term > 0

    def summary(self) -> dict[str, Any]:
        return {
            "leases": len(self.clocks),
            "serves": self.serves,
            "held": len(self._held) + len(self._unknown),
            "waiting": len(self._waiting),
            "revoking": len(self._revokes),
        }

    # ---- raft ----

    def on_leader(self, leader: Leader, now: float) -> None:
        """Clocks go on where this member leads still, start anew where it leads again, and stand elsewhere."""
        before, self._leader = self._leader, leader
        if leader.term != before.term:
            self._set_header()
        if not leader.lead_index:
            return
        if self._led_term and (leader.alone or leader.term == self._led_term):
            self._led_term = leader.term
            self._serve_held(now)
        elif not (self._promoting and leader.term == before.term):
            self._led_term = 0
            self._promoting = True
            self.ask_table = leader.lead_index

    def on_leader_lost(self, elsewhere: bool, now: float) -> None:
        """elsewhere: another member leads, clocks stand. Else this one may come back in a moment, with a new raft."""
        self._leader = self._leader._replace(lead_index=0)
        if not elsewhere:
            return
        self._led_term = 0
        self._promoting = False
        self.clocks.demote()
        self._revokes.clear()
        self._clears.clear()
        self._offers.clear()
        self._refused.clear()
        self._hold_waiting()

    def _hold_waiting(self) -> None:
        """Calls that wait for a change of their lease are handled anew once this can answer."""
        for questions in self._waiting.values():
            self._held.extend(questions)
        self._waiting.clear()
        self._held.extend(question for _, question in self._unknown)
        self._unknown.clear()

    def offer_again(self) -> None:
        """A new raft: it drops what its log has."""
        self.proposals = list(self._offers.items())
        self._refused.clear()

    def on_refused(self, request_ids: Iterable[int]) -> None:
        """Not taken, e.g. because the disk is full: offered again with a later sweep."""
        self._refused.extend(request_id for request_id in request_ids if request_id in self._offers)

    def _offer(self, request: pb.InternalRaftRequest) -> int:
        request_id = self._next_id()
        request.header.ID = request_id
        data = self._offers[request_id] = request.SerializeToString()
        self.proposals.append((request_id, data))
        return request_id

    # ---- backend ----

    def on_backend_lost(self) -> None:
        """Clocks go on; what the next one says counts."""
        self._has_table = False
        self._hold_waiting()
        self.ask_table = self._leader.lead_index if self._promoting else 0

    def on_table(
        self, asked: int, identity: tuple[int, int], revision: int, leases: dict[int, tuple[int, int]], now: float
    ) -> None:
        """The answer to ask_table. identity: cluster id, member id. leases: id -> (TTL, remaining)."""
        self._identity = identity
        self._revision = max(self._revision, revision)
        self._set_header()
        self._has_table = True
        for lease_id in self.clocks.replace(leases, now):
            self._end(lease_id)
        if self._promoting and asked >= self._leader.lead_index > 0:
            self._promoting = False
            self._led_term = self._leader.term
            self.clocks.promote(self._extend_s, now)
        self._serve_held(now)

    def on_events(self, revision: int, events: Iterable[tuple[int, int, int]], now: float) -> None:
        """What was applied, in order."""
        self._revision = max(self._revision, revision)
        if not self._has_table:
            return  # the table that comes holds it
        for kind, lease_id, seconds in events:
            if kind == GRANTED:
                self.clocks.grant(lease_id, seconds, 0, now)
            elif kind == GONE:
                self.clocks.forget(lease_id)
                self._end(lease_id)
            else:
                self.clocks.checkpointed(lease_id, seconds, now)
                self._checkpointed(lease_id, now)

    def on_news(self, number: int, now: float) -> None:
        """The backend has told all that it knew when it was asked: what is still unknown is not there."""
        while self._unknown and self._unknown[0][0] <= number:
            _, question = self._unknown.popleft()
            clock = self.clocks.by_id.get(question.lease_id)
            if clock is None:
                self._answer_ttl(question, 0)
            else:
                self._renew(question, clock, now)

    def on_replies(self, request_ids: Iterable[int]) -> None:
        """Proposals that were applied."""
        for request_id in request_ids:
            self._offers.pop(request_id, None)

    def _end(self, lease_id: int) -> None:
        """A lease is gone: its keep-alives get no more time."""
        for ids in (self._revokes, self._clears):
            self._offers.pop(ids.pop(lease_id, 0), None)
        for question in self._waiting.pop(lease_id, ()):
            self._answer_ttl(question, 0)

    def _checkpointed(self, lease_id: int, now: float) -> None:
        clock = self.clocks.by_id.get(lease_id)
        if clock is None or clock.remaining_s or self._clears.pop(lease_id, None) is None:
            return
        for question in self._waiting.pop(lease_id, ()):
            self._renew(question, clock, now)

    # ---- listeners ----

    def on_calls(self, slot: int, revision: int, calls: Iterable[tuple[int, int, int]], now: float) -> None:
        """calls: (request id, method, lease id). revision: the latest that the listener has seen in an answer;
        answers from here show no earlier one.

        Nearly all are keep-alives of living leases: they are answered here, all others by the rules of the module.
        """
        self._revision = max(self._revision, revision)
        if not self.serves:
            for request_id, method, lease_id in calls:
                self._on_question(Question(slot, request_id, method, lease_id, now))
            return
        header = self._header.field(self._revision)
        by_id, revokes, checkpoints = self.clocks.by_id, self._revokes, self.clocks.checkpoints
        answer = self.answers.setdefault(slot, []).append
        for request_id, method, lease_id in calls:
            clock = by_id.get(lease_id) if method == KEEP_ALIVE else None
            if clock is None or clock.expiry_s <= now or lease_id in revokes or (clock.remaining_s and checkpoints):
                self._on_question(Question(slot, request_id, method, lease_id, now))
            else:
                clock.expiry_s = now + clock.ttl_s
                if not clock.answer:
                    clock.answer = _fields(lease_id, clock.ttl_s)
                answer((request_id, header + clock.answer))

    def _on_question(self, question: Question) -> None:
        if not self.serves and not (question.method == LEASES and self._has_table):
            self._hold(question)
            return
        self._answer(question, question.came_s)

    def _hold(self, question: Question) -> None:
        held = self._held
        while held and held[0].came_s < question.came_s - self._hold_s:
            held.popleft()
        held.append(question)

    def _serve_held(self, now: float) -> None:
        if not self.serves:
            return
        held, self._held = self._held, deque()
        for question in held:
            self._answer(question, now)

    def _answer(self, question: Question, now: float) -> None:
        lease_id = question.lease_id
        if question.method == LEASES:
            ids = b"".join([lease_id.to_bytes(8, "big", signed=True) for lease_id in self.clocks.by_expiry()])
            self._reply(question, ids)
            return
        clock = self.clocks.by_id.get(lease_id)
        if question.method == TIME_TO_LIVE:
            left = NOT_KNOWN if clock is None else int(clock.left_s(now))
            self._reply(question, CLOCK.pack(lease_id, left))
        elif clock is None:
            self._ask_news(question)
        else:
            self._renew(question, clock, now)

    def _ask_news(self, question: Question) -> None:
        if self.ask_news is None:
            self._news += 1
            self.ask_news = self._news
        self._unknown.append((self.ask_news, question))

    def _renew(self, question: Question, clock: Clock, now: float) -> None:
        lease_id = clock.lease_id
        if lease_id in self._revokes or clock.has_run_out(question.came_s):
            self._waiting.setdefault(lease_id, []).append(question)
        elif clock.remaining_s and self.clocks.checkpoints:
            self._waiting.setdefault(lease_id, []).append(question)
            self._clear(lease_id)
        else:
            self.clocks.renew(clock, now)
            self._answer_ttl(question, clock.ttl_s)

    def _clear(self, lease_id: int) -> None:
        if lease_id not in self._clears:
            cleared = pb.LeaseCheckpoint(ID=lease_id, remaining_TTL=0)
            request = pb.InternalRaftRequest(lease_checkpoint=pb.LeaseCheckpointRequest(checkpoints=[cleared]))
            self._clears[lease_id] = self._offer(request)

    def _answer_ttl(self, question: Question, ttl_s: int) -> None:
        """LeaseKeepAliveResponse; without a TTL for a lease that is gone."""
        self._reply(question, self._header.field(self._revision) + _fields(question.lease_id, ttl_s))

    def _reply(self, question: Question, body: bytes) -> None:
        answers = self.answers.get(question.slot)
        if answers is None:
            self.answers[question.slot] = [(question.request_id, body)]
        else:
            answers.append((question.request_id, body))

    def _set_header(self) -> None:
        self._header = HeaderPieces(*self._identity, self._leader.term)

    # ---- time ----

    def next_sweep_s(self) -> float:
        """When to call `sweep`; NEVER if nothing will be due."""
        if not self.serves:
            return NEVER
        if self._refused:
            return self._next_sweep_s
        return max(self._next_sweep_s, self.clocks.next_due_s())

    def sweep(self, now: float) -> None:
        """Propose what is due, no more than the rate allows."""
        if not self.serves or now < self._next_sweep_s:
            return
        self._next_sweep_s = now + SWEEP_S
        again, self._refused = self._refused, []
        self.proposals += [(request_id, self._offers[request_id]) for request_id in again if request_id in self._offers]
        allowance = min(REVOKES_AT_ONCE, self._allowance + (now - self._swept_s) * REVOKES_PER_S)
        found = self.clocks.run_out(now, int(allowance))
        self._allowance, self._swept_s = allowance - len(found), now
        for lease_id in found:
            self._revoke(lease_id)
        due = self.clocks.due_checkpoints(now)
        if due:
            checkpoints = [pb.LeaseCheckpoint(ID=lease_id, remaining_TTL=left) for lease_id, left in due]
            self._offer(pb.InternalRaftRequest(lease_checkpoint=pb.LeaseCheckpointRequest(checkpoints=checkpoints)))

    def _revoke(self, lease_id: int) -> None:
        """NB: a retry has the same request id while it is unanswered, so that the log takes it once: else it might hit
        a lease that was granted under this id meanwhile."""
        data = self._offers.get(self._revokes.get(lease_id, 0))
        if data is None:
            request = pb.InternalRaftRequest(lease_revoke=pb.LeaseRevokeRequest(ID=lease_id))
            self._revokes[lease_id] = self._offer(request)
        else:
            self.proposals.append((self._revokes[lease_id], data))


def _fields(lease_id: int, ttl_s: int) -> bytes:
    """Of a LeaseKeepAliveResponse, behind its header."""
    return KEEP_ALIVE_ID + encode_varint(lease_id) + int_field(KEEP_ALIVE_TTL, ttl_s)
