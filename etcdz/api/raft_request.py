"""A request in the entry that proposes it: an InternalRaftRequest around the request's undecoded body.

entry := <field of the method>: body, header{ID, username, auth_revision}      in the order of the field numbers
"""

from typing import Final

from etcdz.api.auth_info import AuthInfo
from etcdz.api.methods import RAFT_FIELD
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import SMALL_VARINTS, bytes_field, encode_varint, int_field, message_field
from etcdz.proto.tags import RAFT_REQUEST_HEADER, REQUEST_AUTH_REVISION, REQUEST_ID, REQUEST_USERNAME
from etcdz.proto.text import encode_text

TAGS: Final[dict[int, bytes]] = {method: encode_varint(field << 3 | 2) for method, field in RAFT_FIELD.items()}
"""Method -> tag of the field that carries its request."""


def encode_request(request_id: int, tag: bytes, body: bytes, auth: AuthInfo | None = None) -> bytes:
    """The entry of a request; body is not decoded.

    tag     of TAGS, by the request's method
    auth    who asks; None: the header holds the id alone
    """
    number = encode_varint(request_id)
    size = len(body)
    length = SMALL_VARINTS[size] if size < 1 << 14 else encode_varint(size)
    if auth is None:
        return b"%b%b%b%b%b%b%b" % (
            tag, length, body, RAFT_REQUEST_HEADER, SMALL_VARINTS[len(number) + 1], REQUEST_ID, number
        )  # fmt: skip
    username = bytes_field(REQUEST_USERNAME, encode_text(auth.username))
    header = REQUEST_ID + number + username + int_field(REQUEST_AUTH_REVISION, auth.revision)
    return tag + length + body + message_field(RAFT_REQUEST_HEADER, header)


def request_of(method: int, entry: bytes) -> bytes:
    """The body of the request that an entry proposes, encoded anew; empty if it is of another method.

    raises  DecodeError: entry is no InternalRaftRequest
    """
    field = RAFT_FIELD.get(method)
    for descriptor, value in pb.InternalRaftRequest.FromString(entry).ListFields():
        if descriptor.number == field:
            return bytes(value.SerializeToString())
    return b""
