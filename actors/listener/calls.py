"""The calls of one listener: from a checked request to its answer, over restarts of the actors in between.

write          -> Write     -> wal     ... backend -> Replies    while raft delegates the wal the end of the log
               -> Propose   -> raft    ... backend -> Replies    otherwise
linearizable   -> Read      -> backend -> Replies            while raft grants the fast path
               -> ReadIndex -> raft -> ReadStates -> Read    otherwise
serializable   -> Read      -> backend -> Replies
keep-alive     -> LeaseCalls -> lessor -> LeaseAnswers
lease's time   -> LeaseCalls -> lessor -> LeaseAnswers -> Read     the backend adds what it knows: header, keys
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import DecodeError

from actors.listener.keep_alives import KeepAlives
from actors.listener.maintenance import Begin, Maintenance, QuotaGate, Ways
from actors.listener.poison_reads import GIVEN_UP, PoisonReads
from actors.listener.slow_requests import SlowCalls, request_of
from actors.runtime.link import Links, Peer
from etcdz import limits
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import (
    ALARM,
    COMPACT,
    DELETE_RANGE,
    DOWNGRADE,
    HASH,
    HASH_KV,
    HEALTH,
    LEASE_GRANT,
    LEASE_LEASES,
    LEASE_REVOKE,
    LEASE_TIME_TO_LIVE,
    MEMBER_LIST,
    PUT,
    RAFT_FIELD,
    RAISE_NOSPACE,
    RANGE,
    RANGE_CHUNK,
    STATUS,
    TXN,
    WAIT_COMPACTION,
)
from etcdz.cluster import identity
from etcdz.config import MemberConfig
from etcdz.ipc import request_ids
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    UNASKED,
    Leadership,
    LeaseAnswers,
    LeaseCalls,
    Propose,
    QuotaHeadroom,
    Read,
    ReadIndex,
    ReadStates,
    Refused,
    Replies,
    Write,
)
from etcdz.lease import lessor
from etcdz.mvcc import transaction, validate
from etcdz.mvcc.put_entry import keys_of_puts
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import SMALL_VARINTS, bytes_field, encode_varint, int_field, message_field
from etcdz.proto.tags import RAFT_REQUEST_HEADER, REQUEST_AUTH_REVISION, REQUEST_ID, REQUEST_USERNAME

WRITE, READ, WAIT_INDEX, ASK_LESSOR = 0, 1, 2, 3

COMPACT_PHYSICAL = 5
_HEALTH_OF_ALL = (b"", b"\x0a\x00")  # HealthCheckRequest: service 1, empty
_SERVING = b"\x08\x01"  # HealthCheckResponse: status 1
_RESERVED = frozenset((ALARM, STATUS, HEALTH, MEMBER_LIST))
_LEASE_ID_MAX = (1 << 63) - 1
_NO_SPACE = errors.NO_SPACE.code, errors.NO_SPACE.text.encode()


class Caller(Protocol):
    """Where an answer goes."""

    def reply(self, stream_id: int, code: int, body: bytes) -> None: ...
    def flush(self) -> None: ...


class Host(Protocol):
    """What calls need of their actor."""

    boot: Boot
    links: Links
    log: Any

    def flush_soon(self) -> None: ...


class Call(NamedTuple):
    """One call that waits. what: as sent to raft (WRITE) or the backend (READ, WAIT_INDEX), else the request.
    auth: who asks"""

    caller: Caller
    stream_id: int
    method: int
    state: int
    what: bytes
    began_s: float
    auth: AuthInfo | None


_TAGS: dict[int, bytes] = {method: encode_varint(field << 3 | 2) for method, field in RAFT_FIELD.items()}
_TAGS[COMPACT_PHYSICAL] = _TAGS[COMPACT]
_TAGS[RAISE_NOSPACE] = _TAGS[ALARM]


def encode_request(request_id: int, tag: bytes, body: bytes, auth: AuthInfo | None = None) -> bytes:
    """InternalRaftRequest{<method>: body, header{ID, username, auth_revision}} without decoding body; fields in the
    order of their numbers. auth: who asks; None: the header holds the id alone"""
    number = encode_varint(request_id)
    size = len(body)
    length = SMALL_VARINTS[size] if size < 1 << 14 else encode_varint(size)
    if auth is None:
        return b"%b%b%b%b%b%b%b" % (
            tag, length, body, RAFT_REQUEST_HEADER, SMALL_VARINTS[len(number) + 1], REQUEST_ID, number
        )  # fmt: skip
    username = bytes_field(REQUEST_USERNAME, auth.username.encode())
    header = REQUEST_ID + number + username + int_field(REQUEST_AUTH_REVISION, auth.revision)
    return tag + length + body + message_field(RAFT_REQUEST_HEADER, header)


def _question(request_id: int, method: int, body: bytes) -> tuple[int, int, int]:
    """For the lessor."""
    if method == LEASE_LEASES:
        return request_id, lessor.LEASES, 0
    return request_id, lessor.TIME_TO_LIVE, pb.LeaseTimeToLiveRequest.FromString(body).ID


class Calls:
    """All calls in flight of one listener."""

    def __init__(self, host: Host, config: MemberConfig) -> None:
        self._host = host
        self._slot = host.boot.slot
        # NB: only the low bits matter, and only so that ids of members differ: an id of other flags would do as well.
        member_id = identity.member_id(config.initial_advertise_peer_urls, config.initial_cluster_token)
        self._ids = request_ids.RequestIds(member_id, self._slot, time.time_ns() // 1000)
        self._calls: dict[int, Call] = {}
        """By request id. Invariant: in the order in which they began."""
        self._long_running: dict[int, Call] = {}
        """Reads that may take as long as they take; the same by request id."""
        self._max_request_bytes = config.max_request_bytes
        self._max_txn_ops = config.max_txn_ops
        self._timeout_s = config.request_timeout_s
        self._poison_reads = PoisonReads()
        self._slow = SlowCalls(host.log, config.warning_unary_request_s, config.log_level)
        self._max = limits.CALLS_IN_FLIGHT_MAX // max(1, config.listeners)
        """Of this listener's share of what all together may have in flight."""
        self._proposals: list[tuple[int, bytes]] = []
        self._reads: list[tuple[int, int, bytes, int]] = []
        self._read_index: list[int] = []
        self._lease_calls: list[tuple[int, int, int]] = []
        self.keep_alives = KeepAlives(self._timeout_s, host.flush_soon)
        self._revision = 1
        """The latest that an answer of the backend has shown."""
        self._touched: set[Caller] = set()
        self._knows_callers = False
        """Whether a call has ever said who asks."""
        self._leadership = Leadership(0, 0, 0, 0, None, 0, 0)
        self._delegation = 0
        """While not 0, writes go to the wal."""
        self._again = 0
        """The fence that this turn's proposals to raft answer."""
        self._begin: dict[int, Begin] = {
            PUT: self._put,
            DELETE_RANGE: self._delete_range,
            TXN: self._txn,
            COMPACT: self._compact,
            RANGE: self._range,
            RANGE_CHUNK: self._range_chunk,
            STATUS: self._status,
            HASH: self._hash,
            HASH_KV: self._hash_kv,
            MEMBER_LIST: self._member_list,
            HEALTH: self._health,
            ALARM: self._alarm,
            LEASE_GRANT: self._lease_grant,
            LEASE_REVOKE: self._lease_revoke,
            LEASE_TIME_TO_LIVE: self._lease_time_to_live,
            LEASE_LEASES: self._lease_leases,
        }
        ways = Ways(self._propose, self._read, self._read_long_running, lambda: self._leadership.leader)
        self._maintenance = Maintenance(ways)
        self._begin |= self._maintenance.begin
        self._gate = QuotaGate(ways, self._begin)
        self._second: dict[int, Callable[[int, Call, int, bytes], tuple[int, bytes] | None]] = {
            STATUS: self._complete_status,
            COMPACT_PHYSICAL: self._wait_for_compaction,
            DOWNGRADE: self._set_downgrade,
            RAISE_NOSPACE: lambda request_id, call, code, body: _NO_SPACE,
        }
        """What becomes of replies to these methods: (code, answer), or None if there is more to wait for."""

    def __len__(self) -> int:
        return len(self._calls)

    def share(self, listeners: int) -> None:
        """So many listeners share what may be in flight."""
        self._max = limits.CALLS_IN_FLIGHT_MAX // listeners

    # ---- begin ----

    def begin(self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None) -> None:
        """Check a request and send it on its way, or answer it at once if it is refused. auth: who asks"""
        if len(self._calls) >= self._max and (
            method not in _RESERVED or len(self._calls) >= self._max + limits.CALLS_RESERVED
        ):
            self._refuse(caller, stream_id, errors.REQUEST_TOO_MANY_REQUESTS)
            return
        if auth is not None:
            self._knows_callers = True
        try:
            error = self._begin[method](caller, stream_id, body, auth)
        except DecodeError as problem:
            caller.reply(stream_id, Code.INTERNAL, f"grpc: error unmarshalling request: {problem}".encode())
            return
        if error is not None:
            self._refuse(caller, stream_id, error)

    def _refuse(self, caller: Caller, stream_id: int, error: EtcdError) -> None:
        caller.reply(stream_id, error.code, error.text.encode())

    def _put(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        error = validate.check_put(pb.PutRequest.FromString(body))
        return error or self._propose(caller, stream_id, PUT, body, auth)

    def _delete_range(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        error = validate.check_delete(pb.DeleteRangeRequest.FromString(body))
        return error or self._propose(caller, stream_id, DELETE_RANGE, body, auth)

    def _compact(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        method = COMPACT_PHYSICAL if pb.CompactionRequest.FromString(body).physical else COMPACT
        return self._propose(caller, stream_id, method, body, auth)

    def _alarm(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        """NB: in etcd 3.5 even asking for alarms goes through the log."""
        pb.AlarmRequest.FromString(body)
        return self._propose(caller, stream_id, ALARM, body, auth)

    def _txn(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        keys = keys_of_puts(body)
        if keys is not None:
            error = validate.check_puts(keys, self._max_txn_ops)
            return error or self._propose(caller, stream_id, TXN, body, auth)
        request = pb.TxnRequest.FromString(body)
        error = validate.check_txn(request, self._max_txn_ops)
        if error is not None:
            return error
        if not transaction.is_read_only(request):
            return self._propose(caller, stream_id, TXN, body, auth)
        self._read(caller, stream_id, TXN, body, linearizable=not transaction.is_serializable(request), auth=auth)
        return None

    def _range(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.RangeRequest.FromString(body)
        error = validate.check_range(request)
        if error is None:
            self._read(caller, stream_id, RANGE, body, linearizable=not request.serializable, auth=auth)
        return error

    def _range_chunk(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        serializable = pb.RangeRequest.FromString(body).serializable
        self._read(caller, stream_id, RANGE_CHUNK, body, linearizable=not serializable, auth=auth)
        return None

    def _status(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.StatusRequest, body)
        self._read(caller, stream_id, STATUS, b"", linearizable=False, auth=auth)
        return None

    def _hash(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.HashRequest, body)
        return self._read_long_running(caller, stream_id, HASH, b"", auth)

    def _hash_kv(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        pb.HashKVRequest.FromString(body)
        return self._read_long_running(caller, stream_id, HASH_KV, body, auth)

    def _member_list(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.MemberListRequest.FromString(body)
        self._read(caller, stream_id, MEMBER_LIST, b"", linearizable=request.linearizable, auth=auth)
        return None

    def _lease_grant(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.LeaseGrantRequest.FromString(body)
        while not request.ID:
            request.ID = self._ids.next() & _LEASE_ID_MAX
            body = request.SerializeToString()
        return self._propose(caller, stream_id, LEASE_GRANT, body, auth)

    def _lease_revoke(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        pb.LeaseRevokeRequest.FromString(body)
        return self._propose(caller, stream_id, LEASE_REVOKE, body, auth)

    def _lease_time_to_live(
        self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None
    ) -> EtcdError | None:
        pb.LeaseTimeToLiveRequest.FromString(body)
        self._ask_lessor(caller, stream_id, LEASE_TIME_TO_LIVE, body, auth)
        return None

    def _lease_leases(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.LeaseLeasesRequest, body)
        self._ask_lessor(caller, stream_id, LEASE_LEASES, body, auth)
        return None

    def _ask_lessor(self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None) -> None:
        request_id = self._ids.next()
        self._lease_calls.append(_question(request_id, method, body))
        self._calls[request_id] = Call(caller, stream_id, method, ASK_LESSOR, body, time.monotonic(), auth)
        self._host.flush_soon()

    def begin_health(self, caller: Caller, stream_id: int, linearizable: bool) -> None:
        """A health check over HTTP/1.1: healthy is who answers a read."""
        if not self._leadership.leader:
            caller.reply(stream_id, errors.NO_LEADER.code, b"RAFT NO LEADER")
        else:
            self._read(caller, stream_id, HEALTH, b"", linearizable, None)

    def begin_ready(self, caller: Caller, index: int) -> None:
        """Answered once the backend has applied index."""
        request_id = self._ids.next()
        self._reads.append((request_id, HEALTH, b"", index))
        self._calls[request_id] = Call(caller, 0, HEALTH, READ, b"", time.monotonic(), None)

    def _health(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        if body not in _HEALTH_OF_ALL:
            caller.reply(stream_id, Code.NOT_FOUND, b"unknown service")
        else:
            caller.reply(stream_id, Code.OK, _SERVING)
        return None

    def _propose(
        self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None
    ) -> EtcdError | None:
        request_id = self._ids.next()
        data = encode_request(request_id, _TAGS[method], body, auth)
        if len(data) > self._max_request_bytes:
            return errors.REQUEST_TOO_LARGE
        self._calls[request_id] = Call(caller, stream_id, method, WRITE, data, time.monotonic(), auth)
        self._proposals.append((request_id, data))
        self._host.flush_soon()
        return None

    def _read(
        self, caller: Caller, stream_id: int, method: int, body: bytes, linearizable: bool, auth: AuthInfo | None
    ) -> None:
        request_id = self._ids.next()
        index = self._leadership.read_index if linearizable else 0
        state = READ
        if index is None:
            state = WAIT_INDEX
            self._read_index.append(request_id)
        else:
            self._reads.append((request_id, method, body, index))
        self._calls[request_id] = Call(caller, stream_id, method, state, body, time.monotonic(), auth)
        self._host.flush_soon()

    def _read_long_running(
        self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None
    ) -> EtcdError | None:
        """A read of the backend as it is, that takes long: no request timeout ends it, as in etcd."""
        if len(self._long_running) >= limits.LONG_RUNNING_CALLS_MAX:
            return errors.REQUEST_TOO_MANY_REQUESTS
        self._wait_long_running(self._ids.next(), Call(caller, stream_id, method, READ, body, time.monotonic(), auth))
        return None

    def _wait_long_running(self, request_id: int, call: Call) -> None:
        self._long_running[request_id] = call
        self._reads.append((request_id, call.method, call.what, 0))
        self._host.flush_soon()

    # ---- answers ----

    def on_quota_headroom(self, message: QuotaHeadroom) -> None:
        self._maintenance.on_quota_headroom(message)
        self._gate.on_quota_headroom(message)

    def on_replies(self, message: Replies) -> None:
        pop = self._calls.pop
        touched = self._touched
        self._revision = max(self._revision, message.revision)
        second = self._second
        # NB: a compaction that waits for its compaction has had its first answer, which may come again out of the ring.
        long_running = None if message.batch else self._long_running
        slow_before = time.monotonic() - self._slow.over_s
        for request_id, code, body in message.items:
            call = pop(request_id, None) or (long_running.pop(request_id, None) if long_running else None)
            if call is None:
                continue  # answered before, out of the ring, or given up
            if call.method in second:
                answer = second[call.method](request_id, call, code, body)
                if answer is None:
                    continue
                code, body = answer
            if call.began_s < slow_before:
                self._report_slow(call, code, body)
            call.caller.reply(call.stream_id, code, body)
            touched.add(call.caller)

    def _report_slow(self, call: Call, code: int, body: bytes) -> None:
        method = COMPACT if call.method in (COMPACT_PHYSICAL, WAIT_COMPACTION) else call.method
        request = request_of(method, call.what) if call.state == WRITE else call.what
        self._slow.report(call.caller, method, request, code, body, call.began_s)

    def _wait_for_compaction(self, request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes] | None:
        """The compaction is in force; its client wants to hear of it only when the space is free."""
        if code:
            return code, body
        self._wait_long_running(request_id, call._replace(method=WAIT_COMPACTION, state=READ, what=body))
        return None

    def _set_downgrade(self, request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes] | None:
        """Nothing speaks against what was asked for: it is only now that anything changes."""
        if code or not pb.DowngradeRequest.FromString(call.what).action:
            return code, body
        error = self._maintenance.set_downgrade(call.caller, call.stream_id, call.what, call.auth)
        return None if error is None else (error.code, error.text.encode())

    def _complete_status(self, request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes]:
        """Add what only raft knows."""
        status = pb.StatusResponse.FromString(body)
        known = self._leadership
        status.leader = known.leader
        status.raftIndex = max(status.raftIndex, known.commit)
        status.raftTerm = max(status.raftTerm, known.term)
        if not known.leader:
            status.errors.insert(0, errors.NO_LEADER.text)
        return code, status.SerializeToString()

    def on_lease_answers(self, message: LeaseAnswers) -> None:
        """Keep-alives are answered; for all else the backend has the rest of the answer."""
        calls = self._calls
        for request_id, body in message.items:
            if request_id < 0:
                self.keep_alives.on_answer(request_id, body, self._touched)
                continue
            call = calls.get(request_id)
            if call is None or call.state != ASK_LESSOR:
                continue
            if call.method == LEASE_TIME_TO_LIVE:
                body += b"\1" if pb.LeaseTimeToLiveRequest.FromString(call.what).keys else b"\0"
            calls[request_id] = call._replace(state=READ, what=body)
            self._reads.append((request_id, call.method, body, 0))

    def on_refused(self, message: Refused) -> None:
        for request_id, name in message.items:
            self._end(request_id, errors.BY_NAME[name])

    def _end(self, request_id: int, error: EtcdError) -> None:
        call = self._calls.pop(request_id, None) or self._long_running.pop(request_id, None)
        if call is not None:
            if call.began_s < time.monotonic() - self._slow.over_s:
                self._report_slow(call, error.code, b"")
            call.caller.reply(call.stream_id, error.code, error.text.encode())
            self._touched.add(call.caller)

    def on_read_states(self, message: ReadStates) -> None:
        for request_id in message.ids:
            call = self._calls.get(request_id)
            if call is not None and call.state == WAIT_INDEX:
                self._calls[request_id] = call._replace(state=READ)
                self._reads.append((request_id, call.method, call.what, message.read_index))

    def on_leadership(self, message: Leadership) -> None:
        before, self._leadership = self._leadership, message
        self._delegation = message.delegation
        if message.fence and (message.incarnation, message.fence) != (before.incarnation, before.fence):
            self._offer_again(message.fence)

    def expire(self, now: float) -> None:
        """Give up calls that have waited for longer than etcd's request timeout."""
        oldest = now - self._timeout_s
        late = []
        for request_id, call in self._calls.items():
            if call.began_s > oldest:
                break
            late.append(request_id)
        for request_id in late:
            self._end(request_id, errors.TIMEOUT)
        self.keep_alives.expire(now, self._touched)

    # ---- resync ----

    def on_peer_up(self, peer: Peer) -> None:
        """Offer what is unanswered to the new incarnation: raft drops what its log has, reads may be repeated."""
        if peer.kind == "raft":
            self._leadership = self._leadership._replace(read_index=None)
            self._delegation = self._again = 0
            self._proposals = self._unanswered_writes()
            self._read_index = [i for i, c in self._calls.items() if c.state == WAIT_INDEX]
        elif peer.kind == "backend":
            self._give_up_poison_reads()
            index = self._leadership.read_index or 0
            self._reads = [(i, c.method, c.what, index) for i, c in self._calls.items() if c.state == READ]
            self._reads += [(i, c.method, c.what, 0) for i, c in self._long_running.items()]
        elif peer.kind == "wal" and self._delegation:
            self._delegation = 0
            self._offer_again(UNASKED)
        elif peer.kind == "lessor":
            asking = [(i, c) for i, c in self._calls.items() if c.state == ASK_LESSOR]
            self._lease_calls = [_question(request_id, call.method, call.what) for request_id, call in asking]
            self.keep_alives.ask_again()

    def _give_up_poison_reads(self) -> None:
        """Reads that no backend survives."""
        asked = [i for i, c in self._calls.items() if c.state == READ]
        for request_id in self._poison_reads.note([*asked, *self._long_running]):
            self._end(request_id, GIVEN_UP)

    def _unanswered_writes(self) -> list[tuple[int, bytes]]:
        return [(i, c.what) for i, c in self._calls.items() if c.state == WRITE]

    def _offer_again(self, fence: int) -> None:
        """Some of what went to the wal may not be in the log: raft knows by now, or waits until it does."""
        self._proposals = self._unanswered_writes()
        self._again = fence

    def _askers(self) -> list[tuple[int, str, int]]:
        """Who asks for this turn's reads, as Read has it."""
        waiting = [(i, self._calls.get(i) or self._long_running.get(i)) for i, _, _, _ in self._reads]
        return [(i, *call.auth) for i, call in waiting if call is not None and call.auth is not None]

    # ---- the turn ----

    def end_turn(self) -> None:
        """Queue one message per destination, write once per connection that has answers."""
        links = self._host.links
        if self._proposals or self._again:
            if self._delegation and not self._again:
                links.send("wal", Write(self._slot, self._delegation, self._proposals))
            else:
                links.send("raft", Propose(self._slot, self._proposals, self._again))
                self._again = 0
            self._proposals = []
        if self._reads:
            links.send("backend", Read(self._slot, self._reads, self._askers() if self._knows_callers else ()))
            self._reads = []
        if self._read_index:
            links.send("raft", ReadIndex(self._slot, self._read_index))
            self._read_index = []
        if self._lease_calls or self.keep_alives.queries:
            queries = self.keep_alives.queries + self._lease_calls
            links.send("lessor", LeaseCalls(self._slot, self._revision, queries))
            self._lease_calls = []
            self.keep_alives.queries = []
        if self._touched:
            for caller in self._touched:
                caller.flush()
            self._touched.clear()
