"""What a listener decodes alone, the backend decodes inside its entry, however deep it is."""

from random import Random
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from etcdz.api.methods import ALARM, COMPACT, DELETE_RANGE, LEASE_GRANT, LEASE_REVOKE, PUT, TXN
from etcdz.api.raft_request import TAGS, encode_request
from etcdz.proto import deep
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import encode_varint, message_field

WRITES = {
    PUT: pb.PutRequest,
    DELETE_RANGE: pb.DeleteRangeRequest,
    TXN: pb.TxnRequest,
    COMPACT: pb.CompactionRequest,
    LEASE_GRANT: pb.LeaseGrantRequest,
    LEASE_REVOKE: pb.LeaseRevokeRequest,
    ALARM: pb.AlarmRequest,
}
START, END = encode_varint(99 << 3 | 3), encode_varint(99 << 3 | 4)


def _nested(depth: int) -> bytes:
    body = message_field(b"\x12", message_field(b"\x12", b"\x0a\x01k\x12\x01v"))
    for _ in range(depth):
        body = message_field(b"\x12", message_field(b"\x22", body))
    return body


def _decodes(cls: Any, body: bytes) -> bool:
    try:
        deep.decode(cls, body)
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("depth", [0, 1, 47, 48, 49, 50, 51, 98, 99, 100, 127, 128, 200, 255])
def test_nested_transactions_keep_what_they_hold(depth: int) -> None:
    entry = encode_request(7, TAGS[TXN], _nested(depth))
    request = deep.decode(pb.InternalRaftRequest, entry)
    txn = request.txn
    for _ in range(depth):
        txn = txn.success[0].request_txn
    assert (request.header.ID, txn.success[0].request_put.key, txn.success[0].request_put.value) == (7, b"k", b"v")


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("depth", [1, 98, 99, 100, 101, 20_000])
def test_unknown_groups_are_passed_over(method: int, depth: int) -> None:
    body = START * depth + END * depth
    assert _decodes(WRITES[method], body)
    assert _decodes(pb.InternalRaftRequest, encode_request(7, TAGS[method], body))
    assert deep.without_groups(body) == b""


def test_what_decodes_alone_decodes_in_its_entry_and_nothing_else_does() -> None:
    rng = Random(11)
    both = neither = 0
    for _ in range(1_500):
        method = rng.choice(list(WRITES))
        depth = rng.choice((0, 1, 3, 45, 48, 49, 50, 51, 99, 100, 101))
        body = _nested(depth) if rng.random() < 0.5 else START * depth + b"\x0a\x01k" + END * depth + b"\x0a\x01k"
        data = bytearray(body)
        for _ in range(rng.choice((0, 0, 1, 2))):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.choice((0, 1))] = rng.choice((b"", b"\0", b"\x0b", b"\x0c", b"\xff", rng.randbytes(2)))
        body = bytes(data)
        alone = _decodes(WRITES[method], body)
        entry = _decodes(pb.InternalRaftRequest, encode_request(7, TAGS[method], body))
        assert alone == entry, (method, depth, body.hex())
        both, neither = both + alone, neither + (not alone)
    assert min(both, neither) > 100


def test_what_is_too_deep_is_refused() -> None:
    with pytest.raises(deep.TooDeep):
        deep.decode(pb.TxnRequest, _nested(deep.LEVELS_MAX))


def test_the_deepest_request_that_is_taken_decodes_in_its_entry() -> None:
    downwards = range(deep.LEVELS_MAX - 1, 200, -1)
    deepest = next(depth for depth in downwards if _decodes(pb.TxnRequest, _nested(depth)))
    entry = encode_request(7, TAGS[TXN], _nested(deepest))
    assert deep.decode(pb.InternalRaftRequest, entry, deep.LEVELS_MAX + 1).HasField("txn")
