"""What a member says of itself, once."""

import json
import time

import pytest

from actors.raft.publish import RETRY_S, Publish
from etcdz import CLUSTER_VERSION
from etcdz.config import MemberConfig
from etcdz.ipc import request_ids
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import Message, make_entry
from etcdz.raft.messages import MSG_APP, MSG_HEARTBEAT, MSG_PROP
from tests.actors.raft.restarted import ME, PEER, restarted_with, said

URL = "http://10.0.0.1:2379"


def requests(publish: Publish) -> list[pb.Request]:
    return [pb.Request.FromString(data) for data in publish.waiting]


@pytest.mark.parametrize(
    ("cluster_version", "paths"),
    [
        (CLUSTER_VERSION, ["/0/members/1/attributes"]),
        (None, ["/0/members/1/attributes"]),
        ("3.4.0", ["/0/members/1/attributes", "/0/version"]),
    ],
)
def test_name_and_urls_are_published_and_the_cluster_version_if_it_is_another(
    cluster_version: str | None, paths: list[str]
) -> None:
    publish = Publish(MemberConfig(name="one", advertise_client_urls=(URL,)))
    publish.begin(ME, cluster_version)
    found = requests(publish)
    assert [request.Path for request in found] == paths
    assert json.loads(found[0].Val) == {"name": "one", "clientURLs": [URL]}


def test_it_is_published_once_and_no_listener_has_the_ids() -> None:
    publish = Publish(MemberConfig(name="one"))
    publish.begin(ME, "3.4.0")
    publish.begin(ME, "3.4.0")
    ids = [request.ID for request in requests(publish)]
    assert len(set(ids)) == 2
    assert [request_ids.slot_of(one) for one in ids] == [request_ids.RAFT_SLOT] * 2


def test_it_waits_for_a_leader() -> None:
    with restarted_with((1, 2, 3)) as follower:
        follower.greet(leader=2)
        publish, node = follower.actor.publish, follower.actor.node
        assert node is not None
        publish.begin(ME, None)
        publish.propose(node, now=0.0)
        assert (len(publish.waiting), publish.index) == (1, 0)


def test_a_follower_asks_its_leader_until_what_it_says_is_committed() -> None:
    with restarted_with((1, 2, 3)) as follower:
        follower.links.peers = [PEER]
        follower.greet(leader=2)
        publish, node = follower.actor.publish, follower.actor.node
        assert node is not None
        node.step(Message(MSG_HEARTBEAT, to=ME, from_=2, term=3, commit=2))
        follower.actor.on_turn_end()
        follower.actor.on_turn_end()
        tries = [m.entries[0].data for m in said(follower) if m.type == MSG_PROP]
        assert len(tries) == 1 and json.loads(pb.Request.FromString(tries[0]).Val)["name"] == "one"
        publish.retry(time.monotonic() + RETRY_S)
        follower.actor.on_turn_end()
        tries = [m.entries[0].data for m in said(follower) if m.type == MSG_PROP]
        assert len(set(tries)) == 2, "the first may be lost"
        assert follower.actor.leadership.known.ready_index == 0
        entry = make_entry(0, 3, 3, tries[0])
        node.step(Message(MSG_APP, to=ME, from_=2, term=3, log_term=3, index=2, entries=(entry,), commit=3))
        follower.make_durable()
        assert follower.actor.leadership.known.ready_index == 3
        publish.retry(time.monotonic() + 100)
        assert publish.waiting == []


def test_its_index_is_where_it_stands_in_the_log() -> None:
    with restarted_with((ME,)) as alone:
        alone.greet(leader=ME)
        alone.make_durable()
        publish = alone.actor.publish
        assert publish.waiting == []
        (entry,) = alone.actor.storage.entries(publish.index, publish.index + 1)
        assert pb.Request.FromString(entry.data).Path.startswith("/0/")
