"""Response -> JSON."""

import json
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.gateway.large_responses import PIECE_BYTES, encode_large, may_be_large
from etcdz.gateway.responses import encode_response, encode_result
from etcdz.gateway.routes import METHODS
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from tests.examples import examples
from tests.gateway.messages import messages

RESPONSES = sorted({method.response for method in METHODS.values()}, key=lambda kind: kind.DESCRIPTOR.full_name)


def _slow(message: Message) -> bytes:
    plain = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.sampled_from(RESPONSES))
def test_a_response_is_printed_as_json_format_prints_it(data: st.DataObject, kind: type[Message]) -> None:
    message = data.draw(messages(kind))
    assert encode_response(message) == _slow(message)


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from([kind for kind in RESPONSES if may_be_large(kind)]).flatmap(messages), st.data())
def test_a_response_in_pieces_is_what_it_is_in_one(message: Any, data: st.DataObject) -> None:
    body = message.SerializeToString()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=8)) | {0, len(body)})
    parts = [body[lo:hi] for lo, hi in pairwise(cuts)]
    assert b"".join(encode_large(type(message), parts)) == encode_response(message)


_KVS = [
    mvccpb.KeyValue(key=b"%d" % n, version=1, create_revision=7, mod_revision=n + 7, value=b"v" * 100)
    for n in range(5_000)
]
_RANGE = pb.RangeResponse(header=pb.ResponseHeader(revision=9), kvs=_KVS, more=True, count=6_000)
_DELETION = pb.DeleteRangeResponse(header=pb.ResponseHeader(revision=9), deleted=5_000, prev_kvs=_KVS)
_OPERATIONS = [
    pb.ResponseOp(response_range=_RANGE),
    pb.ResponseOp(),
    pb.ResponseOp(response_put=pb.PutResponse(prev_kv=_KVS[0])),
    pb.ResponseOp(response_delete_range=_DELETION),
]
_TXN = pb.TxnResponse(responses=[*_OPERATIONS, pb.ResponseOp(response_txn=pb.TxnResponse(responses=_OPERATIONS))])


@pytest.mark.parametrize("message", [_RANGE, _DELETION, _TXN], ids=lambda message: message.DESCRIPTOR.name)
def test_a_large_response_comes_in_pieces_of_bounded_size(message: Any) -> None:
    pieces = list(encode_large(type(message), [message.SerializeToString()]))
    assert b"".join(pieces) == encode_response(message)
    assert max(map(len, pieces)) < 2 * PIECE_BYTES


def test_a_range_that_is_cut_is_an_error() -> None:
    body = pb.RangeResponse(kvs=[mvccpb.KeyValue(key=b"k", version=1)]).SerializeToString()
    with pytest.raises(ValueError):
        list(encode_large(pb.RangeResponse, [body[:-1]]))


def test_zero_fields_are_left_out_and_parts_that_are_set_are_not() -> None:
    inner = pb.TxnResponse(header=pb.ResponseHeader(), succeeded=True)
    message = pb.TxnResponse(responses=[pb.ResponseOp(response_txn=inner)])
    assert encode_response(message) == b'{"responses":[{"response_txn":{"header":{},"succeeded":true}}]}'


def test_a_deleted_key_has_its_revision_alone() -> None:
    event = mvccpb.Event(type=1, kv=mvccpb.KeyValue(key=b"foo", mod_revision=5))
    assert encode_result(pb.WatchResponse(events=[event])) == (
        b'{"result":{"events":[{"type":"DELETE","kv":{"key":"Zm9v","mod_revision":"5"}}]}}\n'
    )


def test_an_unknown_enum_number_is_printed_as_a_number() -> None:
    assert encode_response(mvccpb.Event(type=7)) == b'{"type":7}'
