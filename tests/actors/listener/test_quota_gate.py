"""The quota gate: what grows the store needs headroom and uses it up; without any the alarm is raised."""

from typing import Any

from actors.listener.call import Begin, Caller, Routes
from actors.listener.quota_gate import QuotaGate
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.api.methods import LEASE_GRANT, PUT, RAISE_NOSPACE, TXN
from etcdz.ipc.messages import QuotaHeadroom
from etcdz.mvcc.growth import put_growth
from etcdz.proto import etcdserverpb as pb

MEMBER = 9
PUT_REQUEST = pb.PutRequest(key=b"k", value=b"v" * 100)
BODY = PUT_REQUEST.SerializeToString()
COST = put_growth(PUT_REQUEST)
CLIENT: Any = None


class World:
    """A gate before calls that do nothing but be counted."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.proposed: list[tuple[int, bytes]] = []
        routes: Any = Routes(self.propose, *[None] * 8)  # type: ignore[arg-type]
        self.gate = QuotaGate(routes, {method: self.plain(method) for method in (PUT, TXN, LEASE_GRANT)})

    def plain(self, method: int) -> Begin:
        def begin(caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
            self.begun.append(method)
            return None

        return begin

    def propose(self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None) -> None:
        self.proposed.append((method, body))


def test_far_from_full_calls_begin_without_the_gate() -> None:
    world = World()
    begin = world.gate.on_quota_headroom(QuotaHeadroom(MEMBER, None, False))
    assert begin[PUT](CLIENT, 1, b"\xff not even a request", None) is None
    assert world.begun == [PUT]


def test_near_full_each_call_uses_up_headroom_until_there_is_none() -> None:
    world = World()
    begin = world.gate.on_quota_headroom(QuotaHeadroom(MEMBER, 2 * COST + 1, False))
    for _ in range(3):
        assert begin[PUT](CLIENT, 1, BODY, None) is None
    assert world.begun == [PUT, PUT]
    [(method, body)] = world.proposed
    alarm = pb.AlarmRequest.FromString(body)
    assert (method, alarm.action, alarm.memberID, alarm.alarm) == (RAISE_NOSPACE, 1, MEMBER, 1)


def test_once_the_alarm_is_raised_calls_are_refused_at_once() -> None:
    world = World()
    begin = world.gate.on_quota_headroom(QuotaHeadroom(MEMBER, 0, True))
    assert begin[PUT](CLIENT, 1, BODY, None) == errors.NO_SPACE
    assert (world.begun, world.proposed) == ([], [])


def test_a_transaction_that_only_deletes_needs_no_headroom() -> None:
    world = World()
    begin = world.gate.on_quota_headroom(QuotaHeadroom(MEMBER, 0, True))
    delete = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"k"))
    assert begin[TXN](CLIENT, 1, pb.TxnRequest(success=[delete]).SerializeToString(), None) is None
    assert world.begun == [TXN]


def test_more_headroom_lets_calls_begin_again() -> None:
    world = World()
    world.gate.on_quota_headroom(QuotaHeadroom(MEMBER, 0, True))
    begin = world.gate.on_quota_headroom(QuotaHeadroom(MEMBER, COST + 1, False))
    assert begin[PUT](CLIENT, 1, BODY, None) is None
    assert world.begun == [PUT]
