"""Put and DeleteRange as operations of a transaction: what they change, and what they answer behind a header.

The caller has checked them, and ends the transaction.
"""

from etcdz.mvcc import ranges
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.state import KvState
from etcdz.mvcc.steps import Steps
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.fields import bytes_field, int_field, message_field
from etcdz.proto.tags import DELETED, DELETED_PREV_KVS, KV_KEY, KV_VALUE, PUT_PREV_KV


def put(state: KvState, request: pb.PutRequest) -> bytes:
    """return the encoded field prev_kv of a PutResponse, or nothing"""
    key, lease_id, value = request.key, request.lease, request.value
    value_field = bytes_field(KV_VALUE, value)
    if not (request.prev_kv or request.ignore_value or request.ignore_lease):
        state.write_put(key, bytes_field(KV_KEY, key), value_field, lease_id)
        state.tally.put_bytes += len(key) + len(value)
        return b""
    record = state.record_now(key)
    if record is not None and (request.ignore_value or request.ignore_lease):
        before = mvccpb.KeyValue.FromString(record)
        if request.ignore_value:
            value = before.value
            value_field = bytes_field(KV_VALUE, value)
        if request.ignore_lease:
            lease_id = before.lease
    state.write_put(key, bytes_field(KV_KEY, key), value_field, lease_id)
    state.tally.put_bytes += len(key) + len(value)
    return message_field(PUT_PREV_KV, record) if record is not None and request.prev_kv else b""


def delete_range(state: KvState, request: pb.DeleteRangeRequest, answer: Answer) -> Steps[None]:
    """Adds the fields of a DeleteRangeResponse behind its header."""
    lo, hi = request.key, ranges.range_end(request.range_end)
    keys = state.index.keys_now(lo, hi)
    answer.add(int_field(DELETED, len(keys)))
    for records in ranges.read_all(state, lo, hi, state.write_revision) if request.prev_kv else ():
        answer.add_messages(DELETED_PREV_KVS, records)
        yield
    state.write_delete(lo, hi)
