"""One call that waits for its answer, and the ways on which the calls of a listener go.

    Calls       (calls.py)        holds all that wait, sends them, and brings them their answers
    KeyValues   (key_values.py)   \\
    Leases      (leases.py)        > check requests of etcd's services and choose the way of each
    Maintenance (maintenance.py)  /
    ClusterMembers (members.py)  /
    Users       (users.py)      /
    Logins      (logins.py)     /
    AuthGate    (auth_gate.py)    stands behind these checks while auth is on: who asks, and whether that may
    PasswordWorker (password_worker.py) has threads for what is slow about passwords
    LearnerGate (learner_gate.py) stands before all while this member has no vote
    QuotaGate   (quota_gate.py)   stands before them while the store is nearly full
    LongReads   (long_reads.py)   holds reads that take long until their answers have room
    Timeouts    (timeouts.py)     says why a write was not answered in time
    Admission   (admission.py)    says which calls wait for a place, and what holds one that no client waits for
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.ipc.messages import Leadership

# What a call waits for.
WRITE: Final = 0
"""That the backend applies it."""
READ: Final = 1
"""The backend's answer."""
WAIT_INDEX: Final = 2
"""A read index of raft's; then it is a READ."""
ASK_LESSOR: Final = 3
"""What the lessor knows; then it is a READ."""
CHANGE: Final = 4
"""That the backend applies it: a change of the membership."""


class Caller(Protocol):
    """Where an answer goes: a client's connection, or a part of the listener that makes calls itself."""

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """The answer, once. code: gRPC's. body: the encoded response, or the text of the error if code is not 0"""

    def flush(self) -> None:
        """All answers of this turn have been given: write them."""


class Client:
    """Base of a Caller that may have many calls at a time, and may give them up."""

    __slots__ = ()

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """As Caller."""
        raise NotImplementedError

    def reply_parts(self, stream_id: int, parts: list[bytes]) -> None:
        """An answer in pieces, which are not copied."""
        raise NotImplementedError

    def flush(self) -> None:
        """As Caller."""
        raise NotImplementedError

    @property
    def has_room(self) -> bool:
        """Whether it has taken what it was given of large answers before, but for a little."""
        raise NotImplementedError

    @property
    def unsent_bytes(self) -> int:
        """What it has been given of large answers and has not taken."""
        raise NotImplementedError

    def give_up_unsent(self) -> None:
        """It takes nothing: answers that wait are dropped, and it is told."""
        raise NotImplementedError

    @property
    def open_calls(self) -> int:
        """How many it waits for, streams included."""
        raise NotImplementedError


class ForClient:
    """Base of a Caller that is a part of the listener and asks in the name of one client."""

    __slots__ = ()

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """As Caller."""
        raise NotImplementedError

    def flush(self) -> None:
        """As Caller."""
        raise NotImplementedError

    @property
    def client(self) -> Caller:
        """The client's connection."""
        raise NotImplementedError


def asker_of(caller: Caller) -> Caller:
    """Whose turns and places a call takes: what a part of the listener asks for its client counts as the client's."""
    while isinstance(caller, ForClient):
        caller = caller.client
    return caller


class Call(NamedTuple):
    """One call that waits.

    state       WRITE, READ, WAIT_INDEX, ASK_LESSOR or CHANGE
    payload     what is sent again to a new incarnation: a WRITE's raft entry, a CHANGE's raftpb.ConfChange, else the
                body of the request
    began_s     on the monotonic clock
    auth        who asks; None: nothing is known of that
    read_index  of a READ: what a backend must have applied before it answers, a new one as well
    """

    caller: Caller
    stream_id: int
    method: int
    state: int
    payload: bytes
    began_s: float
    auth: AuthInfo | None
    read_index: int = 0


Begin = Callable[[Caller, int, bytes, AuthInfo | None], EtcdError | None]
"""How calls of a method begin: (caller, stream id, body of the request, who asks) -> the error to refuse it with, or
None: it is on its way, or answered. raises DecodeError: body is no such request"""

GoOn = Callable[[AuthInfo | None], EtcdError | None]
"""(who asks): how a call goes on that is not refused; return as Begin"""

FollowUp = Callable[[int, Call, int, bytes], tuple[int, bytes] | None]
"""What a reply of the backend is followed by: (request id, call, code, body) -> (code, body) for the client, or None:
there is more to wait for."""


class Routes(NamedTuple):
    """The ways on which a checked request is sent.

    propose             (caller, stream id, method, body, auth) -> error, or None: it was proposed
    read                (caller, stream id, method, body, linearizable, auth): the backend reads
    read_long_running   as propose, for a read that no request timeout ends
    wait_long_running   (request id, call): the call goes on under its id as a long-running read
    ask_lessor          (caller, stream id, method, body, auth): the lessor first, then the backend
    reconfigure         (caller, stream id, method, request id -> encoded raftpb.ConfChange, auth): it is proposed.
                        Requires: who asks is permitted
    leadership          () -> what raft has said last of its leader and term
    permit              (caller, stream id, method, body, auth, go on): goes on at once or later, with who asks, unless
                        that is refused; for what is checked before a request is sent on one of the other ways, which
                        look at who asks by themselves. return as Begin
    ask_about_users     (caller, method, question, index, auth): PASSWORD_HASH, TOKEN_OWNER or LEASE_KEYS of the
                        backend. return the request id
    """

    propose: Callable[[Caller, int, int, bytes, AuthInfo | None], EtcdError | None]
    read: Callable[[Caller, int, int, bytes, bool, AuthInfo | None], None]
    read_long_running: Callable[[Caller, int, int, bytes, AuthInfo | None], EtcdError | None]
    wait_long_running: Callable[[int, Call], None]
    ask_lessor: Callable[[Caller, int, int, bytes, AuthInfo | None], None]
    reconfigure: Callable[[Caller, int, int, Callable[[int], bytes], AuthInfo | None], None]
    leadership: Callable[[], Leadership]
    permit: Callable[[Caller, int, int, bytes, AuthInfo | None, "GoOn"], EtcdError | None]
    ask_about_users: Callable[[Caller, int, bytes, int, AuthInfo | None], int]
