"""Membership as applied entries make it, and the rows that keep it."""

import json
from collections.abc import Callable

import pytest

from etcdz.api import errors
from etcdz.cluster.founding import bootstrap_peers
from etcdz.cluster.membership import (
    Member,
    Membership,
    attributes_request,
    bootstrap_entries,
    conf_change,
    encode_json,
    promotion_context,
    version_request,
)
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import membershippb, raftpb
from etcdz.store.buckets import CLUSTER, MEMBERS, MEMBERS_REMOVED, META

ADD = raftpb.ConfChangeType.ConfChangeAddNode
ADD_LEARNER = raftpb.ConfChangeType.ConfChangeAddLearnerNode
REMOVE = raftpb.ConfChangeType.ConfChangeRemoveNode
UPDATE = raftpb.ConfChangeType.ConfChangeUpdateNode
DEFAULT = 0x8E9E05C52164694D
THREE = {"a": ["http://10.0.0.1:2380"], "b": ["http://10.0.0.2:2380"], "c": ["http://10.0.0.3:2380"]}


class Rows:
    """A store that keeps rows as the backend does."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def take(self, membership: Membership) -> None:
        for bucket, key, value in membership.take_rows():
            if value is None:
                self.rows.pop(bucket + key, None)
            else:
                self.rows[bucket + key] = value

    def iterate(self, lo: bytes, hi: bytes) -> list[tuple[bytes, bytes]]:
        return [(key, self.rows[key]) for key in sorted(self.rows) if lo <= key < hi]


def cluster(initial: dict[str, list[str]] | None = None) -> Membership:
    membership = Membership(DEFAULT, 1)
    for data in bootstrap_entries(bootstrap_peers(initial or THREE, "etcd-cluster")):
        assert membership.apply_conf_change(raftpb.Entry.FromString(data).Data) is None
    return membership


def change(kind: int, member: Member) -> bytes:
    return conf_change(kind, member.id, member.to_json().encode())


def state_of(membership: Membership) -> tuple[object, ...]:
    return (
        [m.to_json() for m in membership.sorted_members()],
        membership.removed,
        membership.version,
        membership.downgrade,
        membership.conf_state(),
    )


def test_the_first_entry_of_the_default_member_is_etcds() -> None:
    """Read off the log of etcd 3.5.1."""
    (entry,) = bootstrap_entries(bootstrap_peers({"default": ["http://localhost:2380"]}, "etcd-cluster"))
    data = (
        b"\x08\x00\x10\x00\x18\xcd\xd2\x91\x8b\xd2\xb8\x81\xcf\x8e\x01\x22Q"
        b'{"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default"}'
    )
    assert entry.endswith(data)
    assert raftpb.Entry.FromString(entry).Data == data


def test_first_members_are_in_the_order_of_their_ids() -> None:
    peers = bootstrap_peers(THREE, "etcd-cluster")
    assert [id_ for id_, _ in peers] == sorted(id_ for id_, _ in peers)
    entries = [raftpb.Entry.FromString(e) for e in bootstrap_entries(peers)]
    assert [(e.Term, e.Index, e.Type) for e in entries] == [(1, i, 1) for i in (1, 2, 3)]
    with pytest.raises(ValueError, match="member exists with identical ID"):
        bootstrap_peers({"a": ["http://x:1"], "b": ["http://x:1"]}, "token")


def test_requests_are_etcds_byte_by_byte() -> None:
    """Read off the log of etcd 3.5.1."""
    zeros = bytes.fromhex("28003200380048005000580060006800700078008001 00")
    request_id = bytes.fromhex("08818cfaf4c3c0e8a669")
    assert attributes_request(7587899086303299073, DEFAULT, "default", ["http://127.0.0.1:33791"]) == (
        request_id
        + b"\x12\x03PUT\x1a&/0/members/8e9e05c52164694d/attributes"
        + b'\x22:{"name":"default","clientURLs":["http://127.0.0.1:33791"]}'
        + zeros
    )
    assert version_request(7587899086303299073, "3.5.0") == (
        request_id + b"\x12\x03PUT\x1a\n/0/version\x22\x053.5.0" + zeros
    )


def test_members_are_listed_by_id_with_what_they_said() -> None:
    membership = cluster()
    some = membership.sorted_members()[1]
    assert membership.apply_entry(attributes_request(1, some.id, "b", ["http://b:2379", "http://b:2378"]))
    listed = membership.members()
    assert [m.ID for m in listed] == sorted(membership.by_id)
    assert (listed[1].name, list(listed[1].clientURLs)) == ("b", ["http://b:2379", "http://b:2378"])
    assert list(listed[0].peerURLs) == membership.sorted_members()[0].peer_urls


def test_version_and_attributes_come_in_the_words_of_v2_and_of_v3() -> None:
    by_v2, by_v3 = cluster(), cluster()
    id_ = by_v2.sorted_members()[0].id
    by_v2.apply_entry(attributes_request(1, id_, "me", ["http://me:2379"]))
    by_v2.apply_entry(version_request(2, "3.5.0"))
    attributes = membershippb.Attributes(name="me", client_urls=["http://me:2379"])
    set_attributes = membershippb.ClusterMemberAttrSetRequest(member_ID=id_, member_attributes=attributes)
    for request in (
        pb.InternalRaftRequest(cluster_member_attr_set=set_attributes),
        pb.InternalRaftRequest(cluster_version_set=membershippb.ClusterVersionSetRequest(ver="3.5.0")),
    ):
        assert by_v3.apply_entry(request.SerializeToString())
    assert state_of(by_v2) == state_of(by_v3)
    assert by_v3.version == "3.5.0"


@pytest.mark.parametrize(
    "data",
    [
        pb.Request(Method="PUT", Path="/1/key", Val="x").SerializeToString(),
        pb.Request(Method="DELETE", Path="/0/version").SerializeToString(),
        pb.Request(Method="PUT", Path="/0/version", Val="3.5.0", PrevExist=True).SerializeToString(),
        pb.InternalRaftRequest(put=pb.PutRequest(key=b"k")).SerializeToString(),
    ],
)
def test_other_entries_are_others_business(data: bytes) -> None:
    membership = cluster()
    before = state_of(membership)
    assert not membership.apply_entry(data)
    assert state_of(membership) == before


def test_rows_are_etcds() -> None:
    membership = cluster({"default": ["http://localhost:2380"]})
    membership.apply_entry(attributes_request(1, DEFAULT, "default", ["http://localhost:2379"]))
    membership.apply_entry(version_request(2, "3.5.0"))
    member = (
        b'{"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default",'
        b'"clientURLs":["http://localhost:2379"]}'
    )
    assert sorted(membership.take_rows()) == [
        (CLUSTER, b"clusterVersion", b"3.5.0"),
        (MEMBERS, b"8e9e05c52164694d", member),
        (META, b"confState", b'{"voters":[10276657743932975437],"auto_leave":false}'),
    ]
    assert membership.take_rows() == []


def test_what_is_loaded_from_rows_is_what_was_saved() -> None:
    rows, membership = Rows(), cluster()
    ids = [m.id for m in membership.sorted_members()]
    steps = [
        lambda: membership.apply_entry(attributes_request(1, ids[0], 'n"<&>é', ["http://a:1"])),
        lambda: membership.apply_conf_change(change(ADD_LEARNER, Member(77, ["http://l:1"], True))),
        lambda: membership.apply_conf_change(conf_change(REMOVE, ids[1], None)),
        lambda: membership.apply_conf_change(conf_change(ADD, 77, promotion_context(77))),
        lambda: membership.apply_entry(version_request(2, "3.5.0")),
        lambda: membership.apply_entry(downgrade(True)),
        lambda: membership.apply_entry(downgrade(False)),
    ]
    for step in [lambda: None, *steps]:
        step()
        rows.take(membership)
        assert state_of(Membership.load(rows, DEFAULT, 1)) == state_of(membership)
    assert membership.removed == {ids[1]}
    assert rows.rows[MEMBERS_REMOVED + b"%x" % ids[1]] == b"removed"


def downgrade(enabled: bool) -> bytes:
    request = membershippb.DowngradeInfoSetRequest(enabled=enabled, ver="3.4.0")
    data: bytes = pb.InternalRaftRequest(downgrade_info_set=request).SerializeToString()
    return data


def test_a_learner_is_added_and_promoted() -> None:
    membership = cluster({"default": ["http://localhost:2380"]})
    learner = Member(77, ["http://l:1"], is_learner=True)
    assert membership.apply_conf_change(change(ADD_LEARNER, learner)) is None
    assert (
        membership.conf_state()
        == raftpb.ConfState(voters=[DEFAULT], learners=[77], auto_leave=False).SerializeToString()
    )
    assert {(b, k): v for b, k, v in membership.take_rows()}[META, b"confState"] == (
        b'{"voters":[10276657743932975437],"learners":[77],"auto_leave":false}'
    )
    assert (
        membership.apply_conf_change(change(ADD_LEARNER, Member(78, ["http://m:1"], True))) == errors.TOO_MANY_LEARNERS
    )
    assert membership.apply_conf_change(conf_change(ADD, 77, promotion_context(77))) is None
    assert membership.conf_state() == raftpb.ConfState(voters=[77, DEFAULT], auto_leave=False).SerializeToString()
    assert json.loads(promotion_context(77)) == {"id": 77, "peerURLs": None, "isPromote": True}


def test_updating_a_member_keeps_what_it_said() -> None:
    membership = cluster()
    member = membership.sorted_members()[0]
    membership.apply_entry(attributes_request(1, member.id, "a", ["http://a:2379"]))
    assert membership.apply_conf_change(change(UPDATE, Member(member.id, ["http://moved:2380"]))) is None
    assert membership.by_id[member.id].to_json() == encode_json(
        {"id": member.id, "peerURLs": ["http://moved:2380"], "name": "a", "clientURLs": ["http://a:2379"]}
    )


def test_updating_a_learner_leaves_it_a_learner() -> None:
    """The context of an update does not say that it is one, and other members' raft goes on without its vote."""
    membership = cluster()
    membership.apply_conf_change(change(ADD_LEARNER, Member(77, ["http://l:1"], True)))
    assert membership.apply_conf_change(change(UPDATE, Member(77, ["http://moved:1"]))) is None
    assert membership.by_id[77].is_learner
    assert raftpb.ConfState.FromString(membership.conf_state()).learners == [77]


