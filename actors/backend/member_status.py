"""What a member says of itself: Status, MemberList, alarms for /health, MoveLeader, Downgrade, and its figures."""

import platform
from typing import Any

from actors.backend.auth_reads import Reader
from actors.backend.raft_link import RaftLink
from etcdz import CLUSTER_VERSION, ETCD_VERSION, limits
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code
from etcdz.api.methods import DOWNGRADE, HEALTH, MEMBER_LIST, MOVE_LEADER, STATUS
from etcdz.cluster import downgrade
from etcdz.cluster.membership import Membership
from etcdz.config import MemberConfig
from etcdz.mvcc import alarms
from etcdz.mvcc.applier import Applier
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import printable
from etcdz.store import buckets


class MemberStatus:
    """Each answer is (gRPC code, encoded response or error text)."""

    def __init__(
        self, config: MemberConfig, applier: Applier, membership: Membership, raft: RaftLink, log: Any
    ) -> None:
        self._config = config
        self._applier = applier
        self._mvcc = applier.mvcc
        self._membership = membership
        self._raft = raft
        self._log = log

    def readers(self) -> dict[int, Reader]:
        """Method tag -> what answers it."""
        return {
            STATUS: self.status,
            MEMBER_LIST: self.member_list,
            HEALTH: self.health,
            MOVE_LEADER: self.move_leader,
            DOWNGRADE: self.downgrade,
        }

    def member_list(self, body: bytes = b"", auth: AuthInfo | None = None) -> tuple[int, bytes]:
        """NB: etcd's answers about members carry no revision."""
        mvcc = self._mvcc
        header = pb.ResponseHeader(cluster_id=mvcc.cluster_id, member_id=mvcc.member_id, raft_term=mvcc.raft_term)
        members = self._membership.members()
        return Code.OK, pb.MemberListResponse(header=header, members=members).SerializeToString()

    def status(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """All but what raft knows (leader, raftIndex), which the listener fills in."""
        mvcc, membership, raft = self._mvcc, self._membership, self._raft
        status = pb.StatusResponse(
            version=ETCD_VERSION,
            dbSize=mvcc.db_size(),
            dbSizeInUse=mvcc.db_size_in_use(),
            raftIndex=raft.applied_index,
            raftTerm=raft.applied_term,
            raftAppliedIndex=raft.applied_index,
            errors=[f"memberID:{member_id} alarm:{name} " for name, member_id in self._alarms()],
            isLearner=membership.is_learner,
            storageVersion=(mvcc.state.store.get(buckets.STORAGE_VERSION) or b"").decode(),
            dbSizeQuota=self._config.quota_backend_bytes or limits.QUOTA_DEFAULT_BYTES,
            downgradeInfo=pb.DowngradeInfo(enabled=bool(membership.downgrade), targetVersion=membership.downgrade),
        )
        return Code.OK, mvcc.header() + status.SerializeToString()

    def _alarms(self) -> list[tuple[str, int]]:
        """(name, member id) of what is raised."""
        return [(alarms.name_of(kind), member_id) for kind, member_id in self._applier.alarms.listed(alarms.NONE)]

    def health(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """The names of the alarms that are raised, with spaces between."""
        return Code.OK, " ".join([name for name, _ in self._alarms()]).encode()

    def move_leader(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """Whether the target has a vote; raft does the rest."""
        target = self._membership.by_id.get(pb.MoveLeaderRequest.FromString(body).targetID)
        if target is not None and not target.is_learner:
            return Code.OK, b""
        return errors.BAD_LEADER_TRANSFEREE.code, errors.BAD_LEADER_TRANSFEREE.text.encode()

    def downgrade(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """Whether a downgrade may begin or end; the listener proposes it then."""
        request, known = pb.DowngradeRequest.FromString(body), self._membership
        error = downgrade.check(request.action, printable(request.version), known.version, known.downgrade)
        if error is None:
            return Code.OK, self.downgrade_response()
        if request.action == downgrade.ENABLE:
            self._log.warn("reject downgrade request", error=error.text)
        return error.code, error.text.encode()

    def downgrade_response(self) -> bytes:
        """The encoded DowngradeResponse."""
        version = pb.DowngradeResponse(version=self._membership.version or "").SerializeToString()
        return self._mvcc.header() + version

    def metrics(self) -> dict[str, Any]:
        """The backend's figures for /metrics, by the names in etcdz.telemetry.metrics."""
        mvcc, membership = self._mvcc, self._membership
        return {
            "server_version": ETCD_VERSION,
            "python_version": f"python{platform.python_version()}",
            "cluster_version": (membership.version or CLUSTER_VERSION).rpartition(".")[0],
            "is_learner": int(membership.is_learner),
            "member_id": f"{mvcc.member_id:x}",
            "applied_index": self._raft.applied_index,
            "quota_bytes": self._config.quota_bytes,
            "db_bytes": mvcc.db_size(),
            "db_bytes_in_use": mvcc.db_size_in_use(),
            "keys": mvcc.state.index.count_live(b"", None),
            "revision": mvcc.state.revision,
            "auth_revision": self._applier.auth.access.revision,
            "compact_revision": mvcc.state.compact_revision or -1,
        }
