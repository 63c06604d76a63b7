"""Lock and Election where somebody waits: both members answer the same, and leave the same keys."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb as ep
from etcdz.proto import v3lockpb as lp
from tests.parity.calls import METHODS
from tests.parity.pair import Pair, Side

_WAIT_S = 60
ALL = pb.RangeRequest(key=b"\0", range_end=b"\0")


class Talker:
    """One client of one member. What it sees is made alike in `seen`: revisions count from the start."""

    def __init__(self, side: Side, base: int) -> None:
        self.side = side
        self.base = base
        self.seen: list[Any] = []
        self._channel = grpc.insecure_channel(side.member.target)

    def close(self) -> None:
        self._channel.close()

    def begin(self, name: str, request: Any, timeout_s: float = _WAIT_S) -> Any:
        path, _, answer = METHODS[name]
        call = self._channel.unary_unary(path, response_deserializer=answer.FromString)
        return call.future(request.SerializeToString(), timeout=timeout_s)

    def note(self, future: Any) -> None:
        try:
            answer = future.result()
            answer.header.raft_term = self.side.plain_term(answer.header.raft_term)
            self.seen.append(str(answer).replace(f"revision: {self.base}", "revision: B"))
        except grpc.RpcError as error:
            self.seen.append((error.code().name, error.details()))

    def ask(self, name: str, request: Any) -> Any:
        future = self.begin(name, request)
        self.note(future)
        return future

    def grant(self, *lease_ids: int) -> None:
        for lease_id in lease_ids:
            self.begin("LeaseGrant", pb.LeaseGrantRequest(ID=lease_id, TTL=600)).result()

    def rows(self) -> list[tuple[bytes, bytes, int]]:
        found = self.begin("Range", ALL).result().kvs
        return [(kv.key, kv.value, kv.create_revision) for kv in found]

    def wait_for(self, *keys: bytes) -> None:
        """Until these are all."""
        deadline = threading.Event()
        timer = threading.Timer(_WAIT_S, deadline.set)
        timer.start()
        try:
            while (found := {key for key, _, _ in self.rows()}) != set(keys):
                assert not deadline.is_set(), (self.side.member.kind, found)
        finally:
            timer.cancel()
        self.seen.append(self.rows())


@pytest.fixture
def talkers(pair: Pair) -> Iterator[list[Talker]]:
    base = pair.begin_conversation()
    both = [Talker(side, base) for side in pair.sides]
    yield both
    for talker in both:
        talker.close()
    assert both[1].seen == both[0].seen


def lock(name: bytes, lease_id: int) -> Any:
    return lp.LockRequest(name=name, lease=lease_id)


def test_who_waits_gets_the_lock_in_turn(talkers: list[Talker]) -> None:
    for talker in talkers:
        talker.grant(5, 6, 7)
        talker.ask("Lock", lock(b"n", 5))
        six = talker.begin("Lock", lock(b"n", 6))
        talker.wait_for(b"n/5", b"n/6")
        seven = talker.begin("Lock", lock(b"n", 7))
        talker.wait_for(b"n/5", b"n/6", b"n/7")
        assert not six.done()
        talker.ask("Unlock", lp.UnlockRequest(key=b"n/5"))
        talker.note(six)
        assert not seven.done()
        talker.ask("LeaseRevoke", pb.LeaseRevokeRequest(ID=6))
        talker.note(seven)
        talker.wait_for(b"n/7")


def stand_in_line(talker: Talker, other: Talker, timeout_s: float) -> list[Any]:
    """The other's calls for the lock and for leadership, which wait for so long, and both have keys.

    NB: who runs out of time before it has its key may leave it behind, in etcd too: such a call is made anew, with more
    time.
    """
    while True:
        calls = [
            other.begin("Lock", lock(b"n", 6), timeout_s),
            other.begin("Campaign", ep.CampaignRequest(name=b"e", lease=6), timeout_s),
        ]
        while not any(call.done() for call in calls):
            if len(talker.rows()) == 4 and not any(call.done() for call in calls):
                return calls
        for call in calls:
            call.exception()
        talker.begin("LeaseRevoke", pb.LeaseRevokeRequest(ID=6)).result()
        talker.grant(6)
        timeout_s *= 4


@pytest.mark.parametrize("how", ["cancelled", "out of time", "gone"])
def test_who_does_not_wait_any_more_leaves_the_line(talkers: list[Talker], how: str) -> None:
    for talker in talkers:
        talker.grant(5, 6)
        talker.ask("Lock", lock(b"n", 5))
        talker.ask("Campaign", ep.CampaignRequest(name=b"e", lease=5))
        other = Talker(talker.side, talker.base)
        waiting = stand_in_line(talker, other, 1.0 if how == "out of time" else _WAIT_S)
        for call in waiting if how == "cancelled" else ():
            call.cancel()
        if how == "gone":
            other.close()
        if how == "out of time":
            assert all(call.exception() is not None for call in waiting)  # the client's word, or etcd's own
        talker.wait_for(b"n/5", b"e/5")
        other.close()


def test_a_waiter_whose_lease_ends_is_told_when_its_turn_comes(talkers: list[Talker]) -> None:
    for talker in talkers:
        talker.grant(5, 6)
        talker.ask("Lock", lock(b"n", 5))
        talker.ask("Campaign", ep.CampaignRequest(name=b"e", lease=5))
        waiting = talker.begin("Lock", lock(b"n", 6))
        talker.wait_for(b"n/5", b"e/5", b"n/6")
        running = talker.begin("Campaign", ep.CampaignRequest(name=b"e", lease=6))
        talker.wait_for(b"n/5", b"e/5", b"n/6", b"e/6")
        talker.ask("LeaseRevoke", pb.LeaseRevokeRequest(ID=6))
        talker.ask("Put", pb.PutRequest(key=b"other"))
        assert not waiting.done()
        assert not running.done()
        talker.ask("LeaseRevoke", pb.LeaseRevokeRequest(ID=5))
        talker.note(waiting)
        talker.note(running)
        talker.wait_for(b"other")


def test_a_candidate_may_say_something_else_while_it_waits(talkers: list[Talker]) -> None:
    for talker in talkers:
        talker.grant(5, 6)
        first = talker.ask("Campaign", ep.CampaignRequest(name=b"e", lease=5, value=b"5")).result()
        waiting = talker.begin("Campaign", ep.CampaignRequest(name=b"e", lease=6, value=b"6"))
        talker.wait_for(b"e/5", b"e/6")
        again = talker.begin("Campaign", ep.CampaignRequest(name=b"e", lease=6, value=b"six"))
        while (b"six",) not in [(value,) for _, value, _ in talker.rows()]:
            pass
        talker.ask("Resign", ep.ResignRequest(leader=first.leader))
        talker.note(waiting)
        talker.note(again)
        talker.ask("Leader", ep.LeaderRequest(name=b"e"))


def test_a_lease_is_granted_to_who_brings_none(talkers: list[Talker]) -> None:
    for talker in talkers:
        key = talker.begin("Lock", lock(b"n", 0)).result().key
        leader = talker.begin("Campaign", ep.CampaignRequest(name=b"e", value=b"v")).result().leader
        assert leader.key == b"e/%x" % leader.lease
        for lease_id, name in (int(key[2:], 16), key), (leader.lease, leader.key):
            request = pb.LeaseTimeToLiveRequest(ID=lease_id, keys=True)
            left = talker.begin("LeaseTimeToLive", request).result()
            assert list(left.keys) == [name]
            talker.seen.append(left.grantedTTL)


def test_observers_are_told_of_leaders_and_what_they_say(talkers: list[Talker]) -> None:
    for talker in talkers:
        talker.grant(5, 6)
        stream = talker._channel.unary_stream("/v3electionpb.Election/Observe")
        observed = stream(ep.LeaderRequest(name=b"e").SerializeToString(), timeout=_WAIT_S)

        def told(talker: Talker = talker, observed: Any = observed) -> None:
            answer = ep.LeaderResponse.FromString(next(observed))
            talker.seen.append((answer.kv.key, answer.kv.value, answer.kv.mod_revision - talker.base))
            assert answer.header.revision >= answer.kv.mod_revision

        leader = talker.begin("Campaign", ep.CampaignRequest(name=b"e", lease=5, value=b"5")).result().leader
        told()
        for value in (b"a", b"b"):
            talker.ask("Proclaim", ep.ProclaimRequest(leader=leader, value=value))
            told()
        heir = talker.begin("Campaign", ep.CampaignRequest(name=b"e", lease=6, value=b"6"))
        while len(talker.rows()) < 2:
            pass
        talker.ask("Resign", ep.ResignRequest(leader=leader))
        told()
        talker.note(heir)
        talker.ask("LeaseRevoke", pb.LeaseRevokeRequest(ID=6))
        talker.ask("Put", pb.PutRequest(key=b"e/9", value=b"anybody"))
        told()
        observed.cancel()
