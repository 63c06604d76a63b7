"""Raft entries of every kind: whom they answer, and what the ones for other modules come back as."""

from typing import Any

import pytest

from etcdz.api import errors
from etcdz.mvcc.applier import FOREIGN, Applier, Result, UndecodableEntry, is_replayable
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import leasepb, membershippb
from etcdz.store.interface import MemoryStore

ID = 0x694D_0199_9AAB_0C01


def _entry(request_id: int = ID, **request: Any) -> bytes:
    encoded: bytes = pb.InternalRaftRequest(header=pb.RequestHeader(ID=request_id), **request).SerializeToString()
    return encoded


class _Member:
    def __init__(self, store: MemoryStore | None = None, quota_bytes: int = 0) -> None:
        self.store = store or MemoryStore()
        self.mvcc = Mvcc(self.store, 1, 2, lease_ttl_min_s=2, checkpoint_persist=True)
        self.applier = Applier(self.mvcc, quota_bytes)

    def __call__(self, **request: Any) -> Result:
        result = self.applier.apply(_entry(**request))
        assert result is not None
        return result

    def refuses(self, error: errors.EtcdError, **request: Any) -> None:
        assert self(**request) == (ID, error.code, error.text, b"")

    def reopened(self) -> "_Member":
        self.mvcc.state.commit(self.mvcc.state.consistent_index + 1, 1)
        return _Member(self.store)

    def keys(self) -> list[bytes]:
        answer = pb.RangeResponse.FromString(self.mvcc.range(pb.RangeRequest(key=b"\0", range_end=b"\0"))[2])
        return [kv.key for kv in answer.kvs]


def test_an_empty_entry_has_no_result() -> None:
    assert _Member().applier.apply(b"") is None


@pytest.mark.parametrize("request_id", [1, 127, 1 << 28, ID, (1 << 64) - 1])
@pytest.mark.parametrize("options", [{}, {"prev_kv": True}])
def test_the_result_carries_the_request_id(request_id: int, options: dict[str, bool]) -> None:
    result = _Member().applier.apply(_entry(request_id, put=pb.PutRequest(key=b"a", value=b"v", **options)))
    assert result is not None
    assert result[:3] == (request_id, 0, None)
    assert pb.PutResponse.FromString(result[3]).header.revision == 2


def test_an_id_of_etcd_before_headers_counts_too() -> None:
    entry = pb.InternalRaftRequest(ID=7, put=pb.PutRequest(key=b"a")).SerializeToString()
    result = _Member().applier.apply(entry)
    assert result is not None
    assert result[0] == 7


V2 = {"Method": "PUT", "Path": "/0/members/8e9e05c52164694d/attributes", "Val": "{}", "Dir": False, "PrevIndex": 0}
V2_BYTES = pb.Request(ID=9, **V2).SerializeToString()


@pytest.mark.parametrize(
    ("data", "request_id", "kind"),
    [
        (V2_BYTES, 9, "v2"),
        (pb.Request(ID=ID, Method="SYNC", Path="", Val="", Time=5).SerializeToString(), ID, "v2"),
        (_entry(cluster_version_set=membershippb.ClusterVersionSetRequest(ver="3.5.0")), ID, "cluster_version_set"),
        (
            _entry(cluster_member_attr_set=membershippb.ClusterMemberAttrSetRequest(member_ID=5)),
            ID,
            "cluster_member_attr_set",
        ),
        (_entry(downgrade_version_test=pb.DowngradeVersionTestRequest()), ID, "downgrade_version_test"),
    ],
)
def test_what_is_for_another_module_comes_back_untouched(data: bytes, request_id: int, kind: str) -> None:
    member = _Member()
    assert member.applier.apply(data) == (request_id, FOREIGN, kind, data)
    assert member.mvcc.state.revision == 1


