"""What the monitor shows of the other members."""

from etcdz.monitor.paint import plain
from etcdz.monitor.peers import PeerView, peer_rows
from etcdz.monitor.view import History
from tests.monitor.samples import cluster_member, member, row, sample


def test_other_members_have_rates_and_how_far_they_have_followed() -> None:
    _, view = cluster_member()
    assert view.peers == (
        PeerView("b2", "b", True, "", "replicate", "", 1, 50_000.0, 300.0, 240, 0, 0),
        PeerView("c3", "", True, "", "snapshot", "to 45%", 70_000, 0.0, 0.0, None, 3 << 20, 4),
    )
    flow = {(edge.source, edge.target): edge.per_s for edge in view.flow}
    assert (flow["peer", "raft"] == 80.0 and flow["raft", "peer"] == 90.0 - 90.0) or flow["raft", "peer"] is not None


def test_one_look_gives_no_rates() -> None:
    _, view = cluster_member(1)
    assert [(peer.to_per_s, peer.from_per_s) for peer in view.peers] == [(None, None)] * 2


def test_a_member_that_is_not_heard_of_any_more_is_an_event() -> None:
    history, view = cluster_member(heard=False)
    assert not view.peers[0].is_heard
    assert [event[1:] for event in view.events] == [("b", "is not heard of: EOF", "bad")]
    assert history.events == view.events


def test_a_member_that_is_alone_shows_none() -> None:
    _, view = member()
    assert view.peers == ()
    assert peer_rows(view.peers, 80) == []


def test_a_summary_of_another_version_is_passed_over() -> None:
    beat = {"statistics": {}, "summary": {"peers": [3, {"name": "x"}], "followers": 7}}
    view = History().feed(sample(1.0, row("peer", 1.0, {}, heartbeat=beat), row("raft", 1.0, {}, heartbeat=beat)))
    assert [(peer.id, peer.name, peer.is_heard) for peer in view.peers] == [("", "x", False)]


def test_rows_fit() -> None:
    _, view = cluster_member()
    for width in (40, 80, 160):
        lines = peer_rows(view.peers, width)
        assert [len(plain(one)) <= width for one in lines] == [True] * 3
