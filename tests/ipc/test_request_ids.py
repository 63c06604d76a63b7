"""Ids of members, clusters and requests."""

import pytest

from etcdz.cluster import identity
from etcdz.config import MemberConfig
from etcdz.ipc import request_ids


def test_the_default_member_has_the_ids_that_etcd_gives_it() -> None:
    assert MemberConfig().member_id == 0x8E9E05C52164694D
    assert MemberConfig().cluster_id == 0xCDF818194E3A8C32


def test_a_member_that_joins_has_the_time_in_its_id() -> None:
    """And no token: this id is one that etcd 3.5.1 has given, in a cluster of the token `tok`."""
    assert identity.added_member_id(["http://127.0.0.1:12383"], 1795763298) == 0x764EC28664B3AD9D
    assert identity.added_member_id(("http://127.0.0.1:12383",), 1795763299) != 0x764EC28664B3AD9D


def test_a_request_id_tells_member_and_slot() -> None:
    for slot in (0, 1, 30, 31):
        given_out = request_ids.RequestIds(0x8E9E05C52164694D, slot, 1_700_000_000_000_000)
        given = [given_out.next() for _ in range(1000)]
        assert len(set(given)) == 1000
        assert {request_ids.slot_of(id_) for id_ in given} == {slot}
        assert {request_ids.member_bits(id_) for id_ in given} == {0x694D}
        assert all(0 < id_ < 1 << 64 for id_ in given)
        assert given == sorted(given)


def test_the_counter_wraps_within_its_bits() -> None:
    given_out = request_ids.RequestIds(0xFFFF, 31, 2**43 * 5 - 1)
    assert [given_out.next() & request_ids.COUNTER_MASK for _ in range(3)] == [2**43 - 1, 0, 1]
    for _ in range(3):
        assert request_ids.slot_of(given_out.next()) == 31
        assert request_ids.member_bits(given_out.next()) == 0xFFFF


def test_a_listener_that_starts_again_gives_other_ids() -> None:
    first = request_ids.RequestIds(1, 3, 1_700_000_000_000_000)
    again = request_ids.RequestIds(1, 3, 1_700_000_000_300_000)
    other = request_ids.RequestIds(1, 4, 1_700_000_000_000_000)
    given = {r.next() for r in (first, again, other) for _ in range(1000)}
    assert len(given) == 3000


def test_members_with_the_same_low_bits_give_other_ids() -> None:
    """Though their processes begin in the same microsecond."""
    given = [request_ids.RequestIds(id_, 0, 1_700_000_000_000_000) for id_ in (0x1111_0000_ABCD, 0x2222_0000_ABCD)]
    first, second = ({ids.next() for _ in range(1000)} for ids in given)
    assert not first & second


def test_replies_for_other_members_are_left_out() -> None:
    """Another etcd's ids have any bits where the slot is."""
    ids = [request_ids.RequestIds(id_, slot, 1).next() for id_, slot in ((7, 3), (7, 30), (8, 3), (9, 3))]
    replies = {request_ids.origin_of(id_): [(id_, 0, b"")] for id_ in ids}
    own = request_ids.OwnOrigins((7, 8))
    assert own.by_slot(replies) == {3: [(ids[0], 0, b""), (ids[2], 0, b"")], 30: [(ids[1], 0, b"")]}
    assert [own.has(id_) for id_ in ids] == [True, True, True, False]


def test_a_slot_that_the_bits_do_not_hold_is_refused() -> None:
    for slot in (-1, 32):
        with pytest.raises(ValueError, match=f"slot {slot}"):
            request_ids.RequestIds(1, slot, 0)


def test_no_slot_of_a_listener_is_one_of_another_kind_of_actor() -> None:
    others = {request_ids.COMPACTOR_SLOT, request_ids.BACKEND_SLOT, request_ids.LESSOR_SLOT, request_ids.RAFT_SLOT}
    assert len(others) == 4 and others.isdisjoint(request_ids.LISTENER_SLOTS)
    assert others | set(request_ids.LISTENER_SLOTS) == set(range(32))
