"""The v2 store's JSON, held against one that etcd 3.5.1 wrote (without its history of events), and against the rows."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etcdz.cluster.founding import bootstrap_peers
from etcdz.cluster.membership import (
    Member,
    Membership,
    attributes_request,
    bootstrap_entries,
    version_request,
)
from etcdz.proto import raftpb
from etcdz.v2 import snapshot
from etcdz.v2.cluster_nodes import follow, store_of
from etcdz.v2.store import V2Store
from tests.cluster.test_membership import (
    ADD,
    ADD_LEARNER,
    DEFAULT,
    REMOVE,
    UPDATE,
    Rows,
    change,
    cluster,
    conf_change,
    promotion_context,
)

ETCD_ROOT = (
    '{"Root":{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":'
    '{"0":{"Path":"/0","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":'
    '{"members":{"Path":"/0/members","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","Value":"",'
    '"Children":{"8e9e05c52164694d":{"Path":"/0/members/8e9e05c52164694d","CreatedIndex":1,"ModifiedIndex":1,'
    '"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{"attributes":{"Path":'
    '"/0/members/8e9e05c52164694d/attributes","CreatedIndex":2,"ModifiedIndex":2,"ExpireTime":"0001-01-01T00:00:00Z",'
    '"Value":"{\\"name\\":\\"default\\",\\"clientURLs\\":[\\"http://127.0.0.1:33791\\"]}","Children":null},'
    '"raftAttributes":{"Path":"/0/members/8e9e05c52164694d/raftAttributes","CreatedIndex":1,"ModifiedIndex":1,'
    '"ExpireTime":"0001-01-01T00:00:00Z","Value":"{\\"peerURLs\\":[\\"http://localhost:2380\\"]}","Children":null}}}}},'
    '"version":{"Path":"/0/version","CreatedIndex":3,"ModifiedIndex":3,"ExpireTime":"0001-01-01T00:00:00Z",'
    '"Value":"3.5.0","Children":null}}},"1":{"Path":"/1","CreatedIndex":0,"ModifiedIndex":0,'
    '"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{}}}},"WatcherHub":'
)


def test_the_tree_of_the_default_member_is_etcds() -> None:
    membership = Membership(DEFAULT, 1)
    for data in bootstrap_entries(bootstrap_peers({"default": ["http://localhost:2380"]}, "etcd-cluster")):
        membership.apply_conf_change(raftpb.Entry.FromString(data).Data)
    membership.apply_entry(attributes_request(1, DEFAULT, "default", ["http://127.0.0.1:33791"]))
    membership.apply_entry(version_request(2, "3.5.0"))
    text = snapshot.encode(store_of(membership)).decode()
    assert text.startswith(ETCD_ROOT)
    store = json.loads(text)
    assert (store["CurrentIndex"], store["CurrentVersion"]) == (3, 2)
    assert len(store["WatcherHub"]["EventHistory"]["Queue"]["Events"]) == 1000


def test_learners_removed_members_and_those_not_yet_started_are_in_it() -> None:
    membership = cluster()
    gone = membership.sorted_members()[0].id
    membership.apply_conf_change(conf_change(REMOVE, gone, None))
    membership.apply_conf_change(change(ADD_LEARNER, Member(0x77, ["http://l:1"], is_learner=True)))
    store = store_of(membership)
    root = json.loads(snapshot.encode(store))["Root"]["Children"]["0"]["Children"]
    assert list(root) == ["members", "removed_members"], "no version yet"
    assert root["removed_members"]["Children"][f"{gone:x}"]["Value"] == ""
    learner = root["members"]["Children"]["77"]["Children"]
    assert json.loads(learner["raftAttributes"]["Value"]) == {"peerURLs": ["http://l:1"], "isLearner": True}
    assert "attributes" not in learner
    assert list(root["members"]["Children"]) == sorted(root["members"]["Children"])


IDS = (1, 2, 3, 4, 5)
CHANGES = ("add", "learn", "promote", "update", "remove", "publish", "version")


def entry(kind: str, id_: int, url: int) -> tuple[bool, bytes]:
    """(whether it changes the configuration, data)"""
    member = Member(id_, [f"http://m:{url}"], is_learner=kind == "learn")
    if kind in ("add", "learn", "update"):
        return True, change({"add": ADD, "learn": ADD_LEARNER, "update": UPDATE}[kind], member)
    if kind == "promote":
        return True, conf_change(ADD, id_, promotion_context(id_))
    if kind == "remove":
        return True, conf_change(REMOVE, id_, None)
    return False, attributes_request(1, id_, f"m{id_}", member.peer_urls) if kind == "publish" else version_request(
        1, f"3.{url}.0"
    )


def told_by_v2(store: V2Store) -> tuple[Any, ...]:
    """(members, removed ids, cluster version) as another etcd reads them."""
    root = json.loads(snapshot.encode(store))["Root"]["Children"]["0"]["Children"]
    members = {
        int(id_, 16): [
            json.loads(node["Children"][name]["Value"]) if name in node["Children"] else {}
            for name in ("raftAttributes", "attributes")
        ]
        for id_, node in root.get("members", {"Children": {}})["Children"].items()
    }
    removed = {int(id_, 16) for id_ in root.get("removed_members", {"Children": {}})["Children"]}
    return members, removed, root.get("version", {"Value": None})["Value"]


@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(IDS), st.integers(1, 6)), max_size=40))
def test_it_says_the_same_as_the_rows_whatever_has_happened(changes: list[tuple[str, int, int]]) -> None:
    """Members of etcd before 3.6 go by the one, later ones by the other; where they differ a cluster falls apart."""
    membership, rows, store = Membership(DEFAULT, 1), Rows(), V2Store()
    for each in changes:
        changes_members, data = entry(*each)
        if changes_members:
            membership.apply_conf_change(data)
        elif each[0] == "version" or each[1] in membership.by_id:
            membership.apply_entry(data)
        follow(store, membership)
        rows.take(membership)
    kept = Membership.load(rows, DEFAULT, 1)
    members = {m.id: [m.raft_attributes, m.attributes] for m in kept.sorted_members()}
    for told in (store, store_of(kept)):
        assert told_by_v2(told) == (members, kept.removed, kept.version)
    assert kept.conf_state() == membership.conf_state()
