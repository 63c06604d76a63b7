"""A proposal offered twice enters the log once, however late the second offer comes."""

import random

from actors.raft.request_window import FORGOTTEN_SPAN, RequestWindow, request_id_of
from etcdz.api.raft_request import encode_request
from etcdz.ipc.request_ids import LESSOR_SLOT, RequestIds
from etcdz.proto import etcdserverpb as pb


def ids_of(slot: int, count: int, now_us: int = 1_000_000) -> list[int]:
    ids = RequestIds(7, slot, now_us)
    return [ids.next() for _ in range(count)]


def test_an_id_is_new_once() -> None:
    window = RequestWindow(8)
    assert window.add(5)
    assert not window.add(5)


def test_the_oldest_are_forgotten_and_not_taken_for_new() -> None:
    window = RequestWindow(3)
    ids = ids_of(0, 6)
    window.add_all(ids[:5])
    window.trim(unapplied=0)
    assert len(window) == 3 and [one in window for one in ids] == [False, False, True, True, True, False]
    assert [window.has_forgotten(one) for one in ids] == [True, True, False, False, False, False]
    assert [window.add(one) for one in ids] == [False, False, False, False, False, True]


def test_what_is_not_applied_is_never_forgotten() -> None:
    window = RequestWindow(3)
    ids = ids_of(0, 50)
    window.add_all(ids)
    window.trim(unapplied=40)
    assert [one in window for one in ids] == [False] * 7 + [True] * 43
    window.trim(unapplied=0)
    assert len(window) == 3


def test_three_listeners_that_fill_the_window_together_enter_nothing_twice() -> None:
    """Each has less in flight than the window holds; together they have more, and nothing of it is applied."""
    window = RequestWindow(100)
    listeners = [ids_of(slot, 60) for slot in (0, 1, 2)]
    offers = [one for turn in zip(*listeners, strict=True) for one in turn]
    assert all([window.add(one) for one in offers])
    window.trim(unapplied=len(offers))
    assert not any([window.add(one) for one in offers])


def test_one_listeners_new_ids_are_not_refused_for_what_another_has_had() -> None:
    window = RequestWindow(2)
    slow, fast = ids_of(0, 2, now_us=5), ids_of(1, 100, now_us=1_000)
    window.add_all([slow[0], *fast])
    window.trim(unapplied=0)
    assert window.has_forgotten(slow[0]) and window.add(slow[1])


def test_the_highest_forgotten_counts_where_a_late_offer_stands_behind_later_ids() -> None:
    window = RequestWindow(1)
    first, second, third, fourth = ids_of(0, 4)
    window.add_all([first, third, second, fourth])
    window.trim(unapplied=0)
    assert not window.add(third)
    window.add_all(ids_of(1, 1))
    window.trim(unapplied=0)
    assert window.has_forgotten(fourth)


def test_a_listener_that_starts_with_the_clock_set_back_is_not_refused() -> None:
    window = RequestWindow(1)
    window.add_all(ids_of(0, 10, now_us=3 * FORGOTTEN_SPAN))
    window.trim(unapplied=0)
    assert all([window.add(one) for one in ids_of(0, 10, now_us=FORGOTTEN_SPAN)])


def test_the_lessor_may_offer_again_what_was_refused_behind_later_ids() -> None:
    window = RequestWindow(1)
    refused, *later = ids_of(LESSOR_SLOT, 9)
    window.add_all(later)
    window.trim(unapplied=0)
    assert window.add(refused)


def test_a_window_read_out_of_the_end_of_a_log_refuses_what_may_stand_before_it() -> None:
    ids = ids_of(0, 4)
    data = [encode_request(one, b"\x22", b"") for one in ids]
    window, whole = RequestWindow(8), RequestWindow(8)
    window.add_entries([b"", *data[2:]], is_whole_log=False)
    assert [window.add(one) for one in ids] == [False] * 4 and window.has_forgotten(ids[1])
    whole.add_entries([b"", *data[2:]], is_whole_log=True)
    assert [whole.add(one) for one in ids] == [True, True, False, False]


def test_no_id_is_new_twice_whatever_is_forgotten_in_between() -> None:
    """Random offers of four listeners in rising order, offered again at random."""
    for seed in range(50):
        choose = random.Random(seed)
        window = RequestWindow(10)
        fresh = [iter(ids_of(slot, 200)) for slot in range(4)]
        offered: list[int] = []
        for _ in range(400):
            again = bool(offered) and choose.random() < 0.5
            one = choose.choice(offered) if again else next(choose.choice(fresh))
            assert window.add(one) is not again
            offered.append(one)
            window.trim(choose.choice((0, 5, 50)))
        assert len(window) <= 60


def test_ids_are_read_out_of_entries_of_the_log() -> None:
    window = RequestWindow(8)
    request_id = 0xFEDC_BA98_7654_3210
    body = pb.PutRequest(key=b"k", value=b"v" * 300).SerializeToString()
    window.add_entries([encode_request(request_id, b"\x22", body)], is_whole_log=True)
    assert not window.add(request_id)


def test_the_id_is_found_wherever_the_header_stands() -> None:
    by_other_encoder = pb.InternalRaftRequest(header=pb.RequestHeader(ID=77), put=pb.PutRequest(key=b"k"))
    assert request_id_of(by_other_encoder.SerializeToString()) == 77


def test_the_id_is_that_of_the_header_whatever_else_the_header_holds() -> None:
    for name in ("a", "root", "\u00a2\x06\x03\x08", "x" * 200):
        header = pb.RequestHeader(ID=5, username=name, auth_revision=1)
        entry = pb.InternalRaftRequest(header=header, put=pb.PutRequest(key=b"k"))
        assert request_id_of(entry.SerializeToString()) == 5


def test_the_id_is_found_behind_a_body_that_looks_like_a_header() -> None:
    inner = pb.InternalRaftRequest(header=pb.RequestHeader(ID=8)).SerializeToString()
    assert request_id_of(encode_request(9, b"\x22", pb.PutRequest(key=b"k", value=inner).SerializeToString())) == 9
    assert request_id_of(inner) == 8


def test_entries_without_an_id_have_none() -> None:
    assert request_id_of(b"") == 0
    assert request_id_of(pb.Request(ID=9, Method="PUT", Path="/0/version", Val="3.5.0").SerializeToString()) in (0, 9)


def test_the_undecoded_body_arrives_as_the_request() -> None:
    put = pb.PutRequest(key=b"k" * 20_000, value=b"v", lease=3)
    entry = pb.InternalRaftRequest.FromString(encode_request(9, b"\x22", put.SerializeToString()))
    assert (entry.header.ID, entry.put) == (9, put)
