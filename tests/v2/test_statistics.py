"""Figures of appends, and how Go writes them."""

import math

import pytest

from etcdz.v2.append_statistics import SAMPLES_MAX, AppendFlow, AppendStatistics, Flow, FollowerFigures
from etcdz.v2.go_json import encode_duration, encode_float
from etcdz.v2.member_request import Refused, member_id_of, peer_urls_of
from etcdz.v2.member_statistics import leader_json


def test_rates_are_of_the_last_200_appends_and_of_none_after_a_calm_second() -> None:
    flow = AppendFlow()
    assert flow.figure(0) == Flow(0, 0, 0)
    for at in range(300):
        flow.count(10 if at < 100 else 20, at / 100)
    told = flow.figure(3.0)
    assert told.appends == 300
    assert math.isclose(told.messages, SAMPLES_MAX / 1.99) and math.isclose(told.bytes, SAMPLES_MAX * 20 / 1.99)
    assert flow.figure(4.1) == flow.figure(4.1) == Flow(300, 0, 0)


def test_a_follower_has_the_average_of_its_times_and_how_far_they_are_from_it() -> None:
    statistics = AppendStatistics()
    statistics.meet({2, 3})
    for at in (0.0, 10.0):
        statistics.on_append(2, 1, True, at)
        statistics.on_written(at + (0.001 if at else 0.003))
    statistics.on_posted(3, None)
    two = statistics.followers[2].figures
    assert [round(each, 6) for each in two] == [1, 2, 1, 1, 3, 0, 2]
    assert statistics.followers[3].figures == FollowerFigures(failed=1)
    statistics.meet({3})
    assert leader_json(0xA, [(id_, f.figures) for id_, f in statistics.followers.items()]) == (
        '{"leader":"a","followers":{"3":{"latency":{"current":0,"average":0,"standardDeviation":0,'
        '"minimum":9223372036854776000,"maximum":0},"counts":{"fail":1,"success":0}}}}'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.5, "1.5"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (2.0**63, "9223372036854776000"),
        (1e21, "1e+21"),
    ],
)
def test_a_number_is_written_as_by_go(value: float, text: str) -> None:
    assert encode_float(value) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (15, "15ns"),
        (1_500, "1.5µs"),
        (2_000_000, "2ms"),
        (3_600_000_000_001, "1h0m0.000000001s"),
        (61_500_000_000, "1m1.5s"),
    ],
)
def test_a_duration_is_written_as_by_go(ns: int, text: str) -> None:
    assert encode_duration(ns) == text


def test_urls_of_a_member_are_found_whatever_the_case_of_their_name() -> None:
    assert peer_urls_of("application/JSON; charset=utf-8", b'{"PeerURLs":[" http://a:1 "],"x":1}') == ["http://a:1"]


BAD = (b"", b"null", b"[]", b'{"peerURLs":1}', b'{"peerURLs":[1]}', b"{} x", b"[" * 9999)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("", b"{}", 415),
        ("application/json", b"", 400),
        ("application/json", b"[" * 9999, 400),
    ]
    + [("application/json", body, 400) for body in (b"null", b"[]", b'{"peerURLs":1}', b'{"peerURLs":[1]}', b"{} x")],
)
def test_what_names_no_urls_is_refused(kind: str, body: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        peer_urls_of(kind, body)
    assert refused.value.status == status


@pytest.mark.parametrize("text", ["", "-1", "+1", "0x1", "1_0", "g", "1" * 17, " 1"])
def test_what_is_no_id_is_refused(text: str) -> None:
    assert member_id_of("00ff") == 255
    with pytest.raises(Refused):
        member_id_of(text)
