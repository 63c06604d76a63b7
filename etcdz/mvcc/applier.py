"""Runs raft entries on an Mvcc: one InternalRaftRequest in, the answer to its client out.

What the membership of the cluster answers, and requests of the v2 API, come back as FOREIGN, unapplied. What nobody
here applies (requests of a newer etcd) ends it, as in etcd: to pass over a committed entry is to diverge.
Alarms stand above the requests: with NOSPACE raised nothing may grow, with CORRUPT raised nothing is read or written.
Then, while auth is on, every request is judged by who asks, as its header says.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.auth.access import WRITE
from etcdz.auth.intervals import Intervals
from etcdz.auth.requests import RequestChecks
from etcdz.auth.store import AuthStore
from etcdz.cluster.membership import MEMBERSHIP_REQUESTS
from etcdz.mvcc import alarms
from etcdz.mvcc.alarms import AlarmTable
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.apply_times import ApplyTimes
from etcdz.mvcc.growth import PUT_OVERHEAD_BYTES, growth
from etcdz.mvcc.mvcc import LargeOutcome, Mvcc, Outcome, failed
from etcdz.mvcc.put_entry import PUT_TAG, TXN_TAG, decode_asked_put, decode_put, decode_txn
from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import decode_varint, message_field
from etcdz.proto.tags import ALARM_ALARMS, V2_REQUEST_ID, V2_REQUEST_METHOD
from etcdz.proto.text import decode_text
from etcdz.store import buckets

Result = tuple[int, int, str | None, bytes | Answer]
"""(request id, gRPC code, error text or None, encoded response, in pieces if it is large). With code FOREIGN: text is
the field's name, and the last is the entry's data; or text is "v2", and the last is the encoded
etcdserverpb.Request."""
FOREIGN = -1

_KINDS = {0x1A: "range", 0x22: "put", 0x2A: "delete_range", 0x32: "txn", 0x3A: "compaction"}
"""First byte of an entry -> field of InternalRaftRequest, for those that mostly come: fields go in ascending order."""


_HEADROOM_MAX = 4 << 20
"""The size of the store is looked at after every so many bytes of growth: a look costs as much as ten puts."""
_GROWTH_MAX = 64
"""No request grows the store by more than this times its own bytes: a put in a transaction takes seven or more."""
_NO_QUOTA = 1 << 62


_V2_METHODS = ("PUT", "POST", "DELETE", "QGET", "SYNC", "GET")
_FIELDS = frozenset(pb.InternalRaftRequest.DESCRIPTOR.fields_by_name)
_FOREIGN_KINDS = (*MEMBERSHIP_REQUESTS, "downgrade_version_test")
"""The last changes nothing, in etcd as well: its tests put it into logs."""


class UndecodableEntry(Exception):
    """The data of an entry is nothing that is known here, or nothing that is applied here; says what."""


class Applier:
    """See the module.

    quota_bytes   size of the store from which on what grows it answers NO_SPACE (it is applied all the same, as in
                  etcd: members must not differ by the sizes of their stores); 0 is no quota
    auth          users and roles
    checks        what is asked of who asks
    Invariant: `_plain` is true exactly while no alarm is raised and auth is off: a put needs no checks but its own.
    Invariant: `_judged` is true exactly while no alarm is raised and auth is on: a put needs no checks but of who asks.
    Invariant: the store may grow by `_headroom` bytes before its size has to be looked at again.

    exceeded      a request was applied that the store had no room for, and no alarm was raised: set here, for others
    alarm_news    (raised or disarmed, alarm type, member id, whether the first or last of its type) of what has
                  changed, for others to take
    """

    def __init__(
        self,
        mvcc: Mvcc,
        quota_bytes: int = 0,
        auth: AuthStore | None = None,
        now_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """auth: None for what the store has of it, without simple tokens. now_ns: a clock, for `times`"""
        self.mvcc = mvcc
        self.times = ApplyTimes()
        self._now_ns = now_ns
        self.alarms = AlarmTable(mvcc.state.store)
        self.auth = auth = AuthStore(mvcc.state.store) if auth is None else auth
        self.checks = RequestChecks(auth.access, mvcc.lease_keys)
        self._check = self.checks.by_kind.get
        self.quota_bytes = quota_bytes
        self._capped = self._corrupt = False
        self._plain, self._judged = True, False
        self._writer: AuthInfo | None = None
        self._writer_revision = 0
        self._may_write: Intervals | None = None
        """What the last asker of a put may write, at that revision of the auth store."""
        self._headroom = 0 if quota_bytes else _NO_QUOTA
        self.exceeded = False
        self.alarm_news: list[tuple[bool, int, int, bool]] = []
        self._put_plain = mvcc.put_plain
        self._handlers: dict[str, Callable[[Any], LargeOutcome]] = {
            "range": mvcc.range,
            "put": mvcc.put,
            "delete_range": mvcc.delete_range,
            "txn": mvcc.txn,
            "compaction": mvcc.compact,
            "lease_grant": mvcc.lease_grant,
            "lease_revoke": mvcc.lease_revoke,
            "lease_checkpoint": mvcc.lease_checkpoint,
            "alarm": self._alarm,
            **{kind: self._behind_header(handler) for kind, handler in auth.handlers.items()},
        }
        self._note_gates()

    def apply(self, data: bytes) -> Result | None:
        """Runs a normal entry.

        return  None for an empty one, with which a leader begins its term
        raises  UndecodableEntry: nothing is applied, and nothing may be applied after it
        """
        if not data:
            self.times.others += 1
            return None
        if data[0] == PUT_TAG and self._plain and self._headroom > 0:
            put = decode_put(data)
            if put is not None:
                self._headroom -= len(data) + PUT_OVERHEAD_BYTES
                return put[0], 0, None, self._put_plain(put[1], put[2], put[3])
        elif data[0] == TXN_TAG and self._plain and self._headroom > len(data) * _GROWTH_MAX:
            txn = decode_txn(data)
            if txn is not None:
                self._headroom -= len(data) + PUT_OVERHEAD_BYTES
                self.times.plain_txns += 1
                return txn[0], 0, None, self.mvcc.put_plain_txn(txn[1])
        elif data[0] == PUT_TAG and self._judged and self._headroom > 0:
            asked = decode_asked_put(data)
            if asked is not None and self._may_put(asked[1], asked[2]):
                self._headroom -= len(data) + PUT_OVERHEAD_BYTES
                return asked[0], 0, None, self._put_plain(asked[2], asked[3], asked[4])
        return self._apply(data)

    def _may_put(self, auth: AuthInfo, key: bytes) -> bool:
        """False: perhaps not."""
        access = self.auth.access
        if auth is not self._writer or access.revision != self._writer_revision:
            self._writer, self._writer_revision = auth, access.revision
            self._may_write = access.permitted(auth, WRITE)
        return self._may_write is not None and self._may_write.cover(key)

    # everything else

    def _apply(self, data: bytes) -> Result:
        began_ns = self._now_ns()
        if _is_v2(data):
            self.times.others += 1
            return _v2_id(data), FOREIGN, "v2", _v2_request(data)
        request = _decode(data)
        request_id = request.ID or request.header.ID
        kind = _KINDS.get(data[0]) or _kind(request)
        handler = self._handlers.get(kind)
        if handler is None:
            if kind not in _FOREIGN_KINDS:
                raise UndecodableEntry(f"it asks for {kind}, which is not applied by this version")
            self.times.others += 1
            return request_id, FOREIGN, kind, data
        message = getattr(request, kind)
        error = None if self._plain else self._refuse(kind, message, request.header)
        if error is not None:
            self._note_time(kind, False, began_ns)
            return request_id, *failed(error)
        code, text, body = handler(message)
        self._note_time(kind, code == 0 or text == errors.COMPACTED.text, began_ns)
        if code == 0 and self._over_quota(kind, message, len(data)):
            code, text, body = failed(errors.NO_SPACE)
            self.exceeded = True
        return request_id, code, text, body

    def _note_time(self, kind: str, is_ok: bool, began_ns: int) -> None:
        self.times.add(kind, is_ok, max(1, self._now_ns() - began_ns))

    def _refuse(self, kind: str, message: Any, header: pb.RequestHeader) -> EtcdError | None:
        if kind in ("alarm", "lease_checkpoint"):
            return None
        if kind not in self.auth.handlers:
            if self._corrupt:
                return errors.CORRUPT
            if self._capped and growth(kind, message):
                return errors.NO_SPACE
        check = self._check(kind) if self.auth.access.enabled else None
        return (
            check(message, AuthInfo(decode_text(header.username), header.auth_revision)) if check is not None else None
        )

    def _over_quota(self, kind: str, message: Any, size: int) -> bool:
        """Whether a request of size bytes, just applied, has found the store full."""
        if not self.quota_bytes:
            return False
        if self._headroom > size * _GROWTH_MAX:  # far from full: spare the walk over a transaction
            self._headroom -= size + PUT_OVERHEAD_BYTES
            return False
        cost = growth(kind, message)
        if not cost:
            return False
        if self._headroom <= cost:
            self._headroom = min(self.quota_bytes - self.mvcc.db_size(), _HEADROOM_MAX)
            if self._headroom <= cost:
                return True
        self._headroom -= cost
        return False

    def headroom(self) -> int | None:
        """By how many bytes the store may grow until it is full, and less than 0 beyond; None without a quota."""
        return self.quota_bytes - self.mvcc.db_size() if self.quota_bytes else None

    # users and roles

    def _behind_header(self, handler: Callable[[Any], bytes | EtcdError]) -> Callable[[Any], Outcome]:
        def handle(request: Any) -> Outcome:
            found = handler(request)
            self._note_gates()
            return failed(found) if isinstance(found, EtcdError) else (0, None, self.mvcc.header() + found)

        return handle

    # alarms

    def _alarm(self, request: pb.AlarmRequest) -> Outcome:
        shown: list[tuple[int, int]] = []
        if request.action == 0:
            shown = self.alarms.listed(request.alarm)
        elif request.action == 1 and request.alarm != alarms.NONE:
            if self.alarms.activate(request.alarm, request.memberID):
                self._write_alarm(request, b"")
            shown = [(request.alarm, request.memberID)]
        elif request.action == 2 and self.alarms.deactivate(request.alarm, request.memberID):
            self._write_alarm(request, None)
            shown = [(request.alarm, request.memberID)]
        members = [message_field(ALARM_ALARMS, alarms.encode_member(kind, member)) for kind, member in shown]
        return 0, None, self.mvcc.header() + b"".join(members)

    def _write_alarm(self, request: pb.AlarmRequest, value: bytes | None) -> None:
        self.mvcc.state.pending[buckets.ALARM + alarms.encode_member(request.alarm, request.memberID)] = value
        raised = value is not None
        left = len(self.alarms.listed(request.alarm))
        self.alarm_news.append((raised, request.alarm, request.memberID, left == (1 if raised else 0)))
        self._note_gates()

    def _note_gates(self) -> None:
        self._capped = self.alarms.has(alarms.NOSPACE)
        self._corrupt = self.alarms.has(alarms.CORRUPT)
        is_unrestricted = not (self._capped or self._corrupt)
        self._plain = is_unrestricted and not self.auth.access.enabled
        self._judged = is_unrestricted and self.auth.access.enabled
        self._writer = None


def is_replayable(data: bytes) -> bool:
    """Whether a normal entry can be applied once more, and gives what it gave when it was applied."""
    if not data or data[0] in (PUT_TAG, TXN_TAG) or _is_v2(data):
        return True
    try:
        _decode(data)
    except UndecodableEntry:
        return False
    return True


def is_known(data: bytes) -> bool:
    """Whether a normal entry asks for something that etcd knows: whoever has to apply any other one ends."""
    try:
        if _is_v2(data):
            _v2_request(data)
            return True
        request = _decode(data)
    except UndecodableEntry:
        return False
    return data[0] in _KINDS or _kind(request) in _FIELDS


def is_of_keys(data: bytes) -> bool:
    """Whether a normal entry is a request for keys of the v3 API. Requires: data"""
    return data[0] in _KINDS


def v2_request_of(data: bytes) -> bytes | None:
    """The encoded etcdserverpb.Request of a normal entry; None: it is one of the v3 API. raises UndecodableEntry"""
    return _v2_request(data) if _is_v2(data) else None


def _decode(data: bytes) -> pb.InternalRaftRequest:
    """raises UndecodableEntry: it is none"""
    try:
        request: pb.InternalRaftRequest = deep.decode(pb.InternalRaftRequest, data, deep.LEVELS_MAX + 1)
    except DecodeError as error:
        raise UndecodableEntry(f"it is no request: {error}") from error
    return request


def _v2_request(data: bytes) -> bytes:
    """The request of the v2 API in an entry that begins like one, bare or wrapped. raises UndecodableEntry"""
    try:
        at = decode_varint(data, 1)[1] if data[:1] == V2_REQUEST_ID else 0
        size, at = decode_varint(data, at + 1)
        found = next((part for part in (data, data[at : at + size]) if _is_v2_request(part)), None)
    except (IndexError, ValueError):
        found = None
    if found is None:
        raise UndecodableEntry("it is no request of the v2 API, though it begins like one")
    return found


def _is_v2_request(data: bytes) -> bool:
    try:
        return pb.Request.FromString(data).Method in _V2_METHODS
    except DecodeError:
        return False


def _kind(request: pb.InternalRaftRequest) -> str:
    """Name of the field that says what is asked for."""
    names = [field.name for field, _ in request.ListFields() if field.name not in ("ID", "header")]
    if names:
        return names[0]
    unknown = UnknownFieldSet(request)
    return f"field {unknown[0].field_number} of a newer InternalRaftRequest" if len(unknown) else "nothing"


def _is_v2(data: bytes) -> bool:
    """Field 2 right behind the id: a v2 request, bare or wrapped; no v3 request has it."""
    try:
        at = decode_varint(data, 1)[1] if data[:1] == V2_REQUEST_ID else 0
    except (IndexError, ValueError):  # it ends inside its id: no request at all
        return False
    return data[at : at + 1] == V2_REQUEST_METHOD


def _v2_id(data: bytes) -> int:
    return decode_varint(data, 1)[0] if data[:1] == V2_REQUEST_ID else 0
