"""A listener's calls for maintenance, and what stands before writes while the store is nearly full.

Calls of this module use Calls as the others do: what can be checked here is refused here, the rest is a read of the
backend or a proposal.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.api.methods import DEFRAGMENT, DOWNGRADE, LEASE_GRANT, MOVE_LEADER, PUT, RAISE_NOSPACE, SET_DOWNGRADE, TXN
from etcdz.cluster import downgrade
from etcdz.ipc.messages import QuotaHeadroom
from etcdz.mvcc import validate
from etcdz.mvcc.alarms import NOSPACE
from etcdz.mvcc.growth import LEASE_OVERHEAD_BYTES, put_growth, txn_growth
from etcdz.proto import etcdserverpb as pb

Begin = Callable[[Any, int, bytes, AuthInfo | None], EtcdError | None]
"""(caller, stream id, body, who asks): an error at once, or None"""
_GROWTH: Final[dict[int, tuple[Any, Callable[[Any], int]]]] = {
    PUT: (pb.PutRequest, put_growth),
    TXN: (pb.TxnRequest, txn_growth),
    LEASE_GRANT: (pb.LeaseGrantRequest, lambda _: LEASE_OVERHEAD_BYTES),
}
"""method -> (request class, by how much it grows the store)"""


class Ways(NamedTuple):
    """What actors.calls.Calls does with a request that has passed its checks. leader: the id of raft's, or 0

    propose(caller, stream id, method, body, who asks), read_long_running(the same): return an error at once, or None
    read(caller, stream id, method, body, linearizable, who asks)
    """

    propose: Callable[[Any, int, int, bytes, AuthInfo | None], EtcdError | None]
    read: Callable[[Any, int, int, bytes, bool, AuthInfo | None], None]
    read_long_running: Callable[[Any, int, int, bytes, AuthInfo | None], EtcdError | None]
    leader: Callable[[], int]


class Maintenance:
    """begin: how calls of these methods begin."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._member_id = 0
        self.begin: dict[int, Begin] = {
            DEFRAGMENT: self._defragment,
            MOVE_LEADER: self._move_leader,
            DOWNGRADE: self._downgrade,
        }

    def on_quota_headroom(self, message: QuotaHeadroom) -> None:
        self._member_id = message.member_id

    def _defragment(self, caller: Any, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.DefragmentRequest, body)
        return self._ways.read_long_running(caller, stream_id, DEFRAGMENT, b"", auth)

    def _move_leader(self, caller: Any, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        pb.MoveLeaderRequest.FromString(body)
        leader = self._ways.leader()
        if not leader or leader != self._member_id:
            return errors.NOT_LEADER
        self._ways.read(caller, stream_id, MOVE_LEADER, body, False, auth)
        return None

    def _downgrade(self, caller: Any, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.DowngradeRequest.FromString(body)
        if request.action not in (downgrade.VALIDATE, downgrade.ENABLE, downgrade.CANCEL):
            return errors.UNKNOWN_METHOD
        target = downgrade.parse_target(request.version)
        if request.action != downgrade.CANCEL and isinstance(target, EtcdError):
            return target
        self._ways.read(caller, stream_id, DOWNGRADE, body, True, auth)
        return None

    def set_downgrade(self, caller: Any, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        """The backend has found nothing against a DowngradeRequest. Requires: it does not only ask."""
        request = pb.DowngradeRequest.FromString(body)
        change = pb.InternalRaftRequest().downgrade_info_set
        if request.action == downgrade.ENABLE:
            change.enabled, change.ver = True, str(downgrade.parse_target(request.version))
        return self._ways.propose(caller, stream_id, SET_DOWNGRADE, change.SerializeToString(), auth)


class QuotaGate:
    """Stands before calls that grow the store, while the backend says that it is nearly full, and nowhere else.

    Order as in etcd: no space comes before what is wrong with a request.
    """

    def __init__(self, ways: Ways, begin: dict[int, Begin]) -> None:
        """begin: of all calls; entries are replaced while the gate stands."""
        self._ways = ways
        self._begin = begin
        self._open = {method: begin[method] for method in _GROWTH if method in begin}
        self._gated = {method: self._gate(method) for method in self._open}
        self._headroom = 0
        self._is_capped = False
        self._alarm = b""

    def on_quota_headroom(self, message: QuotaHeadroom) -> None:
        self._begin.update(self._open if message.headroom is None else self._gated)
        self._headroom = message.headroom or 0
        self._is_capped = message.is_capped
        alarm = pb.AlarmRequest(action=1, memberID=message.member_id, alarm=NOSPACE)
        self._alarm = alarm.SerializeToString()

    def _gate(self, method: int) -> Begin:
        request_class, growth = _GROWTH[method]
        begin = self._open[method]

        def begin_within_quota(caller: Any, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
            cost = growth(request_class.FromString(body))
            if cost == 0 or cost < self._headroom:
                self._headroom -= cost
                return begin(caller, stream_id, body, auth)
            if self._is_capped:
                return errors.NO_SPACE
            return self._ways.propose(caller, stream_id, RAISE_NOSPACE, self._alarm, auth)

        return begin_within_quota
