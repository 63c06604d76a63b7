"""Names for the tags of fields that are written or read by hand: the bytes that such a field begins with.

A tag is the varint of the field's number and its wire type: 0 for numbers, 2 for what has a length. They are worked out
from the schema, so that a name cannot mean another field than it says. `X_TRUE` is a whole field.
"""

from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb, raftpb, walpb
from etcdz.proto.varints import plain_varint

_WITH_LENGTH: Final = (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE)


def tag_of(message: type[Message], name: str) -> bytes:
    """What the field called name begins with; not for packed ones. raises KeyError: message has no such field"""
    field = message.DESCRIPTOR.fields_by_name[name]
    return plain_varint(field.number << 3 | (2 if field.type in _WITH_LENGTH else 0))


KV_KEY: Final = tag_of(mvccpb.KeyValue, "key")
KV_CREATE_REVISION: Final = tag_of(mvccpb.KeyValue, "create_revision")
KV_MOD_REVISION: Final = tag_of(mvccpb.KeyValue, "mod_revision")
KV_VERSION: Final = tag_of(mvccpb.KeyValue, "version")
KV_VALUE: Final = tag_of(mvccpb.KeyValue, "value")
KV_LEASE: Final = tag_of(mvccpb.KeyValue, "lease")

EVENT_DELETE: Final = tag_of(mvccpb.Event, "type") + b"\x01"
EVENT_KV: Final = tag_of(mvccpb.Event, "kv")
EVENT_PREV_KV: Final = tag_of(mvccpb.Event, "prev_kv")

RESPONSE_HEADER: Final = tag_of(pb.PutResponse, "header")
"""Of all responses alike."""
HEADER_CLUSTER_ID: Final = tag_of(pb.ResponseHeader, "cluster_id")
HEADER_MEMBER_ID: Final = tag_of(pb.ResponseHeader, "member_id")
HEADER_REVISION: Final = tag_of(pb.ResponseHeader, "revision")
HEADER_RAFT_TERM: Final = tag_of(pb.ResponseHeader, "raft_term")

RANGE_KEY: Final = tag_of(pb.RangeRequest, "key")
RANGE_SERIALIZABLE_TRUE: Final = tag_of(pb.RangeRequest, "serializable") + b"\x01"
RANGE_KVS: Final = tag_of(pb.RangeResponse, "kvs")
RANGE_MORE_TRUE: Final = tag_of(pb.RangeResponse, "more") + b"\x01"
RANGE_COUNT: Final = tag_of(pb.RangeResponse, "count")

PUT_KEY: Final = tag_of(pb.PutRequest, "key")
PUT_VALUE: Final = tag_of(pb.PutRequest, "value")
PUT_PREV_KV: Final = tag_of(pb.PutResponse, "prev_kv")

DELETED: Final = tag_of(pb.DeleteRangeResponse, "deleted")
DELETED_PREV_KVS: Final = tag_of(pb.DeleteRangeResponse, "prev_kvs")

TXN_SUCCESS: Final = tag_of(pb.TxnRequest, "success")
TXN_SUCCEEDED_TRUE: Final = tag_of(pb.TxnResponse, "succeeded") + b"\x01"
TXN_RESPONSES: Final = tag_of(pb.TxnResponse, "responses")
OP_REQUEST_RANGE: Final = tag_of(pb.RequestOp, "request_range")
OP_REQUEST_PUT: Final = tag_of(pb.RequestOp, "request_put")
OP_RESPONSE_RANGE: Final = tag_of(pb.ResponseOp, "response_range")
OP_RESPONSE_PUT: Final = tag_of(pb.ResponseOp, "response_put")
OP_RESPONSE_DELETE_RANGE: Final = tag_of(pb.ResponseOp, "response_delete_range")
OP_RESPONSE_TXN: Final = tag_of(pb.ResponseOp, "response_txn")

HASH: Final = tag_of(pb.HashResponse, "hash")
HASH_KV_HASH: Final = tag_of(pb.HashKVResponse, "hash")
HASH_KV_COMPACT_REVISION: Final = tag_of(pb.HashKVResponse, "compact_revision")
HASH_KV_HASH_REVISION: Final = tag_of(pb.HashKVResponse, "hash_revision")

ALARM_ALARMS: Final = tag_of(pb.AlarmResponse, "alarms")

WATCH_ID: Final = tag_of(pb.WatchResponse, "watch_id")
WATCH_CREATED_TRUE: Final = tag_of(pb.WatchResponse, "created") + b"\x01"
WATCH_CANCELED_TRUE: Final = tag_of(pb.WatchResponse, "canceled") + b"\x01"
WATCH_COMPACT_REVISION: Final = tag_of(pb.WatchResponse, "compact_revision")
WATCH_CANCEL_REASON: Final = tag_of(pb.WatchResponse, "cancel_reason")
WATCH_FRAGMENT_TRUE: Final = tag_of(pb.WatchResponse, "fragment") + b"\x01"
WATCH_EVENTS: Final = tag_of(pb.WatchResponse, "events")

