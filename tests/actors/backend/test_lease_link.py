"""What the lessor hears of the backend."""

from typing import Any

from actors.backend.lease_link import LeaseLink
from etcdz.ipc.messages import LeaseEvents, LeaseHello, LeaseNews, LeaseNewsEnd, LeaseTable
from etcdz.lease.lessor import GONE, GRANTED
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from tests.actors.recorded_links import RecordedLinks


def link() -> tuple[LeaseLink, RecordedLinks, Mvcc]:
    links: Any = RecordedLinks()
    mvcc = Mvcc(MemoryStore(), 1, 2)
    mvcc.lease_grant(pb.LeaseGrantRequest(ID=4, TTL=60))
    return LeaseLink(links, mvcc), links, mvcc


def test_the_table_waits_until_the_index_is_applied_that_it_is_asked_at() -> None:
    leases, links, _ = link()
    leases.on_hello(LeaseHello(7))
    leases.end_turn(6)
    assert links.take() == []
    leases.end_turn(7)
    assert links.take() == [("lessor", LeaseTable(7, 2, 1, 1, [4, 60, 0]))]
    leases.end_turn(8)
    assert links.take() == []


def test_one_table_answers_all_questions_up_to_here() -> None:
    leases, links, _ = link()
    for index in (3, 5, 9):
        leases.on_hello(LeaseHello(index))
    leases.end_turn(6)
    assert [message.at_index for message in links.of(LeaseTable)] == [5]
    leases.end_turn(9)
    assert [message.at_index for message in links.of(LeaseTable)] == [9]


def test_changes_are_told_in_order_and_once_with_the_end_of_the_news_behind_them() -> None:
    leases, links, mvcc = link()
    mvcc.lease_revoke(pb.LeaseRevokeRequest(ID=4))
    leases.on_news(LeaseNews(17))
    leases.send_events()
    leases.end_turn(1)
    assert links.take() == [
        ("lessor", LeaseEvents(1, [(GRANTED, 4, 60), (GONE, 4, 0)])),
        ("lessor", LeaseNewsEnd(17, 1)),
    ]
    leases.end_turn(2)
    assert links.take() == []
