"""The v2 store's JSON, held against one that etcd 3.5.1 wrote (its history of events left out)."""

import json

from etcdz.cluster.membership import (
    Member,
    Membership,
    attributes_request,
    bootstrap_entries,
    bootstrap_peers,
    version_request,
)
from etcdz.cluster.v2snapshot import v2_store_json
from etcdz.proto import raftpb
from tests.cluster.test_membership import ADD_LEARNER, DEFAULT, REMOVE, change, cluster, conf_change

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
    text = v2_store_json(membership).decode()
    assert text.startswith(ETCD_ROOT)
    store = json.loads(text)
    assert (store["CurrentIndex"], store["CurrentVersion"]) == (3, 2)
    assert len(store["WatcherHub"]["EventHistory"]["Queue"]["Events"]) == 1000


def test_learners_removed_members_and_those_not_yet_started_are_in_it() -> None:
    membership = cluster()
    gone = membership.sorted_members()[0].id
    membership.apply_conf_change(conf_change(REMOVE, gone, None))
    membership.apply_conf_change(change(ADD_LEARNER, Member(0x77, ["http://l:1"], is_learner=True)))
    root = json.loads(v2_store_json(membership))["Root"]["Children"]["0"]["Children"]
    assert list(root) == ["members", "removed_members"], "no version yet"
    assert root["removed_members"]["Children"][f"{gone:x}"]["Value"] == ""
    learner = root["members"]["Children"]["77"]["Children"]
    assert json.loads(learner["raftAttributes"]["Value"]) == {"peerURLs": ["http://l:1"], "isLearner": True}
    assert "attributes" not in learner
    assert list(root["members"]["Children"]) == sorted(root["members"]["Children"])
