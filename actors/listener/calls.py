"""The calls of one listener: from their request to their answer, over restarts of the actors in between.

write          -> Write     -> wal     ... backend -> Replies    while raft delegates the end of the log to the wal
               -> Propose   -> raft    ... backend -> Replies    otherwise
linearizable   -> Read      -> backend -> Replies            while raft grants the fast path
               -> ReadIndex -> raft -> ReadStates -> Read    otherwise
serializable   -> Read      -> backend -> Replies
long           -> Read      -> backend -> LongReads -> ReadLong -> ReplyPart, ...
membership     -> Reconfigure -> raft  ... backend -> Replies
keep-alive     -> LeaseCalls -> lessor -> LeaseAnswers
lease's time   -> LeaseCalls -> lessor -> LeaseAnswers -> Read     the backend adds what it knows: header, keys

Which way a request goes, and whether it may, is decided beside this file (actors/listener/call.py has the list).
"""

import time
from collections import Counter
from collections.abc import Callable, Container
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from actors.listener.admission import Admission, WaitingCall
from actors.listener.auth_gate import AuthGate
from actors.listener.auth_news import AuthNews
from actors.listener.call import (
    ASK_LESSOR,
    CHANGE,
    READ,
    WAIT_INDEX,
    WRITE,
    Begin,
    Call,
    Caller,
    Client,
    FollowUp,
    Routes,
)
from actors.listener.identities import NOBODY, Identities
from actors.listener.keep_alives import KeepAlives
from actors.listener.key_values import KeyValues
from actors.listener.leader_transfers import LeaderTransfers
from actors.listener.learner_gate import behind_learner_gate
from actors.listener.leases import Leases, lessor_query, wants_keys, with_keys_wanted
from actors.listener.logins import Logins
from actors.listener.long_reads import LongReads
from actors.listener.maintenance import Maintenance
from actors.listener.members import ClusterMembers
from actors.listener.password_worker import PasswordWorker
from actors.listener.peer_requests import PeerRequests
from actors.listener.poison_reads import POISON_READ, PoisonReads
from actors.listener.quota_gate import QuotaGate
from actors.listener.slow_calls import SlowCalls
from actors.listener.timeouts import Timeouts
from actors.listener.tokens import load as load_tokens
from actors.listener.users import Users
from actors.runtime.link import Links, Peer
from etcdz import limits
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import (
    ALARM,
    COMPACT,
    COMPACT_PHYSICAL,
    HEALTH,
    HEALTH_LIST,
    LEASE_TIME_TO_LIVE,
    MEMBER_LIST,
    STATUS,
    TOKEN_OWNER,
    V2_GET,
    V2_STATISTICS,
    V2_WRITE,
    WAIT_COMPACTION,
)
from etcdz.api.raft_request import TAGS, encode_request, request_of
from etcdz.config import MemberConfig
from etcdz.ipc import request_ids
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    FIRST_OFFER,
    UNASKED,
    CancelReads,
    Leadership,
    LeaseAnswers,
    LeaseCalls,
    Members,
    MoveLeader,
    PeerAnswer,
    PeerCall,
    Propose,
    QuotaHeadroom,
    Read,
    ReadIndex,
    ReadLong,
    ReadStates,
    Reconfigure,
    Refused,
    Replies,
    ReplyPart,
    Write,
)
from etcdz.ipc.messages import LongReads as LongReadsMessage
from etcdz.proto import deep

NO_LEADER = b"RAFT NO LEADER"
"""What /health says then."""
_SEVERAL: Final = AuthInfo("", -1)
"""Not one asks for a turn's reads, or it is not known whether one does."""
_RESERVED = frozenset((ALARM, STATUS, HEALTH, HEALTH_LIST, MEMBER_LIST))
"""Methods that are admitted beyond the bound on calls, so that an overloaded member can still be operated."""


class Host(Protocol):
    """What calls need of their actor."""

    boot: Boot
    links: Links
    log: Any
    auth_news: AuthNews

    def call_later(self, seconds: float, do: Callable[[], None]) -> None: ...
    def call_soon_from_thread(self, do: Callable[[], None]) -> None: ...

    @property
    def clients(self) -> int: ...

    def flush_soon(self) -> None: ...


