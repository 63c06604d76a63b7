"""What a member's lessor does with its clocks: answers keep-alives, has leases revoked that have run out.

The backend tells it which leases there are: the whole table once, then every change, in order. Raft tells it which
member leads. It answers nothing before it knows both, and calls that come earlier wait here. It changes no lease
itself: it proposes, and a lease is gone when the backend says so.

    another member leads                          it is asked (forwarding.py)
    this one leads, and is not the only voter     all waits until it is certain that it does (confirmation.py)
    keep-alive of a lease                         is answered at once
    ... that has run out                          waits until it is revoked: nothing stops that any more
    ... whose checkpoint counts                   waits until that is cleared: else the lease might end early elsewhere
    ... that is not known                         waits until the backend has told everything that it knows now

What it proposes while there are other voters is for its own term alone (`proposal_term`): raft drops it in any other,
and forwards none of it. So no lease ends by the clock of a member that does not lead any more.

Time is an argument, as in `clocks`. Work for others collects in the attributes that `Lessor` names.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, Final, NamedTuple

from etcdz.api.auth_info import THE_MEMBER
from etcdz.lease.clocks import NEVER, REVOKES_PER_S, Clock, Clocks
from etcdz.lease.confirmation import Confirmation, Round
from etcdz.lease.forwarding import Forwarding, Found
from etcdz.lease.question import CLOCK, KEEP_ALIVE, LEASES, NOT_KNOWN, PEERS, TIME_TO_LIVE, Question
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import HeaderPieces, encode_varint, int_field
from etcdz.proto.tags import KEEP_ALIVE_ID, KEEP_ALIVE_TTL

GRANTED, GONE, REMAINS = 1, 2, 3
"""What a backend tells: (kind, lease id, seconds). Granted: of TTL. Remains: of the TTL, as a checkpoint says."""

SWEEP_S: Final = 0.1
"""Not oftener than this is looked for leases that have run out."""
REVOKES_AT_ONCE: Final = REVOKES_PER_S // 2
"""After a while without any. Source: etcd looks twice a second, and revokes what it finds, half the rate at most."""
_AS_ROOT: Final = pb.RequestHeader(username=THE_MEMBER.username, auth_revision=THE_MEMBER.revision)
"""Of a revoke: while auth is on, nobody else may end a lease with all keys that hang on it."""


class Verdict(NamedTuple):
    """The answer to a question of PEERS. seconds: the TTL of a lease that was renewed, 0: it is gone; or what is left
    of it, NOT_KNOWN: that is not known here. None: this member does not lead (any more)"""

    question: Question
    seconds: int | None


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
    final       by listener's slot: (request id, encoded answer to TIME_TO_LIVE) as the leader has given it
    verdicts    answers to questions of PEERS
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
        self.forwarding = Forwarding(hold_s)
        self.confirmation = Confirmation(next_id)
        self.answers: dict[int, list[tuple[int, bytes]]] = {}
        self.final: dict[int, list[tuple[int, bytes]]] = {}
        self.verdicts: list[Verdict] = []
        self.proposals: list[tuple[int, bytes]] = []
        self.ask_table: int | None = None
        self.ask_news: int | None = None
        self._leader = Leader(0, 0, False)
        self._led_term = 0
        """For which the clocks run; 0: they stand."""
        self._other_leader = 0
        """The member that leads, if this one does not, so far as is known."""
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
        self.renewed = self.expired = 0
        """Leases that this lessor has renewed, and that have ended as it had proposed."""

    @property
    def member_id(self) -> int:
        """0 before the backend has said it."""
        return self._identity[1]

    @property
    def serves(self) -> bool:
        """Whether it has all it needs to answer."""
        return self._has_table and self._leader.lead_index > 0 and self._led_term > 0

    @property
    def is_alone(self) -> bool:
        """Whether this member is the only voter, so far as is known."""
        return self._leader.alone

    @property
    def follows(self) -> bool:
        """Whether another member leads."""
        return self._other_leader != 0 and self._other_leader != self.member_id != 0

    @property
    def proposal_term(self) -> int:
        """The only term in which `proposals` may be appended; 0: any, as no other member can have led."""
        return 0 if self._leader.alone else self._led_term

    def awaits_revoke(self, lease_id: int) -> bool:
        """Whether a keep-alive waits for the end of this lease, or for its checkpoint: nothing else ends the wait."""
        return lease_id in self._waiting

    def summary(self) -> dict[str, Any]:
        return {
            "leases": len(self.clocks),
            "serves": self.serves,
            "held": len(self._held) + len(self._unknown),
            "waiting": len(self._waiting),
            "revoking": len(self._revokes),
            "forwarded": len(self.forwarding),
        }

    # ---- raft ----

    def on_leader(self, leader: Leader, now: float) -> None:
        """Clocks go on where this member leads still, start anew where it leads again, and stand elsewhere."""
        before, self._leader = self._leader, leader
        if leader.term != before.term:
            self._set_header()
        if not leader.lead_index:
            return
        self._other_leader = 0
        self._held.extend(self.forwarding.take_back())
        if self._led_term and ((leader.alone and before.alone) or leader.term == self._led_term):
            self._led_term = leader.term
            if leader.alone:  # there is nobody to be certain of any more, and nobody is asked
                self._held.extend(self.confirmation.take_back())
            self._serve_held(now)
        elif not (self._promoting and leader.term == before.term):
            self._led_term = 0
            self._drop_proposals()
            self._hold_waiting()
            self._promoting = True
            self.ask_table = leader.lead_index

    def on_no_leader(self, now: float) -> None:
        """Raft does not say that anybody leads, or is gone: this member may lead again in a moment, with a new raft."""
        self._leader = self._leader._replace(lead_index=0)
        self._other_leader = 0
        self._held.extend(self.confirmation.take_back())
        self.forwarding.go_to(0, now)

    def on_other_leader(self, term: int, leader: int, now: float) -> None:
        """Another member leads: clocks stand, and it is asked. leader: its id"""
        self._leader = Leader(term, 0, False)
        self._other_leader = leader
        self._set_header()
        self._led_term = 0
        self._promoting = False
        if self.clocks.running:
            self.clocks.demote()
        self._drop_proposals()
        self._hold_waiting()
        if self.follows:
            self.forwarding.go_to(leader, now)
            self._serve_held(now)

    def _drop_proposals(self) -> None:
        """They were for another term than this one."""
        self._revokes.clear()
        self._clears.clear()
        self._offers.clear()
        self._refused.clear()
        self.proposals = []

    def _hold_waiting(self) -> None:
        """Calls that wait here for anything are handled anew once this can answer."""
        self._held.extend(self.confirmation.take_back())
        for questions in self._waiting.values():
            self._held.extend(questions)
        self._waiting.clear()
        self._held.extend(question for _, question in self._unknown)
        self._unknown.clear()

    def offer_again(self) -> None:
        """A new raft: it drops what its log has. With other voters it begins a new term, and the clocks begin anew."""
        self.proposals = list(self._offers.items()) if self._leader.alone else []
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
        self.confirmation.applied_index = 0
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
        self.confirmation.applied_index = max(self.confirmation.applied_index, asked)
        for lease_id in self.clocks.replace(leases, now):
            self._end(lease_id)
        if self._promoting and asked >= self._leader.lead_index > 0:
            self._promoting = False
            self._led_term = self._leader.term
            self.clocks.promote(self._extend_s, now)
        if self.follows:
            self.forwarding.go_to(self._other_leader, now)
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

    def on_news(self, number: int, applied_index: int, now: float) -> None:
        """The backend has told all that it knew when it was asked: what is still unknown is not there."""
        self._end_round(self.confirmation.on_applied(applied_index), now)
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
        self.expired += lease_id in self._revokes
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

    def on_calls(
        self,
        slot: int,
        revision: int,
        calls: Sequence[tuple[int, int, int]],
        now: float,
        with_keys: Container[int] = (),
    ) -> None:
        """calls: (request id, method, lease id). revision: the latest that the listener has seen in an answer;
        answers from here show no earlier one. with_keys: request ids of those that want the lease's keys.

        Nearly all are keep-alives of living leases: they are answered here, all others by the rules of the module.
        """
        self._revision = max(self._revision, revision)
        if not (self._leader.alone and self.serves):
            for request_id, method, lease_id in calls:
                self._dispatch(Question(slot, request_id, method, lease_id, now, request_id in with_keys), now)
            return
        header = self._header.field(self._revision)
        by_id, revokes, checkpoints = self.clocks.by_id, self._revokes, self.clocks.checkpoints
        answer = self.answers.setdefault(slot, []).append
        others = 0
        for request_id, method, lease_id in calls:
            clock = by_id.get(lease_id) if method == KEEP_ALIVE else None
            if clock is None or clock.expiry_s <= now or lease_id in revokes or (clock.remaining_s and checkpoints):
                others += 1
                self._answer(Question(slot, request_id, method, lease_id, now), now)
            else:
                clock.expiry_s = now + clock.ttl_s
                if not clock.answer:
                    clock.answer = _fields(lease_id, clock.ttl_s)
                answer((request_id, header + clock.answer))
        self.renewed += len(calls) - others

    def on_peer_question(self, question: Question, now: float) -> None:
        """Another member asks this one, as it leads. Its answer comes as a Verdict."""
        self._dispatch(question, now)

    def _dispatch(self, question: Question, now: float) -> None:
        if question.method == LEASES and self._has_table:
            self._answer(question, now)
        elif self.serves:
            if self._leader.alone:
                self._answer(question, now)
            else:
                self.confirmation.waiting.append(question)
        elif question.method == LEASES or not self.follows:
            self._hold(question)
        elif question.slot == PEERS:
            self.verdicts.append(Verdict(question, None))
        else:
            self.forwarding.add(question)

    def _hold(self, question: Question) -> None:
        held = self._held
        while held and held[0].came_s < question.came_s - self._hold_s:
            held.popleft()
        held.append(question)

    def _serve_held(self, now: float) -> None:
        if not self.serves and not self.follows:
            return
        held, self._held = self._held, deque()
        for question in held:
            self._dispatch(question, now)

    # ---- certainty ----

    def on_index(self, request_ids: list[int], read_index: int, now: float) -> None:
        """Raft's answer to what `confirmation` asks."""
        self._end_round(self.confirmation.on_index(request_ids, read_index), now)

    def _end_round(self, ended: Round | None, now: float) -> None:
        if ended is None:
            return
        for question in ended.questions:
            self._answer(question, now)
        if ended.wants_sweep:
            self._propose_due(now)

    # ---- the leader's answers ----

    def on_leader_answer(self, number: int, status: int, body: bytes, now: float) -> None:
        """What another member says to a request of `forwarding`. status: of HTTP, 0: nothing has come"""
        questions, found = self.forwarding.on_answer(number, status, body, now)
        for question in questions:
            if question.method == KEEP_ALIVE:
                self._answer_ttl(question, found if isinstance(found, int) else 0)
            else:
                self._answer_as_found(question, found)

    def _answer_as_found(self, question: Question, found: Found) -> None:
        """NB: as in etcd the revision is the leader's, if it says one, all else of the header this member's."""
        answer = pb.LeaseTimeToLiveResponse(ID=question.lease_id, TTL=-1)
        if isinstance(found, pb.LeaseTimeToLiveResponse):
            answer.CopyFrom(found)
        answer.header.cluster_id, answer.header.member_id = self._identity
        answer.header.revision = answer.header.revision or self._revision
        answer.header.raft_term = self._leader.term
        self.final.setdefault(question.slot, []).append((question.request_id, answer.SerializeToString()))

    def _answer(self, question: Question, now: float) -> None:
        lease_id = question.lease_id
        if question.method == LEASES:
            ids = b"".join([lease_id.to_bytes(8, "big", signed=True) for lease_id in self.clocks.by_expiry()])
            self._reply(question, ids)
            return
        clock = self.clocks.by_id.get(lease_id)
        if question.method == TIME_TO_LIVE:
            self._answer_left(question, NOT_KNOWN if clock is None else int(clock.left_s(now)))
        elif clock is None:
            if self._leader.alone:
                self._ask_news(question)
            else:
                self._answer_ttl(question, 0)  # all that could be known is
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
            self.renewed += 1
            self._answer_ttl(question, clock.ttl_s)

    def _clear(self, lease_id: int) -> None:
        if lease_id not in self._clears:
            cleared = pb.LeaseCheckpoint(ID=lease_id, remaining_TTL=0)
            request = pb.InternalRaftRequest(lease_checkpoint=pb.LeaseCheckpointRequest(checkpoints=[cleared]))
            self._clears[lease_id] = self._offer(request)

    def _answer_ttl(self, question: Question, ttl_s: int) -> None:
        """LeaseKeepAliveResponse; without a TTL for a lease that is gone."""
        if question.slot == PEERS:
            self.verdicts.append(Verdict(question, ttl_s))
            return
        self._reply(question, self._header.field(self._revision) + _fields(question.lease_id, ttl_s))

    def _answer_left(self, question: Question, left_s: int) -> None:
        if question.slot == PEERS:
            self.verdicts.append(Verdict(question, left_s))
        else:
            self._reply(question, CLOCK.pack(question.lease_id, left_s))

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
        """Propose what is due, or make certain first that this member leads."""
        if not self.serves or now < self._next_sweep_s:
            return
        self._next_sweep_s = now + SWEEP_S
        if self._leader.alone:
            self._propose_due(now)
        else:
            self.confirmation.wants_sweep = True

    def _propose_due(self, now: float) -> None:
        """No more than the rate allows."""
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
            request = pb.InternalRaftRequest(header=_AS_ROOT, lease_revoke=pb.LeaseRevokeRequest(ID=lease_id))
            self._revokes[lease_id] = self._offer(request)
        else:
            self.proposals.append((self._revokes[lease_id], data))


def _fields(lease_id: int, ttl_s: int) -> bytes:
    """Of a LeaseKeepAliveResponse, behind its header."""
    return KEEP_ALIVE_ID + encode_varint(lease_id) + int_field(KEEP_ALIVE_TTL, ttl_s)
