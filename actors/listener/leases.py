"""How unary calls of etcd's Lease service begin. Keep-alives are streams: keep_alives.py."""

from collections.abc import Callable
from typing import Final

from actors.listener.call import Begin, Caller, ForClient, Routes, asker_of
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.api.methods import LEASE_GRANT, LEASE_KEYS, LEASE_LEASES, LEASE_REVOKE, LEASE_TIME_TO_LIVE
from etcdz.auth.questions import decode_revision, lease_question
from etcdz.lease import question
from etcdz.mvcc import validate
from etcdz.proto import etcdserverpb as pb

_LEASE_ID_MAX: Final = (1 << 63) - 1


class Leases:
    """The unary methods of Lease. begin: by method: how its calls begin"""

    def __init__(self, routes: Routes, next_id: Callable[[], int]) -> None:
        """next_id: gives a number that no lease of the cluster has, for a grant that names none"""
        self._propose = routes.propose
        self._ask_lessor = routes.ask_lessor
        self._permit = routes.permit
        self._ask_about_users = routes.ask_about_users
        self._next_id = next_id
        self.begin: dict[int, Begin] = {
            LEASE_GRANT: self._grant,
            LEASE_REVOKE: self._revoke,
            LEASE_TIME_TO_LIVE: self._time_to_live,
            LEASE_LEASES: self._leases,
        }

    def _grant(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.LeaseGrantRequest.FromString(body)
        while not request.ID:
            request.ID = self._next_id() & _LEASE_ID_MAX
            body = request.SerializeToString()
        return self._propose(caller, stream_id, LEASE_GRANT, body, auth)

    def _revoke(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        pb.LeaseRevokeRequest.FromString(body)
        return self._propose(caller, stream_id, LEASE_REVOKE, body, auth)

    def _time_to_live(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.LeaseTimeToLiveRequest.FromString(body)

        def go_on(auth: AuthInfo | None) -> None:
            if auth is None or not request.keys:
                self._ask_lessor(caller, stream_id, LEASE_TIME_TO_LIVE, body, auth)
            else:
                check = _KeysCheck(caller, stream_id, body, auth, self._ask_lessor)
                question = lease_question(request.ID, wants_write=False)
                self._ask_about_users(check, LEASE_KEYS, question, 0, auth)

        return self._permit(caller, stream_id, LEASE_TIME_TO_LIVE, body, auth, go_on)

    def _leases(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.LeaseLeasesRequest, body)
        self._ask_lessor(caller, stream_id, LEASE_LEASES, body, auth)
        return None


class _KeysCheck(ForClient):
    """Before anybody is told of a lease's keys: whether who asks may read all of them. On a member that does not lead
    the answer itself comes from another, which does not know who asks."""

    __slots__ = ("_ask_lessor", "_auth", "_body", "_caller", "_stream_id")

    def __init__(
        self,
        caller: Caller,
        stream_id: int,
        body: bytes,
        auth: AuthInfo,
        ask_lessor: Callable[[Caller, int, int, bytes, AuthInfo | None], None],
    ) -> None:
        """ask_lessor: as of Routes, if nothing speaks against it"""
        self._caller = caller
        self._stream_id = stream_id
        self._body = body
        self._auth = auth
        self._ask_lessor = ask_lessor

    @property
    def client(self) -> Caller:
        return asker_of(self._caller)

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """NB: the revision of the check stands for who asks from here on: it is compared when the keys are there."""
        if code:
            self._caller.reply(self._stream_id, code, body)
        else:
            auth = self._auth._replace(revision=decode_revision(body))
            self._ask_lessor(self._caller, self._stream_id, LEASE_TIME_TO_LIVE, self._body, auth)

    def flush(self) -> None:
        self._caller.flush()


def lessor_query(request_id: int, method: int, body: bytes) -> tuple[int, int, int]:
    """What the lessor is asked for a call: (request id, verb, lease or 0), an item of LeaseCalls.

    method, body: LEASE_TIME_TO_LIVE or LEASE_LEASES, and its request
    """
    if method == LEASE_LEASES:
        return request_id, question.LEASES, 0
    return request_id, question.TIME_TO_LIVE, pb.LeaseTimeToLiveRequest.FromString(body).ID


def wants_keys(method: int, body: bytes) -> bool:
    """Whether a LEASE_TIME_TO_LIVE asks for the lease's keys as well. method, body: as for `lessor_query`"""
    return method == LEASE_TIME_TO_LIVE and pb.LeaseTimeToLiveRequest.FromString(body).keys


def with_keys_wanted(request: bytes, answer: bytes) -> bytes:
    """What the backend is asked after the lessor has answered a LEASE_TIME_TO_LIVE: the lessor's answer, and a byte
    that says whether the client wants the lease's keys."""
    return answer + (b"\1" if pb.LeaseTimeToLiveRequest.FromString(request).keys else b"\0")