def test_a_wrapped_request_of_the_v2_api_comes_back_bare() -> None:
    wrapped = b"\x08\x09\x12" + bytes([len(V2_BYTES)]) + V2_BYTES
    assert _Member().applier.apply(wrapped) == (9, FOREIGN, "v2", V2_BYTES)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (_entry() + b"\xc2\x57\x00", "field 1400"),
        (_entry() + b"\xca\xbb\x05\x01\x00", "field 11193"),
        (_entry(), "nothing"),
    ],
)
def test_what_nobody_here_applies_is_not_passed_over_in_silence(data: bytes, what: str) -> None:
    """etcd panics: "not implemented apply"."""
    member = _Member()
    with pytest.raises(UndecodableEntry, match=what):
        member.applier.apply(data)
    assert member.mvcc.state.revision == 1


def test_a_batch_has_a_result_per_entry_and_none_for_empty_ones() -> None:
    entries = [_entry(ID + i, put=pb.PutRequest(key=b"a")) for i in range(3)]
    apply = _Member().applier.apply
    results = [result for entry in [entries[0], b"", *entries[1:]] if (result := apply(entry)) is not None]
    assert [result[0] for result in results] == [ID, ID + 1, ID + 2]


# leases


def test_a_put_needs_a_lease_that_is_there() -> None:
    member = _Member()
    member.refuses(errors.LEASE_NOT_FOUND, put=pb.PutRequest(key=b"a", lease=5))
    member.refuses(errors.LEASE_NOT_FOUND, put=pb.PutRequest(key=b"a", lease=5, ignore_value=True))
    member.refuses(errors.KEY_NOT_FOUND, put=pb.PutRequest(key=b"a", ignore_value=True))
    operation = pb.RequestOp(request_put=pb.PutRequest(key=b"a", lease=5, ignore_value=True))
    member.refuses(errors.KEY_NOT_FOUND, txn=pb.TxnRequest(success=[operation]))
    assert member.mvcc.state.revision == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"put": pb.PutRequest(key=b"a", value=b"v")},
        {"txn": pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"a", value=b"v"))])},
    ],
    ids=["put", "txn"],
)
def test_an_entry_that_says_who_asks_is_applied_as_one_that_does_not(asked: dict[str, Any]) -> None:
    named = pb.RequestHeader(ID=ID, username="alice", auth_revision=7)
    results, records = [], []
    for header in (pb.RequestHeader(ID=ID), named):
        member = _Member()
        results.append(member.applier.apply(pb.InternalRaftRequest(header=header, **asked).SerializeToString()))
        records.append(member.mvcc.state.record_now(b"a"))
    assert results[0] == results[1]
    assert results[0] is not None and results[0][0] == ID
    assert records[0] == records[1] is not None


def test_granting() -> None:
    member = _Member()
    answer = pb.LeaseGrantResponse.FromString(member(lease_grant=pb.LeaseGrantRequest(ID=5, TTL=1))[3])
    assert (answer.ID, answer.TTL, answer.header.revision) == (5, 2, 1), "raised to the least TTL"
    member.refuses(errors.LEASE_EXIST, lease_grant=pb.LeaseGrantRequest(ID=5, TTL=9))
    member.refuses(errors.LEASE_NOT_FOUND, lease_grant=pb.LeaseGrantRequest(ID=0, TTL=9))
    member.refuses(errors.LEASE_TTLTOO_LARGE, lease_grant=pb.LeaseGrantRequest(ID=6, TTL=9_000_000_001))
    member.refuses(errors.LEASE_NOT_FOUND, lease_revoke=pb.LeaseRevokeRequest(ID=6))
    member.mvcc.state.commit(3, 1)
    rows = list(member.store.iterate(b"lease\0", b"lease\x01"))
    assert rows == [(b"lease\0" + (5).to_bytes(8, "big"), leasepb.Lease(ID=5, TTL=2).SerializeToString())]


