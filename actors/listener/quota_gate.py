"""What stands before calls that grow the store while it is nearly full: they need headroom, or are refused."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from actors.listener.call import Begin, Call, Caller, FollowUp, Routes
from etcdz.api import errors
from etcdz.api.auth_info import THE_MEMBER, AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.api.methods import LEASE_GRANT, PUT, RAISE_NOSPACE, TXN
from etcdz.ipc.messages import QuotaHeadroom
from etcdz.mvcc.alarms import NOSPACE
from etcdz.mvcc.growth import LEASE_OVERHEAD_BYTES, put_growth, txn_growth
from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb

_GROWTH: Final[dict[int, tuple[Any, Callable[[Any], int]]]] = {
    PUT: (pb.PutRequest, put_growth),
    TXN: (pb.TxnRequest, txn_growth),
    LEASE_GRANT: (pb.LeaseGrantRequest, lambda _: LEASE_OVERHEAD_BYTES),
}
"""method -> (request class, by how many bytes a request grows the store)"""
_ACTIVATE: Final = 1
"""AlarmRequest.action"""


class QuotaGate:
    """Stands before calls that grow the store, while the backend says that it is nearly full, and nowhere else.

    Order as in etcd: no space comes before what is wrong with a request.

    follow_ups  by method: what replies to what the gate proposes are followed by
    """

    def __init__(self, routes: Routes, begin: Mapping[int, Begin]) -> None:
        """begin: how calls begin without the gate, at least those that grow the store"""
        self._propose = routes.propose
        self._ungated = {method: begin[method] for method in _GROWTH}
        self._gated = {method: self._behind_gate(method) for method in _GROWTH}
        self._headroom = 0
        self._is_capped = False
        self._alarm = b""
        self.follow_ups: dict[int, FollowUp] = {RAISE_NOSPACE: _no_space}

    def on_quota_headroom(self, message: QuotaHeadroom) -> Mapping[int, Begin]:
        """return how calls that grow the store begin from now on: behind the gate, or without it"""
        self._headroom = message.headroom or 0
        self._is_capped = message.is_capped
        alarm = pb.AlarmRequest(action=_ACTIVATE, memberID=message.member_id, alarm=NOSPACE)
        self._alarm = alarm.SerializeToString()
        return self._ungated if message.headroom is None else self._gated

    def _behind_gate(self, method: int) -> Begin:
        request_class, growth = _GROWTH[method]
        begin = self._ungated[method]

        def begin_within_quota(caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
            cost = growth(deep.decode(request_class, body))
            if cost == 0 or cost < self._headroom:
                self._headroom -= cost
                return begin(caller, stream_id, body, auth)
            if self._is_capped:
                return errors.NO_SPACE
            return self._propose(caller, stream_id, RAISE_NOSPACE, self._alarm, None if auth is None else THE_MEMBER)

        return begin_within_quota


def _no_space(request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes]:
    """Whatever became of the alarm, its call has found no space."""
    return errors.NO_SPACE.code, errors.NO_SPACE.text.encode()
