"""How calls of etcd's KV service begin: checked as etcd does, then proposed or read."""

from actors.listener.call import READ, Begin, Call, Caller, FollowUp, Routes
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.api.methods import COMPACT, COMPACT_PHYSICAL, DELETE_RANGE, PUT, RANGE, RANGE_CHUNK, TXN, WAIT_COMPACTION
from etcdz.mvcc import transaction, validate
from etcdz.mvcc.put_entry import keys_of_puts
from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb


class KeyValues:
    """The methods of KV.

    begin       by method: how its calls begin
    follow_ups  by method: what their replies are followed by
    """

    def __init__(self, routes: Routes, max_txn_ops: int) -> None:
        """max_txn_ops: of --max-txn-ops"""
        self._propose = routes.propose
        self._read = routes.read
        self._wait_long_running = routes.wait_long_running
        self._max_txn_ops = max_txn_ops
        self.begin: dict[int, Begin] = {
            PUT: self._put,
            DELETE_RANGE: self._delete_range,
            TXN: self._txn,
            COMPACT: self._compact,
            RANGE: self._range,
            RANGE_CHUNK: self._range_chunk,
        }
        self.follow_ups: dict[int, FollowUp] = {COMPACT_PHYSICAL: self._wait_for_compaction}

    def _put(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        error = validate.check_put(pb.PutRequest.FromString(body))
        return error or self._propose(caller, stream_id, PUT, body, auth)

    def _delete_range(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        error = validate.check_delete(pb.DeleteRangeRequest.FromString(body))
        return error or self._propose(caller, stream_id, DELETE_RANGE, body, auth)

    def _txn(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        keys = keys_of_puts(body)
        if keys is not None:
            error = validate.check_puts(keys, self._max_txn_ops)
            return error or self._propose(caller, stream_id, TXN, body, auth)
        try:
            request = deep.decode(pb.TxnRequest, body)
        except deep.TooDeep:
            return errors.TOO_MANY_OPS
        error = validate.check_txn(request, self._max_txn_ops)
        if error is not None:
            return error
        if not transaction.is_read_only(request):
            return self._propose(caller, stream_id, TXN, body, auth)
        self._read(caller, stream_id, TXN, body, not transaction.is_serializable(request), auth)
        return None

    def _compact(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        method = COMPACT_PHYSICAL if pb.CompactionRequest.FromString(body).physical else COMPACT
        return self._propose(caller, stream_id, method, body, auth)

    def _wait_for_compaction(self, request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes] | None:
        """The compaction is in force; its client wants the answer only when the space is free."""
        if code:
            return code, body
        self._wait_long_running(request_id, call._replace(method=WAIT_COMPACTION, state=READ, payload=body))
        return None

    def _range(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.RangeRequest.FromString(body)
        error = validate.check_range(request)
        if error is None:
            self._read(caller, stream_id, RANGE, body, not request.serializable, auth)
        return error

    def _range_chunk(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        serializable = pb.RangeRequest.FromString(body).serializable
        self._read(caller, stream_id, RANGE_CHUNK, body, not serializable, auth)
        return None