def test_revoking_deletes_the_keys_that_hang_on_it_at_one_revision() -> None:
    member = _Member()
    for lease_id in (5, -6):
        member(lease_grant=pb.LeaseGrantRequest(ID=lease_id, TTL=60))
    for key, lease_id in [(b"c", 5), (b"a", 5), (b"moved", 5), (b"freed", 5), (b"other", -6)]:
        member(put=pb.PutRequest(key=key, lease=lease_id))
    member(put=pb.PutRequest(key=b"moved", lease=-6))
    member(put=pb.PutRequest(key=b"freed"))
    member(put=pb.PutRequest(key=b"a", value=b"kept", ignore_lease=True))
    member(put=pb.PutRequest(key=b"gone", lease=5))
    member(delete_range=pb.DeleteRangeRequest(key=b"gone"))
    member = member.reopened()
    revision = member.mvcc.state.revision
    assert sorted(member.mvcc.state.leases.by_id[5].keys) == [b"a", b"c"]
    answer = pb.LeaseRevokeResponse.FromString(member(lease_revoke=pb.LeaseRevokeRequest(ID=5))[3])
    assert answer.header.revision == revision + 1
    assert member.keys() == [b"freed", b"moved", b"other"]
    member = member.reopened()
    assert sorted(member.mvcc.state.leases.by_id) == [-6]
    assert sorted(member.mvcc.state.leases.by_id[-6].keys) == [b"moved", b"other"]


def test_revoking_a_lease_without_keys_changes_no_revision() -> None:
    member = _Member()
    member(lease_grant=pb.LeaseGrantRequest(ID=5, TTL=60))
    member(lease_revoke=pb.LeaseRevokeRequest(ID=5))
    assert member.mvcc.state.revision == 1
    assert member.reopened().mvcc.state.leases.by_id == {}


def test_a_checkpoint_outlives_a_restart() -> None:
    member = _Member()
    member(lease_grant=pb.LeaseGrantRequest(ID=5, TTL=60))
    checkpoints = [pb.LeaseCheckpoint(ID=5, remaining_TTL=33), pb.LeaseCheckpoint(ID=404, remaining_TTL=1)]
    assert member(lease_checkpoint=pb.LeaseCheckpointRequest(checkpoints=checkpoints))[1] == 0
    assert member.reopened().mvcc.state.leases.by_id[5].remaining_s == 33


# alarms and quota

PUT = {"put": pb.PutRequest(key=b"a", value=b"v")}
BIG_TXN = {"txn": pb.TxnRequest(failure=[pb.RequestOp(request_put=pb.PutRequest(key=b"z"))])}
READ_TXN = {"txn": pb.TxnRequest(success=[pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"a"))])}
DELETE = {"delete_range": pb.DeleteRangeRequest(key=b"nothing")}


def _alarm(action: int, alarm: int, member_id: int = 11) -> dict[str, Any]:
    return {"alarm": pb.AlarmRequest(action=action, alarm=alarm, memberID=member_id)}


def test_with_nospace_nothing_may_grow() -> None:
    member = _Member()
    member(**PUT)
    answer = pb.AlarmResponse.FromString(member(**_alarm(1, 1))[3])
    assert [(alarm.memberID, alarm.alarm) for alarm in answer.alarms] == [(11, 1)]
    for full in (member, member.reopened()):
        for request in (PUT, BIG_TXN, {"lease_grant": pb.LeaseGrantRequest(ID=5, TTL=9)}):
            full.refuses(errors.NO_SPACE, **request)
        for request in (DELETE, READ_TXN, {"compaction": pb.CompactionRequest(revision=full.mvcc.state.revision)}):
            assert full(**request)[1] == 0
    member(**_alarm(2, 1))
    assert member(**PUT)[1] == 0
    assert member.reopened()(**PUT)[1] == 0


def test_with_corrupt_nothing_is_read_or_written() -> None:
    member = _Member()
    member(**_alarm(1, 2))
    for request in (PUT, BIG_TXN, READ_TXN, DELETE, {"compaction": pb.CompactionRequest(revision=1)}):
        member.refuses(errors.CORRUPT, **request)
    assert member(**_alarm(2, 2))[1] == 0
    assert member(**PUT)[1] == 0