# What is asked of a cluster whose second member has moved to http://two:1 and whose third was removed.
CHECKS = [
    ("add an id that is taken", lambda a, b, c: change(ADD, Member(a.id, ["http://new:1"])), errors.MEMBER_EXIST),
    ("add a URL that is taken", lambda a, b, c: change(ADD, Member(99, a.peer_urls)), errors.PEER_URLEXIST),
    ("add a removed id", lambda a, b, c: change(ADD, Member(c.id, ["http://new:1"])), errors.MEMBER_NOT_FOUND),
    ("remove it again", lambda a, b, c: conf_change(REMOVE, c.id, None), errors.MEMBER_NOT_FOUND),
    ("remove a stranger", lambda a, b, c: conf_change(REMOVE, 99, None), errors.MEMBER_NOT_FOUND),
    ("update a stranger", lambda a, b, c: change(UPDATE, Member(99, ["http://new:1"])), errors.MEMBER_NOT_FOUND),
    ("update to another's URL", lambda a, b, c: change(UPDATE, Member(a.id, ["http://two:1"])), errors.PEER_URLEXIST),
    ("promote a stranger", lambda a, b, c: conf_change(ADD, 99, promotion_context(99)), errors.MEMBER_NOT_FOUND),
    ("promote a voter", lambda a, b, c: conf_change(ADD, a.id, promotion_context(a.id)), errors.MEMBER_NOT_LEARNER),
]


