"""What a call says of who asks: the fields that go to the cluster with it."""

from typing import Final

from etcdz.wire.header_block import Field
from etcdz.wire.request_head import Metadata

Caller = tuple[Field, ...]
"""Fields of a call: its token, and whether a leader is demanded. Calls of one caller may share what is asked."""
TOKEN_FIELDS: Final = (b"token", b"authorization")
LEADER_FIELD: Final = b"hasleader"
_HANDED_ON: Final = (*TOKEN_FIELDS, LEADER_FIELD)


def caller_of(metadata: Metadata) -> Caller:
    if not metadata:
        return ()
    return tuple([(name, metadata[name]) for name in _HANDED_ON if name in metadata])


def has_token(caller: Caller) -> bool:
    return any(name in TOKEN_FIELDS for name, _ in caller)


def requires_leader(caller: Caller) -> bool:
    return (LEADER_FIELD, b"true") in caller