class Calls:
    """All calls in flight of one listener. len(): how many, those that may take as long as they take not counted.

    keep_alives    messages of LeaseKeepAlive streams, which share the lessor's messages with calls
    members        changes of the membership, and what they are judged by
    long_reads     reads that wait until their answers have room; no request timeout ends them, as in etcd
    """

    def __init__(self, host: Host, config: MemberConfig) -> None:
        self._host = host
        self._slot = host.boot.slot
        self._ids_of = config.advertised_member_id
        self._ids = request_ids.RequestIds(self._ids_of, self._slot, time.time_ns() // 1000)
        self._calls: dict[int, Call] = {}
        """By request id. Invariant: in the order in which they began."""
        self._failed: Counter[int] = Counter()
        """Calls that nobody has answered in time, by what they waited for; changes of the membership as writes."""
        self._long_running: dict[int, Call] = {}
        """Reads that may take as long as they take; the same by request id."""
        self._max_request_bytes = config.max_request_bytes
        self._timeout_s = config.request_timeout_s
        self._poison_reads = PoisonReads()
        self._slow = SlowCalls(host.log, config.warning_unary_request_s, config.log_level)
        self._admission = Admission(host)
        self.share(max(1, config.listeners))
        self._proposals: list[tuple[int, bytes]] = []
        self._reads: list[tuple[int, int, bytes, int]] = []
        self._read_index: list[int] = []
        self._lease_calls: list[tuple[int, int, int]] = []
        self._lease_keys: list[int] = []
        """Request ids of those that want the lease's keys."""
        self._changes: list[tuple[int, bytes]] = []
        self.long_reads = LongReads()
        self._revision = 1
        """The latest that an answer of the backend has shown."""
        self._answered: set[Caller] = set()
        """Callers that were answered in this turn, and are to be flushed."""
        self._asker: AuthInfo | None = None
        """Who asks for all that is in `_reads`, or _SEVERAL."""
        self._leadership = Leadership(0, 0, 0, 0, None, 0, 0)
        self._delegation = 0
        """While not 0, writes go to the wal."""
        self._peer_actor = (0, 0.0)
        """(its incarnation, 0 for none; when it was first seen, on the monotonic clock)."""
        self._fence = 0
        """While not 0, this turn's proposals go to raft and answer this fence of its."""
        news, log = host.auth_news, host.log
        tokens = load_tokens(config.auth_token, log)
        self.identities = Identities(news, tokens, log)
        self.gate = AuthGate(news, self.identities, self._ask_owner, self._take_back)
        self.keep_alives = KeepAlives(self._timeout_s, host.flush_soon, self.gate, self._ask_about_users)
        routes = Routes(
            self._propose,
            self._read,
            self._read_long_running,
            self._wait_long_running,
            self._ask_lessor,
            self._reconfigure,
            lambda: self._leadership,
            self.gate.permit,
            self._ask_about_users,
        )
        key_values = KeyValues(routes, config.max_txn_ops)
        self._transfers = LeaderTransfers(lambda to: host.links.send("raft", MoveLeader(to)), self._timeout_s)
        self._maintenance = Maintenance(routes, self._transfers)
        leases = Leases(routes, lambda: self._ids.next())
        self.passwords = PasswordWorker(host)
        self._logins = Logins(routes, self.passwords, news, tokens, config.bcrypt_cost, log)
        self._timeouts = Timeouts(config)
        self.members = ClusterMembers(routes, config, self._call_leader)
        self._served: dict[int, Begin] = {
            **key_values.begin,
            **leases.begin,
            **self._maintenance.begin,
            **self.members.begin,
            **Users(routes, self.passwords, config.bcrypt_cost).begin,
            **self._logins.begin,
        }
        self.peer_requests = PeerRequests(routes, self._maintenance.begin, self.members, host.links)
        self._begin = self._served
        """How calls begin: as they are served, or behind the learner's gate."""
        self._gate = QuotaGate(routes, self._served)
        self._follow_ups: dict[int, FollowUp] = {
            **key_values.follow_ups,
            **self._maintenance.follow_ups,
            **self.members.follow_ups,
            **self._gate.follow_ups,
        }

    def __len__(self) -> int:
        return len(self._calls)

    def share(self, listeners: int) -> None:
        """How many calls this listener admits. listeners: all that run, this one included, and those that are about to
        end"""
        self._admission.divide(listeners)

    # ---- begin ----

    def begin(self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None) -> None:
        """Checks a request and sends it on its way, or answers it at once if it is refused.

        stream_id   caller's own number, which its answer carries
        method      of etcdz.api.methods.PATHS, or RANGE_CHUNK
        auth        who asks
        """
        if len(self._calls) >= self._admission.places and (
            method not in _RESERVED or len(self._calls) >= self._admission.places + limits.CALLS_RESERVED
        ):
            waiting = WaitingCall(caller, stream_id, method, body, auth, time.monotonic())
            if not self._admission.wait(waiting):
                _refuse(caller, stream_id, errors.REQUEST_TOO_MANY_REQUESTS)
            return
        try:
            error = self._begin[method](caller, stream_id, body, auth)
        except DecodeError as problem:
            # Groups deeper than the library passes over. etcd's decoder passes over all of them.
            plain = deep.without_groups(body)
            if plain is not None:
                self.begin(caller, stream_id, method, plain, auth)
                return
            caller.reply(stream_id, Code.INTERNAL, f"grpc: error unmarshalling request: {problem}".encode())
            return
        if error is not None:
            _refuse(caller, stream_id, error)

    def begin_health(self, caller: Caller, stream_id: int, linearizable: bool) -> None:
        """A health check over HTTP/1.1: answered with the names of the raised alarms, or an error's text."""
        if linearizable and not self._leadership.leader:
            caller.reply(stream_id, errors.NO_LEADER.code, NO_LEADER)
        else:
            self._read(caller, stream_id, HEALTH, b"", linearizable, None)

    @property
    def leader(self) -> int:
        """Id of the member that leads; 0: none."""
        return self._leadership.leader

    def propose_v2(self, caller: Caller, make: Callable[[int], bytes]) -> EtcdError | None:
        """make: request id -> data of the entry. return why it is not proposed"""
        if len(self._calls) >= self._admission.places:
            return errors.REQUEST_TOO_MANY_REQUESTS
        request_id = self._ids.next()
        data = make(request_id)
        if len(data) > self._max_request_bytes:
            return errors.REQUEST_TOO_LARGE
        self._calls[request_id] = Call(caller, 0, V2_WRITE, WRITE, data, time.monotonic(), None)
        self._proposals.append((request_id, data))
        self._host.flush_soon()
        return None

    def read_v2(self, caller: Caller, method: int, body: bytes) -> EtcdError | None:
        """What this member has applied. method: V2_GET or V2_STATISTICS. return why it is not read"""
        if len(self._calls) >= self._admission.places:
            return errors.REQUEST_TOO_MANY_REQUESTS
        self._read(caller, 0, method, body, False, None)
        return None

    def begin_ready(self, caller: Caller, index: int) -> None:
        """Answered once the backend has applied index."""
        request_id = self._ids.next()
        self._note_asker(None)
        self._reads.append((request_id, HEALTH, b"", index))
        self._calls[request_id] = Call(caller, 0, HEALTH, READ, b"", time.monotonic(), None, index)

    # ---- given up ----

    def cancel(self, given_up: dict[Caller, set[int]]) -> None:
        """Clients have given up these calls, by stream: nothing answers them. given_up: emptied"""
        self._give_up(
            [(i, c) for i, c in self._calls.items() if c.caller in given_up and c.stream_id in given_up[c.caller]]
        )
        self._admission.cancel(given_up)
        if self.long_reads:
            self.long_reads.cancel(given_up)
        if self._transfers:
            for caller, stream_ids in given_up.items():
                self._transfers.lose(caller, stream_ids)
        self.gate.cancel(given_up)
        self._logins.cancel(given_up)
        given_up.clear()

    def lose(self, caller: Caller) -> None:
        """The same for all calls of a client that is gone."""
        self._give_up([(i, c) for i, c in self._calls.items() if c.caller is caller])
        all_of_it = {caller: _ALL}
        self._admission.cancel(all_of_it)
        self.long_reads.cancel(all_of_it)
        self.gate.cancel(all_of_it)
        self._logins.cancel(all_of_it)
        self._transfers.lose(caller)

    def _give_up(self, calls: list[tuple[int, Call]]) -> None:
        """What has not left stays here; what has is abandoned."""
        if not calls:
            return
        now = time.monotonic()
        unsent = {item[0] for item in self._proposals} | {item[0] for item in self._reads}
        for request_id, call in calls:
            del self._calls[request_id]
            if request_id not in unsent and call.state in (WRITE, READ):
                self._admission.abandon(request_id, call.caller, now)
        self._proposals = [item for item in self._proposals if item[0] in self._calls]
        self._reads = [item for item in self._reads if item[0] in self._calls or item[0] in self._long_running]

    # ---- the ways of requests ----
    # NB: while auth is on, who asks is looked at here: behind all other checks of a request, as in etcd.

    def _propose(
        self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None
    ) -> EtcdError | None:
        if auth is not None and self.gate.holds(
            caller, stream_id, method, body, auth, lambda who: self._propose(caller, stream_id, method, body, who)
        ):
            return None
        request_id = self._ids.next()
        data = encode_request(request_id, TAGS[method], body, auth if auth is not NOBODY else None)
        if len(data) > self._max_request_bytes:
            return errors.REQUEST_TOO_LARGE
        self._calls[request_id] = Call(caller, stream_id, method, WRITE, data, time.monotonic(), auth)
        self._proposals.append((request_id, data))
        self._host.flush_soon()
        return None

    def _read(
        self, caller: Caller, stream_id: int, method: int, body: bytes, linearizable: bool, auth: AuthInfo | None
    ) -> None:
        if auth is not None and self.gate.holds(
            caller,
            stream_id,
            method,
            body,
            auth,
            lambda who: self._read(caller, stream_id, method, body, linearizable, who),
        ):
            return
        request_id = self._ids.next()
        index = self._leadership.read_index if linearizable else 0
        state = READ
        if index is None:
            state = WAIT_INDEX
            self._read_index.append(request_id)
        else:
            if auth is not self._asker:
                self._note_asker(auth)
            self._reads.append((request_id, method, body, index))
        self._calls[request_id] = Call(caller, stream_id, method, state, body, time.monotonic(), auth, index or 0)
        self._host.flush_soon()

    def _read_long_running(
        self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None
    ) -> EtcdError | None:
        if len(self._long_running) >= limits.LONG_RUNNING_CALLS_MAX:
            return errors.REQUEST_TOO_MANY_REQUESTS
        if auth is not None and self.gate.holds(
            caller,
            stream_id,
            method,
            body,
            auth,
            lambda who: self._read_long_running(caller, stream_id, method, body, who),
        ):
            return None
        self._wait_long_running(self._ids.next(), Call(caller, stream_id, method, READ, body, time.monotonic(), auth))
        return None

    def _wait_long_running(self, request_id: int, call: Call) -> None:
        self._long_running[request_id] = call
        self._note_asker(call.auth)
        self._reads.append((request_id, call.method, call.payload, 0))
        self._host.flush_soon()

    def _ask_lessor(self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None) -> None:
        if auth is not None and self.gate.holds(
            caller, stream_id, method, body, auth, lambda who: self._ask_lessor(caller, stream_id, method, body, who)
        ):
            return
        request_id = self._ids.next()
        self._query_lessor(request_id, method, body)
        self._calls[request_id] = Call(caller, stream_id, method, ASK_LESSOR, body, time.monotonic(), auth)
        self._host.flush_soon()

    def _query_lessor(self, request_id: int, method: int, body: bytes) -> None:
        self._lease_calls.append(lessor_query(request_id, method, body))
        if wants_keys(method, body):
            self._lease_keys.append(request_id)

    def _reconfigure(
        self, caller: Caller, stream_id: int, method: int, make: Callable[[int], bytes], auth: AuthInfo | None
    ) -> None:
        request_id = self._ids.next()
        change = make(request_id)
        self._calls[request_id] = Call(caller, stream_id, method, CHANGE, change, time.monotonic(), auth)
        self._changes.append((request_id, change))
        self._host.flush_soon()

    def _ask_about_users(self, caller: Caller, method: int, body: bytes, index: int, auth: AuthInfo | None) -> int:
        request_id = self._ids.next()
        self._note_asker(auth)
        self._reads.append((request_id, method, body, index))
        self._calls[request_id] = Call(caller, 0, method, READ, body, time.monotonic(), auth, index)
        self._host.flush_soon()
        return request_id

    def _ask_owner(self, caller: Caller, token: bytes, index: int) -> int:
        return self._ask_about_users(caller, TOKEN_OWNER, token, index, None)

    def _take_back(self, request_id: int) -> None:
        """NB: the index that a question waits for in the backend may be one that never comes."""
        self._calls.pop(request_id, None)
        self.long_reads.cancelled.append(request_id)
        self._host.flush_soon()

    def _call_leader(self, number: int, leader: int, path: str, timeout_s: float) -> None:
        boot, links = self._host.boot, self._host.links
        links.send("peer", PeerCall(boot.name, number, leader, "POST", path, b"", timeout_s))
        self._host.flush_soon()

    # ---- answers ----

    def on_members(self, message: Members) -> None:
        """Who the members are; request ids are made of the id that this member has, whatever its flags say now."""
        self.members.on_members(message)
        self._begin = behind_learner_gate(self._served) if self.members.known.is_learner else self._served
        if message.member_id != self._ids_of:
            self._ids_of = message.member_id
            self._ids = request_ids.RequestIds(message.member_id, self._slot, time.time_ns() // 1000)

    def on_quota_headroom(self, message: QuotaHeadroom) -> None:
        """Calls that grow the store begin behind the quota gate from now on, or without it."""
        self._maintenance.on_quota_headroom(message)
        self._served.update(self._gate.on_quota_headroom(message))

    def on_replies(self, message: Replies) -> None:
        """Answers the calls that these replies of the backend are for, or takes them further."""
        pop = self._calls.pop
        answered = self._answered
        self._revision = max(self._revision, message.revision)
        follow_ups = self._follow_ups
        # NB: a call that waits for its compaction has had its first reply, which may come again out of the ring.
        long_running = None if message.batch else self._long_running
        slow_before = time.monotonic() - self._slow.over_s
        for request_id, code, body in message.items:
            call = pop(request_id, None) or (long_running.pop(request_id, None) if long_running else None)
            if call is None and (call := self.long_reads.end(request_id)) is None:
                self._admission.release(request_id)  # answered before, out of the ring, or given up
                continue
            if call.method in follow_ups:
                answer = follow_ups[call.method](request_id, call, code, body)
                if answer is None:
                    continue
                code, body = answer
            if call.began_s < slow_before:
                self._report_slow(call, code, body)
            call.caller.reply(call.stream_id, code, body)
            answered.add(call.caller)
        if self._admission.waits:  # at once, before clients who do not wait take these places
            self._begin_waiting()

    def on_long_reads(self, message: LongReadsMessage) -> None:
        """The backend has not answered these: they wait until there is room for their answers."""
        for request_id in message.ids:
            call = self._calls.pop(request_id, None)
            if call is None:
                self._admission.release(request_id)
            elif not self.long_reads.add(request_id, call):
                _refuse(call.caller, call.stream_id, errors.REQUEST_TOO_MANY_REQUESTS)
                self._answered.add(call.caller)

    def on_reply_part(self, part: ReplyPart) -> None:
        """With the last part the answer is complete."""
        request_id = part.request_id
        if request_id not in self._calls and request_id not in self.long_reads:
            # Given up, or late. NB: no more parts may come, if the backend has heard of it in between.
            self.long_reads.drop_parts(request_id)
            if part.is_last:
                self._admission.release(request_id)
            return
        pieces = self.long_reads.on_part(part)
        if pieces is None:
            return
        call = self.long_reads.end(request_id) or self._calls.pop(request_id)
        now = time.monotonic()
        if call.began_s < now - self._slow.over_s:
            self._report_slow(call, 0, b"")
        if not self.long_reads.takes_answer(call):
            _refuse(call.caller, call.stream_id, errors.TIMEOUT)
        elif isinstance(call.caller, Client):
            call.caller.reply_parts(call.stream_id, pieces)
            self.long_reads.has_given(call.caller, now)
        else:
            call.caller.reply(call.stream_id, 0, b"".join(pieces))
        self._answered.add(call.caller)

    def _begin_waiting(self) -> None:
        for call in self._admission.admit(len(self._calls)):
            self.begin(call.caller, call.stream_id, call.method, call.body, call.auth)
            self._answered.add(call.caller)  # it may have been refused at once

    def _report_slow(self, call: Call, code: int, body: bytes) -> None:
        """NB: a report must not fail what it reports on: the answer is still to be given."""
        if call.method in (V2_GET, V2_STATISTICS, V2_WRITE):
            return  # etcd reports on its gRPC methods alone
        try:
            self._describe_slow(call, code, body)
        except Exception as error:
            self._host.log.error("a slow request could not be described", error=repr(error))

    def _describe_slow(self, call: Call, code: int, body: bytes) -> None:
        method = COMPACT if call.method in (COMPACT_PHYSICAL, WAIT_COMPACTION) else call.method
        request = request_of(method, call.payload) if call.state == WRITE else call.payload
        self._slow.report(call.caller, method, request, code, body, call.began_s)

    def on_lease_answers(self, message: LeaseAnswers) -> None:
        """Keep-alives are answered; for all else the backend has the rest of the answer."""
        calls = self._calls
        for request_id, body in message.items:
            if request_id < 0:
                self.keep_alives.on_answer(request_id, body, self._answered)
                continue
            call = calls.get(request_id)
            if call is None or call.state != ASK_LESSOR:
                continue
            if call.method == LEASE_TIME_TO_LIVE:
                body = with_keys_wanted(call.payload, body)
            calls[request_id] = call._replace(state=READ, payload=body)
            self._note_asker(call.auth)
            self._reads.append((request_id, call.method, body, 0))
        for request_id, body in message.final:
            call = calls.get(request_id)
            if call is not None and call.auth is not None and self._is_outdated(call):
                self._end(request_id, errors.AUTH_OLD_REVISION)
            else:
                self._answer(request_id, 0, body)

    def _is_outdated(self, call: Call) -> bool:
        """Whether users or roles have changed since it was seen that a client may hear of a lease's keys."""
        access = self._host.auth_news.access
        is_checked = access.enabled and wants_keys(call.method, call.payload)
        return is_checked and call.auth is not None and call.auth.revision < access.revision

    def _answer(self, request_id: int, code: int, body: bytes) -> None:
        """The answer to a call, if it still waits."""
        call = self._calls.pop(request_id, None)
        if call is not None:
            call.caller.reply(call.stream_id, code, body)
            self._answered.add(call.caller)

    def on_peer_answer(self, message: PeerAnswer) -> None:
        """The leader has decided what a client of this member has asked, or could not."""
        answered = self.members.on_peer_answer(message)
        if answered is not None:
            self._answered.add(answered)

    def on_refused(self, message: Refused) -> None:
        """Raft or the wal does not take these proposals: their calls are answered with the error that it names."""
        for request_id, name in message.items:
            self._end(request_id, errors.BY_NAME[name])

    def _end(self, request_id: int, error: EtcdError) -> None:
        call = self._calls.pop(request_id, None) or self._long_running.pop(request_id, None)
        call = call or self.long_reads.end(request_id)
        if call is not None:
            if call.method == TOKEN_OWNER:
                self.long_reads.cancelled.append(request_id)
            elif call.began_s < time.monotonic() - self._slow.over_s:
                self._report_slow(call, error.code, b"")
            call.caller.reply(call.stream_id, error.code, error.text.encode())
            self._answered.add(call.caller)
        else:
            self._admission.release(request_id)

    def on_read_states(self, message: ReadStates) -> None:
        """Raft has confirmed a read index: the reads that waited for it go to the backend."""
        for request_id in message.ids:
            call = self._calls.get(request_id)
            if call is not None and call.state == WAIT_INDEX:
                self._calls[request_id] = call._replace(state=READ, read_index=message.read_index)
                if call.auth is not self._asker:
                    self._note_asker(call.auth)
                self._reads.append((request_id, call.method, call.payload, message.read_index))

    def on_leadership(self, message: Leadership) -> None:
        """What raft grants from now on; a new fence asks for all writes that are not answered."""
        before, self._leadership = self._leadership, message
        self._timeouts.on_leadership(message, self.members.known.member_id, time.monotonic())
        self._delegation = message.delegation
        self._transfers.on_leader(message.leader, self._answered)
        if message.fence and (message.incarnation, message.fence) != (before.incarnation, before.fence):
            self._offer_again(message.fence)

    def expire(self, now: float) -> None:
        """Ends calls that have waited for longer than etcd's request timeout. now: on the monotonic clock"""
        oldest = now - self._timeout_s
        late = []
        for request_id, call in self._calls.items():
            if call.began_s > oldest:
                break
            late.append(request_id)
        for request_id in late:
            call = self._calls[request_id]
            self._failed[WRITE if call.state == CHANGE else call.state] += 1
            self._end(request_id, self._why_late(call, now))
        for waiting in self._admission.expire(oldest):
            _refuse(waiting.caller, waiting.stream_id, errors.REQUEST_TOO_MANY_REQUESTS)
            self._answered.add(waiting.caller)
        if self.long_reads:
            self._expire_long_reads(now)
        self.keep_alives.expire(now, self._answered, self._lessor_error)
        self.members.expire(now, self._answered)
        self._transfers.expire(now, self._answered)

    def _why_late(self, call: Call, now: float) -> EtcdError:
        if call.state in (WRITE, CHANGE):
            return self._timeouts.error(call.began_s, now, self.members.known, self.members.active)
        return self._lessor_error if call.state == ASK_LESSOR else errors.TIMEOUT

    @property
    def _lessor_error(self) -> EtcdError:
        return errors.TIMEOUT if self._leadership.leader else errors.NO_LEADER

    def _expire_long_reads(self, now: float) -> None:
        for request_id in self.long_reads.expire(now - limits.LONG_READ_WAIT_S):
            self._end(request_id, errors.TIMEOUT)
        for client in self.long_reads.find_stalled(now):
            client.give_up_unsent()
            self._answered.add(client)

    def metrics(self) -> dict[str, int]:
        """Figures for /metrics, by the names in etcdz.telemetry.families."""
        return {
            "proposals_pending": sum([call.state in (WRITE, CHANGE) for call in self._calls.values()]),
            "proposals_failed": self._failed[WRITE],
            "read_indexes_failed": self._failed[WAIT_INDEX],
        }

    # ---- resync ----

    def on_peer_up(self, peer: Peer) -> None:
        """Offers what is unanswered to the new incarnation: raft drops what its log has, reads may be repeated."""
        if peer.kind in ("raft", "backend", "wal"):
            self._admission.release_all()
        if peer.kind == "raft":
            self._leadership = self._leadership._replace(read_index=None)
            self._offer_to_new_raft()
            self._delegation = self._fence = 0
            self._read_index = [i for i, c in self._calls.items() if c.state == WAIT_INDEX]
        elif peer.kind == "backend":
            self._end_poison_reads()
            self._asker = _SEVERAL
            self._reads = [(i, c.method, c.payload, c.read_index) for i, c in self._calls.items() if c.state == READ]
            self._reads += [(i, c.method, c.payload, 0) for i, c in self._long_running.items()]
            self.long_reads.ask_again()
        elif peer.kind == "peer":
            self._peer_actor = (peer.incarnation, time.monotonic())
        elif peer.kind == "wal" and self._delegation:
            self._delegation = 0
            self._offer_again(UNASKED)
        elif peer.kind == "lessor":
            self._lease_calls, self._lease_keys = [], []
            for request_id, call in self._calls.items():
                if call.state == ASK_LESSOR:
                    self._query_lessor(request_id, call.method, call.payload)
            self.keep_alives.ask_again()

    def on_peer_down(self, peer: Peer) -> None:
        """NB: before any `on_peer_up` of the same roster."""
        if peer.kind == "peer":
            self._peer_actor = (0, 0.0)

    def _end_poison_reads(self) -> None:
        asked = [i for i, c in self._calls.items() if c.state == READ]
        for request_id in self._poison_reads.on_backend_end([*asked, *self._long_running, *self.long_reads.asked]):
            self._end(request_id, POISON_READ)

    def _unanswered_writes(self) -> list[tuple[int, bytes]]:
        return [(i, c.payload) for i, c in self._calls.items() if c.state == WRITE]

    def _offer_to_new_raft(self) -> None:
        """NB: at once. It may have delegated to the wal before this turn ends, and the wal does not know what is in the
        log already. What began before the peer actor was there may have left by an earlier one."""
        unsent = set() if self._fence else {item[0] for item in self._proposals}
        self._proposals = []
        for since_peer, items in self._by_witness(WRITE, unsent).items():
            self._host.links.send("raft", Propose(self._slot, items, since_peer=since_peer))
        unsent = {item[0] for item in self._changes}
        self._changes = []
        for since_peer, items in self._by_witness(CHANGE, unsent).items():
            self._host.links.send("raft", Reconfigure(self._slot, items, since_peer))

    def _by_witness(self, state: int, unsent: set[int]) -> dict[int, list[tuple[int, bytes]]]:
        """What is unanswered, by Propose.since_peer: the peer actor that has lived since it was offered first."""
        incarnation, since = self._peer_actor
        offers: dict[int, list[tuple[int, bytes]]] = {}
        for request_id, call in self._calls.items():
            if call.state == state:
                since_peer = incarnation if call.began_s > since else 0
                if request_id in unsent:
                    since_peer = FIRST_OFFER
                offers.setdefault(since_peer, []).append((request_id, call.payload))
        return offers

    def _offer_again(self, fence: int) -> None:
        """Some of what went to the wal may not be in the log: raft knows by now, or waits until it does."""
        self._proposals = self._unanswered_writes()
        self._fence = fence

    def _note_asker(self, auth: AuthInfo | None) -> None:
        """Who asks for the read that is queued next."""
        if auth != self._asker:
            self._asker = _SEVERAL if self._reads else auth

    def _read_with_askers(self) -> Read:
        """This turn's reads, with who asks for them."""
        asker, taken_by = self._asker, self._host.auth_news.takes_asker
        if asker is not _SEVERAL and taken_by and taken_by == self._host.links.incarnation_of("backend"):
            return Read(self._slot, self._reads, (), asker)
        waiting = [(i, self._calls.get(i) or self._long_running.get(i)) for i, _, _, _ in self._reads]
        askers = [(i, *call.auth) for i, call in waiting if call is not None and call.auth is not None]
        return Read(self._slot, self._reads, askers or ())

    # ---- the turn ----

    def end_turn(self) -> None:
        """Sends one message per destination, and flushes each caller that was answered once."""
        links = self._host.links
        if self._admission.waits:
            self._begin_waiting()
        if self._proposals or self._fence:
            if self._delegation and not self._fence:
                links.send("wal", Write(self._slot, self._delegation, self._proposals))
            else:
                links.send("raft", Propose(self._slot, self._proposals, self._fence))
                self._fence = 0
            self._proposals = []
        if self._reads:
            links.send("backend", Read(self._slot, self._reads) if self._asker is None else self._read_with_askers())
            self._reads = []
        if self.long_reads.waiting or self.long_reads.cancelled:
            self._ask_long_reads()
        if self._read_index:
            links.send("raft", ReadIndex(self._slot, self._read_index))
            self._read_index = []
        if self._changes:
            links.send("raft", Reconfigure(self._slot, self._changes))
            self._changes = []
        if self._lease_calls or self.keep_alives.queries:
            queries = self.keep_alives.queries + self._lease_calls
            links.send("lessor", LeaseCalls(self._slot, self._revision, queries, self._lease_keys))
            self._lease_calls, self._lease_keys = [], []
            self.keep_alives.queries = []
        if self._answered:
            for caller in self._answered:
                caller.flush()
            self._answered.clear()

    def _ask_long_reads(self) -> None:
        links = self._host.links
        if self.long_reads.cancelled:
            links.send("backend", CancelReads(self._slot, self.long_reads.cancelled))
            self.long_reads.cancelled = []
        due = list(self.long_reads.take_due())
        if due:
            items = [(request_id, call.method, call.payload, call.read_index) for request_id, call in due]
            askers = [(request_id, *call.auth) for request_id, call in due if call.auth is not None]
            links.send("backend", ReadLong(self._slot, items, askers))


class _All(Container[int]):
    """Every stream."""

    def __contains__(self, stream_id: object) -> bool:
        return True


_ALL = _All()


def _refuse(caller: Caller, stream_id: int, error: EtcdError) -> None:
    caller.reply(stream_id, error.code, error.text.encode())