@pytest.mark.parametrize("make, error", [c[1:] for c in CHECKS], ids=[c[0] for c in CHECKS])
def test_a_change_that_does_not_fit_changes_nothing(make: Callable[..., bytes], error: errors.EtcdError) -> None:
    membership = cluster()
    members = membership.sorted_members()
    assert membership.apply_conf_change(change(UPDATE, Member(members[1].id, ["http://two:1"]))) is None
    assert membership.apply_conf_change(conf_change(REMOVE, members[2].id, None)) is None
    membership.take_rows()
    before = state_of(membership)
    assert membership.apply_conf_change(make(*members)) == error
    assert (state_of(membership), membership.take_rows()) == (before, [])


def test_attributes_of_a_removed_member_are_passed_over_and_of_a_stranger_refused() -> None:
    membership = cluster()
    id_ = membership.sorted_members()[0].id
    membership.apply_conf_change(conf_change(REMOVE, id_, None))
    membership.take_rows()
    membership.apply_entry(attributes_request(1, id_, "late", []))
    assert membership.take_rows() == []
    with pytest.raises(ValueError, match="never had"):
        membership.apply_entry(attributes_request(1, 99, "who", []))


def test_an_entry_deeper_than_the_library_reads_is_read_all_the_same() -> None:
    group = b"\xa3\x0c" * 200 + b"\xa4\x0c" * 200
    set_version = membershippb.ClusterVersionSetRequest(ver="3.5.0")
    entry = pb.InternalRaftRequest(cluster_version_set=set_version).SerializeToString() + group
    membership = cluster()
    assert membership.apply_entry(entry)
    assert membership.version == "3.5.0"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        pb.Request(Method="PUT", Path="/0/members/1/attributes", Val="{").SerializeToString(),
        pb.Request(Method="PUT", Path="/0/members/1/attributes", Val="[]").SerializeToString(),
    ],
)
def test_an_entry_that_no_member_proposes_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        cluster().apply_entry(data)


