"""What a member says of itself."""

from typing import Any

from actors.backend.member_status import MemberStatus
from actors.backend.raft_link import RaftLink
from etcdz.api import errors
from etcdz.api.errors import Code
from etcdz.cluster.membership import Member, Membership
from etcdz.config import MemberConfig
from etcdz.mvcc.applier import Applier
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets
from etcdz.store.interface import MemoryStore
from tests.actors.backend.test_reads import Log
from tests.actors.recorded_links import RecordedLinks

ME = 0xAB


def member(**rows: bytes) -> tuple[MemberStatus, Applier, Membership]:
    links: Any = RecordedLinks()
    store = MemoryStore((buckets.META + name.encode(), value) for name, value in rows.items())
    mvcc, membership = Mvcc(store, ME, 2), Membership(ME, 2)
    membership.version = "3.5.0"
    applier, raft = Applier(mvcc), RaftLink(links, mvcc, membership)
    raft.applied_index, raft.applied_term = 40, 3
    return MemberStatus(MemberConfig(), applier, membership, raft, Log()), applier, membership


def raise_alarm(applier: Applier, alarm: int) -> None:
    request = pb.AlarmRequest(action=1, memberID=ME, alarm=alarm)
    applier.apply(pb.InternalRaftRequest(header=pb.RequestHeader(ID=1), alarm=request).SerializeToString())


def test_status_names_sizes_indices_alarms_and_the_version_of_the_store() -> None:
    status, applier, _ = member(storageVersion=b"3.6.0")
    raise_alarm(applier, 1)
    code, body = status.status(b"", None)
    answer = pb.StatusResponse.FromString(body)
    assert (code, answer.raftAppliedIndex, answer.raftTerm, answer.storageVersion) == (Code.OK, 40, 3, "3.6.0")
    assert list(answer.errors) == [f"memberID:{ME} alarm:NOSPACE "]
    assert answer.dbSize >= answer.dbSizeInUse > 0
    assert not answer.downgradeInfo.enabled


def test_health_names_the_alarms() -> None:
    status, applier, _ = member()
    assert status.health(b"", None) == (Code.OK, b"")
    raise_alarm(applier, 2)
    raise_alarm(applier, 1)
    assert status.health(b"", None) == (Code.OK, b"NOSPACE CORRUPT")


def test_the_leadership_can_only_move_to_a_voter() -> None:
    status, _, membership = member()
    membership.by_id = {ME: Member(ME, []), ME + 1: Member(ME + 1, []), ME + 2: Member(ME + 2, [], is_learner=True)}
    refused = (errors.BAD_LEADER_TRANSFEREE.code, errors.BAD_LEADER_TRANSFEREE.text.encode())
    answers = [
        status.move_leader(pb.MoveLeaderRequest(targetID=target).SerializeToString(), None)
        for target in (ME, ME + 1, ME + 2, ME + 3)
    ]
    assert answers == [(Code.OK, b""), (Code.OK, b""), refused, refused]


def test_a_downgrade_may_go_one_minor_version_down_and_no_further() -> None:
    status, _, membership = member()

    def ask(version: str, action: int = 1) -> tuple[int, bytes]:
        return status.downgrade(pb.DowngradeRequest(action=action, version=version).SerializeToString(), None)

    code, body = ask("3.4.0")
    assert (code, pb.DowngradeResponse.FromString(body).version) == (Code.OK, "3.5.0")
    refused = errors.INVALID_DOWNGRADE_TARGET_VERSION
    assert ask("3.3.0") == (refused.code, refused.text.encode())
    membership.downgrade = "3.4.0"
    assert ask("3.4.0")[0] == errors.DOWNGRADE_IN_PROCESS.code


def test_the_list_of_members_carries_no_revision() -> None:
    status, _, _ = member()
    header = pb.MemberListResponse.FromString(status.member_list()[1]).header
    assert (header.member_id, header.cluster_id, header.revision) == (ME, 2, 0)
