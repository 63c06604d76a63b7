"""Quota and alarms: what listeners are told, and how a request that finds the store full waits for its alarm."""

from typing import Any

import pytest

from actors.backend.quota import AGAIN_S, GIVE_UP_S, QuotaWatch
from actors.runtime.link import Peer
from etcdz import limits
from etcdz.api import errors
from etcdz.ipc.messages import Propose, QuotaHeadroom
from etcdz.ipc.request_ids import BACKEND_SLOT, slot_of
from etcdz.mvcc import alarms
from etcdz.mvcc.applier import Applier
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from tests.actors.backend.test_reads import Log
from tests.actors.recorded_links import RecordedLinks

ME = 0xAB
QUOTA = 1 << 30
NO_SPACE = errors.NO_SPACE.text.encode()


class Sized(MemoryStore):
    used = 0

    def size(self) -> int:
        return self.used


class Bench:
    """A QuotaWatch with one listener, and a store whose size is set by hand."""

    def __init__(self) -> None:
        links: Any = RecordedLinks()
        self.links = links
        links.peers.append(Peer("listener-1", "listener", 0, 9, ""))
        self.store, self.log = Sized(), Log()
        self.applier = Applier(Mvcc(self.store, ME, 2), QUOTA)
        self.quota = QuotaWatch(self.applier, links, self.log, ME)

    def note(self, *replies: tuple[int, int, bytes]) -> list[tuple[int, int, bytes]]:
        """The replies of a turn to slot 0. return those that may leave"""
        by_slot = {0: list(replies)}
        self.quota.note(by_slot)
        return by_slot[0]

    def full(self, *replies: tuple[int, int, bytes]) -> list[tuple[int, int, bytes]]:
        self.applier.exceeded = True
        return self.note(*replies)

    def proposed(self) -> list[Any]:
        """Alarms that were proposed."""
        found = []
        for message in self.links.of(Propose):
            assert message.slot == BACKEND_SLOT
            for request_id, data in message.items:
                request = pb.InternalRaftRequest.FromString(data)
                assert request_id == request.header.ID
                assert slot_of(request_id) == BACKEND_SLOT
                found.append((request.alarm.alarm, request.alarm.memberID, request.alarm.action))
        return found

    def raise_alarm(self, alarm: int) -> None:
        request = pb.AlarmRequest(action=1, memberID=ME, alarm=alarm)
        self.applier.apply(pb.InternalRaftRequest(header=pb.RequestHeader(ID=1), alarm=request).SerializeToString())


def test_listeners_hear_of_headroom_only_near_the_quota_and_only_of_changes() -> None:
    bench = Bench()
    bench.quota.announce()
    assert bench.links.of(QuotaHeadroom) == [QuotaHeadroom(ME, None, False)]
    bench.store.used = QUOTA - limits.QUOTA_NEAR_BYTES
    bench.quota.announce()
    assert bench.links.take() == []
    bench.store.used += 1
    bench.quota.announce()
    bench.quota.announce()
    assert bench.links.take() == [("listener-1", QuotaHeadroom(ME, limits.QUOTA_NEAR_BYTES - 1, False))]


def test_a_new_listener_is_told_what_the_others_know() -> None:
    bench = Bench()
    bench.store.used = QUOTA - 5
    bench.quota.announce()
    bench.links.take()
    bench.quota.greet("listener-2")
    assert bench.links.take() == [("listener-2", QuotaHeadroom(ME, 5, False))]


def test_no_space_is_answered_when_the_alarm_is_raised_and_all_else_at_once() -> None:
    bench = Bench()
    refused, other = (10, errors.NO_SPACE.code, NO_SPACE), (11, 0, b"")
    assert bench.full(refused, other) == [other]
    assert bench.proposed() == [(alarms.NOSPACE, ME, 1)]
    bench.raise_alarm(alarms.NOSPACE)
    assert bench.note() == [refused]
    assert bench.quota.next_at is None
    assert bench.links.of(QuotaHeadroom)[-1].is_capped
    assert bench.full((12, errors.NO_SPACE.code, NO_SPACE)) == [(12, errors.NO_SPACE.code, NO_SPACE)]
    assert bench.proposed() == []


def test_an_alarm_that_is_not_raised_is_proposed_again_and_answers_do_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bench = Bench()
    refused = (10, errors.NO_SPACE.code, NO_SPACE)
    bench.full(refused)
    assert len(bench.proposed()) == 1
    assert bench.quota.next_at == now + AGAIN_S
    now += AGAIN_S
    assert bench.quota.on_deadline(now) == {}
    assert len(bench.proposed()) == 1
    now = 100.0 + GIVE_UP_S
    assert bench.quota.on_deadline(now) == {0: [refused]}


def test_an_alarm_that_is_raised_already_is_not_proposed() -> None:
    bench = Bench()
    bench.raise_alarm(alarms.CORRUPT)
    bench.note()
    bench.links.take()
    bench.quota.raise_alarm(alarms.CORRUPT)
    assert bench.links.take() == []
    assert bench.log.lines == ["alarm raised"]
