"""How calls of etcd's Maintenance and Health services begin.

What can be checked here is refused here; the rest is a read of the backend or a proposal. Snapshot is a stream:
snapshots.py.
"""

from typing import Final

from actors.listener.call import Begin, Call, Caller, FollowUp, Routes
from actors.listener.health_watch import SERVING
from actors.listener.leader_transfers import LeaderTransfers
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import (
    ALARM,
    DEFRAGMENT,
    DOWNGRADE,
    HASH,
    HASH_KV,
    HEALTH,
    HEALTH_LIST,
    MOVE_LEADER,
    SET_DOWNGRADE,
    STATUS,
)
from etcdz.cluster import downgrade
from etcdz.ipc.messages import QuotaHeadroom
from etcdz.mvcc import validate
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import printable

_HEALTH_OF_ALL: Final = (b"", b"\x0a\x00")  # HealthCheckRequest: service 1, empty
_HEALTH_LIST: Final = b"\x0a\x06\x0a\x00\x12\x02\x08\x01"  # HealthListResponse: status 1 of service ""
_ALARM_GET, _ALARM_ACTIVATE, _ALARM_DEACTIVATE = range(3)
_ALARM_TYPES: Final = range(3)


class Maintenance:
    """The methods of Maintenance and Health.

    begin       by method: how its calls begin
    follow_ups  by method: what their replies are followed by
    """

    def __init__(self, routes: Routes, transfers: LeaderTransfers) -> None:
        self._routes = routes
        self._transfers = transfers
        self._member_id = 0
        self.begin: dict[int, Begin] = {
            ALARM: self._alarm,
            STATUS: self._status,
            HASH: self._hash,
            HASH_KV: self._hash_kv,
            HEALTH: self._health,
            HEALTH_LIST: self._health_list,
            DEFRAGMENT: self._defragment,
            MOVE_LEADER: self._move_leader,
            DOWNGRADE: self._downgrade,
        }
        self.follow_ups: dict[int, FollowUp] = {
            STATUS: self._complete_status,
            DOWNGRADE: self._set_downgrade,
            MOVE_LEADER: self._hand_over,
        }

    def on_quota_headroom(self, message: QuotaHeadroom) -> None:
        """The backend says with this message which member this is."""
        self._member_id = message.member_id

    # ---- reads ----

    def _status(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.StatusRequest, body)
        self._routes.read(caller, stream_id, STATUS, b"", False, auth)
        return None

    def _complete_status(self, request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes]:
        """Adds what only raft knows."""
        status = pb.StatusResponse.FromString(body)
        known = self._routes.leadership()
        status.leader = known.leader
        status.raftIndex = max(status.raftIndex, known.commit)
        status.raftTerm = max(status.raftTerm, known.term)
        if not known.leader:
            status.errors.insert(0, errors.NO_LEADER.text)
        return code, status.SerializeToString()

    def _hash(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.HashRequest, body)
        return self._routes.read_long_running(caller, stream_id, HASH, b"", auth)

    def _hash_kv(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        pb.HashKVRequest.FromString(body)
        return self._routes.read_long_running(caller, stream_id, HASH_KV, body, auth)

    def _defragment(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        validate.parse_empty(pb.DefragmentRequest, body)
        return self._routes.read_long_running(caller, stream_id, DEFRAGMENT, b"", auth)

    def _health(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        if body not in _HEALTH_OF_ALL:
            caller.reply(stream_id, Code.NOT_FOUND, b"unknown service")
        else:
            caller.reply(stream_id, Code.OK, SERVING)
        return None

    def _health_list(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        caller.reply(stream_id, Code.OK, _HEALTH_LIST)
        return None

    # ---- changes ----

    def _alarm(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        """NB: in etcd 3.5 even asking for alarms goes through the log.

        An alarm of a type that is not known ends an etcd 3.5 that applies it, an unknown action every etcd. One that a
        later etcd has raised can be taken back.
        """
        request = pb.AlarmRequest.FromString(body)
        if request.action not in (_ALARM_GET, _ALARM_ACTIVATE, _ALARM_DEACTIVATE):
            return errors.UNKNOWN_ALARM_ACTION
        if request.action == _ALARM_ACTIVATE and request.alarm not in _ALARM_TYPES:
            return errors.UNKNOWN_ALARM_TYPE
        return self._routes.propose(caller, stream_id, ALARM, body, auth)

    def _move_leader(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        pb.MoveLeaderRequest.FromString(body)
        return self._routes.permit(
            caller, stream_id, MOVE_LEADER, body, auth, lambda who: self._check_lead(caller, stream_id, body, who)
        )

    def _check_lead(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        leader = self._routes.leadership().leader
        if not leader or leader != self._member_id:
            return errors.NOT_LEADER
        self._routes.read(caller, stream_id, MOVE_LEADER, body, False, auth)
        return None

    def _hand_over(self, request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes] | None:
        """The backend knows whether the target has a vote."""
        target = pb.MoveLeaderRequest.FromString(call.payload).targetID
        if code or target == self._member_id:
            return code, body
        self._transfers.begin(call.caller, call.stream_id, target)
        return None

    def _downgrade(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.DowngradeRequest.FromString(body)
        return self._routes.permit(
            caller, stream_id, DOWNGRADE, body, auth, lambda who: self._check_target(caller, stream_id, request, who)
        )

    def _check_target(
        self, caller: Caller, stream_id: int, request: pb.DowngradeRequest, auth: AuthInfo | None
    ) -> EtcdError | None:
        if request.action not in (downgrade.VALIDATE, downgrade.ENABLE, downgrade.CANCEL):
            return errors.UNKNOWN_METHOD
        target = downgrade.parse_target(printable(request.version))
        if request.action != downgrade.CANCEL and isinstance(target, EtcdError):
            return target
        self._routes.read(caller, stream_id, DOWNGRADE, request.SerializeToString(), True, auth)
        return None

    def _set_downgrade(self, request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes] | None:
        """The backend has judged a downgrade: if it may be, and the client wants more than that, propose the change."""
        request = pb.DowngradeRequest.FromString(call.payload)
        if code or request.action == downgrade.VALIDATE:
            return code, body
        change = pb.InternalRaftRequest().downgrade_info_set
        if request.action == downgrade.ENABLE:
            change.enabled, change.ver = True, str(downgrade.parse_target(printable(request.version)))
        encoded = change.SerializeToString()
        error = self._routes.propose(call.caller, call.stream_id, SET_DOWNGRADE, encoded, call.auth)
        return None if error is None else (error.code, error.text.encode())
