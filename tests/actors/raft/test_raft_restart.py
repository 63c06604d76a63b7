"""A raft that is restarted alone, with wal and backend that live on, and the other members as answers of the test."""

from collections.abc import Iterator

import pytest

from etcdz.raft import Message
from etcdz.raft.messages import CANDIDATE, FOLLOWER, LEADER, MSG_VOTE, MSG_VOTE_RESP
from tests.actors.raft.restarted import ME, Restarted, restarted_with


@pytest.fixture
def restarted() -> Iterator[Restarted]:
    with restarted_with((1, 2, 3)) as one:
        yield one


def test_who_led_campaigns_at_once_and_leads_with_one_vote(restarted: Restarted) -> None:
    restarted.greet(leader=ME)
    assert restarted.role == CANDIDATE
    node = restarted.actor.node
    assert node is not None
    asked = [m for m in node.raft.messages if m.type == MSG_VOTE]
    # Their lease is this member's own: they are told so, and need not wait for its end.
    assert [(m.to, m.term, m.context) for m in asked] == [(2, 4, b"CampaignTransfer"), (3, 4, b"CampaignTransfer")]
    restarted.make_durable()
    assert restarted.role == CANDIDATE
    node.step(Message(MSG_VOTE_RESP, to=ME, from_=2, term=4))
    assert restarted.role == LEADER


@pytest.mark.parametrize(("leader", "term"), [(2, 3), (0, 3), (ME, 2)], ids=["followed", "stepped-down", "long-ago"])
def test_who_did_not_lead_waits_for_its_election_timeout(restarted: Restarted, leader: int, term: int) -> None:
    restarted.greet(leader, term)
    restarted.make_durable()
    assert restarted.role == FOLLOWER
    node = restarted.actor.node
    assert node is not None and node.raft.term == 3
