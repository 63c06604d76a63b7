"""Where everything lies in the store: etcd's buckets, flattened into one ordered key space.

    store key     = bucket name, 0x00, etcd's key in that bucket
    revision key  = "key", 0x00, main (8, BE), "_", sub (8, BE) ["t" if the record is a tombstone]
    record        = encoded mvccpb.KeyValue (of a tombstone: only its key)

The separator is 0x00, which no bucket name holds, so that store order is etcd's order: by bucket name, then by key.
Source: etcd 3.5 backend buckets.
"""

from struct import Struct

ALARM = b"alarm\0"
AUTH = b"auth\0"
AUTH_ROLES = b"authRoles\0"
AUTH_USERS = b"authUsers\0"
CLUSTER = b"cluster\0"
KEY = b"key\0"
LEASE = b"lease\0"
MEMBERS = b"members\0"
MEMBERS_REMOVED = b"members_removed\0"
META = b"meta\0"

ALL = (ALARM, AUTH, AUTH_ROLES, AUTH_USERS, CLUSTER, KEY, LEASE, MEMBERS, MEMBERS_REMOVED, META)
"""All of etcd's buckets in name order: what Hash covers. Buckets of etcdz itself are not in it."""

CONSISTENT_INDEX = META + b"consistent_index"
TERM = META + b"term"
SCHEDULED_COMPACT = META + b"scheduledCompactRev"
FINISHED_COMPACT = META + b"finishedCompactRev"
STORAGE_VERSION = META + b"storageVersion"
"""A text like "3.6.0": etcd marks a store so from 3.6 on."""

IDENTITY = b"etcdz_meta\0identity"
"""Of etcdz itself: which member's the store is, packed (member id, cluster id)."""

TOMBSTONE_MARK = b"t"
REVISION_BYTES = 17
PUT_KEY_BYTES = len(KEY) + REVISION_BYTES
"""Length of a store key that names a put."""
TOMBSTONE_KEY_BYTES = PUT_KEY_BYTES + 1

FIRST_SUB = b"_" + bytes(8)
"""The end of most revision keys: that of the first or only change of a transaction."""
_revision = Struct(">QcQ")
_store_key = Struct(">4sQcQ")


def bucket_end(bucket: bytes) -> bytes:
    """First store key behind a bucket of this module (a name with its separator)."""
    return bucket[:-1] + b"\x01"


def encode_revision(main: int, sub: int = 0) -> bytes:
    """17 revision bytes, as meta's compaction keys hold them."""
    return _revision.pack(main, b"_", sub)


def decode_revision(value: bytes) -> tuple[int, int]:
    """(main, sub) of 17 or more revision bytes. raises ValueError if it is shorter."""
    if len(value) < REVISION_BYTES:
        raise ValueError(f"revision of {len(value)} bytes")
    main, _, sub = _revision.unpack_from(value)
    return main, sub


def put_key(main: int, sub: int) -> bytes:
    """Store key of the record of a put."""
    if sub == 0:  # all but transactions and range deletes
        return KEY + main.to_bytes(8, "big") + FIRST_SUB
    return _store_key.pack(KEY, main, b"_", sub)


def tombstone_key(main: int, sub: int) -> bytes:
    """Store key of the record of a delete."""
    return _store_key.pack(KEY, main, b"_", sub) + TOMBSTONE_MARK


def decode_store_key(key: bytes) -> tuple[int, int, bool]:
    """(main, sub, tombstone) of a store key in the bucket `key`."""
    _, main, _, sub = _store_key.unpack_from(key)
    return main, sub, len(key) == TOMBSTONE_KEY_BYTES