GRANT_ID: Final = tag_of(pb.LeaseGrantResponse, "ID")
GRANT_TTL: Final = tag_of(pb.LeaseGrantResponse, "TTL")
KEEP_ALIVE_ID: Final = tag_of(pb.LeaseKeepAliveResponse, "ID")
KEEP_ALIVE_TTL: Final = tag_of(pb.LeaseKeepAliveResponse, "TTL")
TIME_TO_LIVE_ID: Final = tag_of(pb.LeaseTimeToLiveResponse, "ID")
TIME_TO_LIVE_TTL: Final = tag_of(pb.LeaseTimeToLiveResponse, "TTL")
TIME_TO_LIVE_GRANTED_TTL: Final = tag_of(pb.LeaseTimeToLiveResponse, "grantedTTL")
TIME_TO_LIVE_KEYS: Final = tag_of(pb.LeaseTimeToLiveResponse, "keys")
LEASES_LEASES: Final = tag_of(pb.LeaseLeasesResponse, "leases")
LEASE_STATUS_ID: Final = tag_of(pb.LeaseStatus, "ID")

AUTHENTICATE_NAME: Final = tag_of(pb.InternalAuthenticateRequest, "name")
AUTHENTICATE_SIMPLE_TOKEN: Final = tag_of(pb.InternalAuthenticateRequest, "simple_token")
USER_GET_ROLES: Final = tag_of(pb.AuthUserGetResponse, "roles")
USER_LIST_USERS: Final = tag_of(pb.AuthUserListResponse, "users")
ROLE_LIST_ROLES: Final = tag_of(pb.AuthRoleListResponse, "roles")

RAFT_REQUEST_PUT: Final = tag_of(pb.InternalRaftRequest, "put")
RAFT_REQUEST_TXN: Final = tag_of(pb.InternalRaftRequest, "txn")
RAFT_REQUEST_HEADER: Final = tag_of(pb.InternalRaftRequest, "header")
REQUEST_ID: Final = tag_of(pb.RequestHeader, "ID")
REQUEST_USERNAME: Final = tag_of(pb.RequestHeader, "username")
REQUEST_AUTH_REVISION: Final = tag_of(pb.RequestHeader, "auth_revision")
V2_REQUEST_ID: Final = tag_of(pb.Request, "ID")
V2_REQUEST_METHOD: Final = tag_of(pb.Request, "Method")

ENTRY_TYPE: Final = tag_of(raftpb.Entry, "Type")
ENTRY_TERM: Final = tag_of(raftpb.Entry, "Term")
ENTRY_INDEX: Final = tag_of(raftpb.Entry, "Index")
ENTRY_DATA: Final = tag_of(raftpb.Entry, "Data")

MESSAGE_TYPE: Final = tag_of(raftpb.Message, "type")
MESSAGE_TO: Final = tag_of(raftpb.Message, "to")
MESSAGE_FROM: Final = tag_of(raftpb.Message, "from")
MESSAGE_TERM: Final = tag_of(raftpb.Message, "term")
MESSAGE_LOG_TERM: Final = tag_of(raftpb.Message, "logTerm")
MESSAGE_INDEX: Final = tag_of(raftpb.Message, "index")
MESSAGE_ENTRIES: Final = tag_of(raftpb.Message, "entries")
MESSAGE_COMMIT: Final = tag_of(raftpb.Message, "commit")
MESSAGE_SNAPSHOT: Final = tag_of(raftpb.Message, "snapshot")
MESSAGE_REJECT: Final = tag_of(raftpb.Message, "reject")
MESSAGE_REJECT_HINT: Final = tag_of(raftpb.Message, "rejectHint")
MESSAGE_CONTEXT: Final = tag_of(raftpb.Message, "context")

HARD_STATE_TERM: Final = tag_of(raftpb.HardState, "term")
HARD_STATE_VOTE: Final = tag_of(raftpb.HardState, "vote")
HARD_STATE_COMMIT: Final = tag_of(raftpb.HardState, "commit")

RECORD_TYPE: Final = tag_of(walpb.Record, "type")
RECORD_CRC: Final = tag_of(walpb.Record, "crc")
RECORD_DATA: Final = tag_of(walpb.Record, "data")
MARKER_INDEX: Final = tag_of(walpb.Snapshot, "index")
MARKER_TERM: Final = tag_of(walpb.Snapshot, "term")
MARKER_CONF_STATE: Final = tag_of(walpb.Snapshot, "conf_state")