@pytest.mark.parametrize(
    "data", [b"\xff", conf_change(ADD, 7, b"{"), conf_change(ADD, 7, b"[]"), conf_change(ADD, 7, b'{"id":8}')]
)
def test_a_change_that_no_member_proposes_changes_nothing(data: bytes) -> None:
    membership = cluster()
    membership.take_rows()
    before = state_of(membership)
    with pytest.raises(ValueError):
        membership.apply_conf_change(data)
    assert (state_of(membership), membership.take_rows()) == (before, [])


def started(count: int, of: int) -> Membership:
    membership = Membership(1, 1)
    for id_ in range(1, of + 1):
        membership.apply_conf_change(change(ADD, Member(id_, [f"http://m{id_}:1"])))
        if id_ <= count:
            membership.apply_entry(attributes_request(1, id_, f"m{id_}", []))
    return membership


@pytest.mark.parametrize(
    "count, of, add, remove_last, promote",
    [
        # etcd's tables: a quorum of the cluster to be must be started.
        (1, 1, True, False, True),
        (0, 1, False, False, False),
        (1, 2, False, True, True),
        (2, 2, True, True, True),
        (2, 3, False, True, True),
        (3, 3, True, True, True),
        (3, 5, False, True, True),
        (2, 5, False, False, False),
    ],
)
def test_strict_reconfiguration(count: int, of: int, add: bool, remove_last: bool, promote: bool) -> None:
    membership = started(count, of)
    assert membership.is_ready_to_add_voter() == add
    assert membership.is_ready_to_remove_voter(of) == remove_last
    assert membership.is_ready_to_promote() == promote


def test_json_is_gos() -> None:
    assert encode_json({"a": 'x<y>&"é\u2028', "b": [1, True, None]}) == (
        '{"a":"x\\u003cy\\u003e\\u0026\\"é\\u2028","b":[1,true,null]}'
    )
