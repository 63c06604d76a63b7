"""Reads while auth is on: each behind the check of who asks; and what listeners ask about users.

While auth is off the tables are those without checks, so nothing is paid for it.

A read that takes several turns is checked when it begins, and its revision again when it ends, as in etcd: what its
client may read may have changed meanwhile.
"""

from collections.abc import Callable, Mapping

from actors.backend.raft_link import RaftLink
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import (
    LEASE_KEYS,
    LEASE_LEASES,
    LEASE_TIME_TO_LIVE,
    PASSWORD_HASH,
    RANGE,
    RANGE_CHUNK,
    TOKEN_OWNER,
    TXN,
)
from etcdz.auth.access import EVERYTHING, READ
from etcdz.auth.questions import Owner, decode_lease_question, encode_revision
from etcdz.lease.question import CLOCK
from etcdz.mvcc.applier import Applier
from etcdz.mvcc.mvcc import Reading
from etcdz.mvcc.steps import Steps
from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import decode_text

Reader = Callable[[bytes, AuthInfo | None], tuple[int, bytes] | None]
"""(request body, who asks) -> (gRPC code, encoded response or error text). None: not at once"""
BeginRead = Callable[[bytes, AuthInfo | None], Reading | EtcdError]
"""(request body, who asks): begins a read that may be left off and taken up again."""
_Check = Callable[[bytes, AuthInfo], EtcdError | None]
NOBODY = AuthInfo("", 0)


class AuthReads:
    """See the module."""

    def __init__(self, applier: Applier, raft: RaftLink) -> None:
        self._auth = applier.auth
        self._access = applier.auth.access
        self._checks = applier.checks
        self._mvcc = applier.mvcc
        self._raft = raft
        self._check_of: dict[int, _Check] = {
            RANGE: self._check_range,
            RANGE_CHUNK: self._check_range,
            TXN: self._check_txn,
            LEASE_TIME_TO_LIVE: self._check_time_to_live,
            LEASE_LEASES: self._check_leases,
        }
        self._questions: dict[int, Reader] = {
            PASSWORD_HASH: self._password_hash,
            TOKEN_OWNER: self._token_owner,
            LEASE_KEYS: self._lease_keys,
        }

    def guard_readers(self, plain: Mapping[int, Reader]) -> dict[int, Reader]:
        """The table to read by now."""
        if not self._access.enabled:
            return {**plain, **self._questions}
        guarded = {
            method: self._behind(self._check_of[method], read) if method in self._check_of else read
            for method, read in plain.items()
        }
        return {**guarded, RANGE: self._lone_keys(guarded[RANGE]), **self._questions}

    def guard_begin(self, plain: Mapping[int, BeginRead]) -> dict[int, BeginRead]:
        """The same of reads that may take several turns."""
        if not self._access.enabled:
            return dict(plain)
        return {
            method: self._begin_behind(self._check_of[method], begin) if method in self._check_of else begin
            for method, begin in plain.items()
        }

    def _behind(self, check: _Check, read: Reader) -> Reader:
        def guarded(body: bytes, auth: AuthInfo | None) -> tuple[int, bytes] | None:
            error = check(body, auth or NOBODY) or self._access.check_revision(auth)
            return (error.code, error.text.encode()) if error is not None else read(body, auth)

        return guarded

    def _lone_keys(self, others: Reader) -> Reader:
        """What may be read is looked up once for all reads of the same asker, one after the other. NB: the revision is
        compared with each: users may have changed since `guard_readers`, in this very turn."""
        access, get = self._access, self._mvcc.get_bytes
        asker: AuthInfo | None = None
        revision, may_read = 0, None

        def read(body: bytes, auth: AuthInfo | None) -> tuple[int, bytes] | None:
            nonlocal asker, revision, may_read
            if auth is not asker or access.revision != revision:
                asker, revision = auth, access.revision
                may_read = access.permitted(auth, READ) if access.check_revision(auth) is None else None
            if may_read is None:
                return others(body, auth)
            answer = get(body) if may_read is EVERYTHING else get(body, may_read)
            return None if answer is None else (0, answer)

        return read

    def _begin_behind(self, check: _Check, begin: BeginRead) -> BeginRead:
        def guarded(body: bytes, auth: AuthInfo | None) -> Reading | EtcdError:
            error = check(body, auth or NOBODY)
            if error is not None:
                return error
            reading = begin(body, auth)
            if isinstance(reading, EtcdError):
                return reading
            return reading._replace(steps=self._checked_again(reading.steps, auth))

        return guarded

    def _checked_again(self, steps: Steps[EtcdError | None], auth: AuthInfo | None) -> Steps[EtcdError | None]:
        error = yield from steps
        return error or self._access.check_revision(auth)

    # ---- checks ----

    def _check_range(self, body: bytes, auth: AuthInfo) -> EtcdError | None:
        return self._checks.check_range(pb.RangeRequest.FromString(body), auth)

    def _check_txn(self, body: bytes, auth: AuthInfo) -> EtcdError | None:
        return self._checks.check_txn(deep.decode(pb.TxnRequest, body), auth)

    def _check_time_to_live(self, body: bytes, auth: AuthInfo) -> EtcdError | None:
        if not body[CLOCK.size]:
            return self._access.check_somebody(auth)
        return self._access.check_read_keys(auth, self._mvcc.lease_keys(CLOCK.unpack_from(body)[0]))

    def _check_leases(self, body: bytes, auth: AuthInfo) -> EtcdError | None:
        """NB: whoever may not read a key must not hear of its lease."""
        return self._access.check_somebody(auth) or self._access.check_read_keys(auth, self._mvcc.state.leases.lease_of)

    # ---- questions ----

    def _password_hash(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        found = self._auth.password_hash(decode_text(body))
        return (found.code, found.text.encode()) if isinstance(found, EtcdError) else (Code.OK, found.encode())

    def _token_owner(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        owner = self._auth.tokens.owners.get(decode_text(body), "")
        return Code.OK, Owner(self._raft.applied_index, owner).encode()

    def _lease_keys(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        lease_id, wants_write = decode_lease_question(body)
        access, keys = self._access, self._mvcc.lease_keys(lease_id)
        error = access.check_somebody(auth) or (access.check_write_keys if wants_write else access.check_read_keys)(
            auth, keys
        )
        return (error.code, error.text.encode()) if error is not None else (Code.OK, encode_revision(access.revision))
