"""What happened to keys, in the form in which it goes from the backend to listeners and on to clients.

    mvccpb.Event = [08 type: 1 is DELETE] 12 len KeyValue [1a len KeyValue: what it was before]

An event is encoded once, by the backend; every response with it copies these bytes. The prev_kv is kept apart, as only
some watchers want it.
"""

from typing import NamedTuple

from etcdz.proto.fields import encode_varint, message_field
from etcdz.proto.tags import EVENT_DELETE, EVENT_KV, KV_MOD_REVISION, WATCH_EVENTS


class Changes(NamedTuple):
    """Changes in the order in which they happened: columns of equal length.

    mains      main revision of each
    keys
    events     encoded mvccpb.Event of each, without prev_kv
    prev_kvs   encoded field prev_kv of each, empty where the key did not exist; an empty column if it was not asked for
    """

    mains: list[int]
    keys: list[bytes]
    events: list[bytes]
    prev_kvs: list[bytes]


def encode_put(record: bytes) -> bytes:
    """The event of a put. record: encoded KeyValue."""
    return message_field(EVENT_KV, record)


def encode_delete(tombstone: bytes, main: int) -> bytes:
    """The event of a delete. tombstone: encoded KeyValue with nothing but the key."""
    return EVENT_DELETE + message_field(EVENT_KV, tombstone + KV_MOD_REVISION + encode_varint(main))


def is_delete(event: bytes) -> bool:
    return event[0] == EVENT_DELETE[0]


def response_field(event: bytes, prev_kv: bytes = b"") -> bytes:
    """An event as a field of a WatchResponse. prev_kv: its encoded field, or nothing"""
    return b"%b%b%b%b" % (WATCH_EVENTS, encode_varint(len(event) + len(prev_kv)), event, prev_kv)
