"""What a listener asks its backend about users, as Read with a method of its own, and how the answers are encoded.

    PASSWORD_HASH   name                            -> PasswordHash; error AuthNotEnabled
    TOKEN_OWNER     token                           -> Owner
    LEASE_KEYS      lease id (8, BE, signed) mode   -> revision of the auth store (8, BE), or the error of the check;
                                                       mode READ or WRITE, one byte

Answers to the first two are secrets: neither is logged or recorded.
"""

from struct import Struct
from typing import NamedTuple

from etcdz.auth.access import READ, WRITE
from etcdz.proto.text import decode_text, encode_text

_hash = Struct(">QB")
_index = Struct(">Q")
_lease = Struct(">qB")
UNKNOWN, NO_PASSWORD, HASHED = range(3)


class PasswordHash(NamedTuple):
    """revision: of the auth store when this was read. kind: UNKNOWN user, NO_PASSWORD, or HASHED; then hash is what
    bcrypt made of the password."""

    revision: int
    kind: int
    hash: bytes

    def encode(self) -> bytes:
        return _hash.pack(self.revision, self.kind) + self.hash

    @classmethod
    def decode(cls, body: bytes) -> "PasswordHash":
        revision, kind = _hash.unpack_from(body)
        return cls(revision, kind, body[_hash.size :])


class Owner(NamedTuple):
    """applied_index: what the backend has applied; username: empty if it knows no such token by then."""

    applied_index: int
    username: str

    def encode(self) -> bytes:
        return _index.pack(self.applied_index) + encode_text(self.username)

    @classmethod
    def decode(cls, body: bytes) -> "Owner":
        return cls(_index.unpack_from(body)[0], decode_text(body[_index.size :]))


def lease_question(lease_id: int, wants_write: bool) -> bytes:
    """The body of LEASE_KEYS."""
    return _lease.pack(lease_id, WRITE if wants_write else READ)


def decode_lease_question(body: bytes) -> tuple[int, bool]:
    """(lease id, whether the keys are to be written)"""
    lease_id, mode = _lease.unpack(body)
    return lease_id, mode == WRITE


def encode_revision(revision: int) -> bytes:
    """The answer to LEASE_KEYS if nothing speaks against it."""
    return _index.pack(revision)


def decode_revision(body: bytes) -> int:
    """raises struct.error: it is none"""
    revision: int = _index.unpack(body)[0]
    return revision