def test_an_alarm_of_one_member_stays_when_another_one_is_taken_back() -> None:
    member = _Member()
    for member_id in (11, 12):
        member(**_alarm(1, 1, member_id))
    member(**_alarm(2, 1, 11))
    member.refuses(errors.NO_SPACE, **PUT)
    listed = pb.AlarmResponse.FromString(member(**_alarm(0, 0))[3])
    assert [alarm.memberID for alarm in listed.alarms] == [12]
    assert not pb.AlarmResponse.FromString(member(**_alarm(2, 1, 99))[3]).alarms


def test_over_the_quota_a_write_is_applied_and_answered_with_no_space() -> None:
    member = _Member(quota_bytes=60_000)
    codes = []
    for number in range(100):
        codes.append(member(put=pb.PutRequest(key=b"k%02d" % number, value=bytes(1000)))[1])
        member.mvcc.state.commit(number + 1, 1)
    full = codes.index(errors.NO_SPACE.code)
    assert 30 < full < 60
    assert set(codes[full:]) == {errors.NO_SPACE.code}
    assert len(member.keys()) == 100
    assert member(**DELETE)[1] == 0


@pytest.mark.parametrize("sizes", [[3], [0, 3, 300], [3] * 5 + [20_000], [130, 130, 131]])
def test_a_transaction_of_plain_puts_leaves_and_answers_what_any_other_does(sizes: list[int]) -> None:
    """The fast path for these, beside the one for all: a compare that holds keeps the second from the short one."""
    short, long = _Member(), _Member()
    compare = pb.Compare(key=b"nowhere", target=pb.Compare.MOD, result=pb.Compare.EQUAL, mod_revision=0)
    for round_ in range(3):
        success = [
            pb.RequestOp(request_put=pb.PutRequest(key=b"key%d" % at, value=b"%d" % round_ * size))
            for at, size in enumerate(sizes)
        ]
        answer = short(txn=pb.TxnRequest(success=success))
        assert answer == long(txn=pb.TxnRequest(success=success, compare=[compare]))
        assert answer[1] == 0 and len(pb.TxnResponse.FromString(answer[3]).responses) == len(sizes)
    assert short.mvcc.state.pending == long.mvcc.state.pending
    assert short.reopened().mvcc.state.revision == long.reopened().mvcc.state.revision == 4


def test_a_transaction_of_puts_is_refused_while_nospace_is_raised() -> None:
    member = _Member()
    member(alarm=pb.AlarmRequest(action=1, alarm=1, memberID=1))
    put = pb.RequestOp(request_put=pb.PutRequest(key=b"a", value=b"v"))
    member.refuses(errors.NO_SPACE, txn=pb.TxnRequest(success=[put]))


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x22\x05\x0a", b"\x08\x09\x12\x03BAD", b"\x12\x02\x99\x99"])
def test_an_entry_that_is_nothing_known_is_not_taken_for_a_v2_request(data: bytes) -> None:
    with pytest.raises(UndecodableEntry):
        _Member().applier.apply(data)


def test_all_that_can_be_decoded_can_be_applied_again() -> None:
    plain = pb.InternalRaftRequest(header=pb.RequestHeader(ID=1), put=pb.PutRequest(key=b"k", value=b"v"))
    version = pb.InternalRaftRequest(header=pb.RequestHeader(ID=2))
    version.cluster_version_set.ver = "3.5.0"
    v2 = pb.Request(ID=3, Method="PUT", Path="/0/version", Val="3.5.0")
    user = pb.InternalRaftRequest(header=pb.RequestHeader(ID=4))
    user.auth_user_add.name = "root"
    for request in (plain, version, v2, user):
        assert is_replayable(request.SerializeToString()), request
    assert not is_replayable(b"\xff\xff\xff")
