"""A request in its entry: the bytes are protobuf's, and the request comes out as it went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.raft.request_window import request_id_of
from etcdz.api.auth_info import AuthInfo
from etcdz.api.methods import ALARM, COMPACT, COMPACT_PHYSICAL, PUT, RAISE_NOSPACE, RANGE
from etcdz.api.raft_request import TAGS, encode_request, request_of
from etcdz.proto import etcdserverpb as pb

IDS = st.integers(1, (1 << 64) - 1)


@given(username=st.text(max_size=300), revision=st.integers(0, (1 << 64) - 1), request_id=IDS)
def test_any_name_and_revision_are_read_back(username: str, revision: int, request_id: int) -> None:
    put = pb.PutRequest(key=b"k", value=b"v")
    data = encode_request(request_id, TAGS[PUT], put.SerializeToString(), AuthInfo(username, revision))
    header = pb.RequestHeader(ID=request_id, username=username, auth_revision=revision)
    assert data == pb.InternalRaftRequest(header=header, put=put).SerializeToString()
    assert request_id_of(data) == request_id


@given(request_id=IDS, size=st.sampled_from([0, 1, 126, 127, 128, 16_382, 16_383, 16_384, 100_000]))
def test_a_body_of_any_length_is_framed_as_protobuf_does(request_id: int, size: int) -> None:
    put = pb.PutRequest(value=bytes(size))
    data = encode_request(request_id, TAGS[PUT], put.SerializeToString())
    assert data == pb.InternalRaftRequest(header=pb.RequestHeader(ID=request_id), put=put).SerializeToString()
    assert request_of(PUT, data) == put.SerializeToString()


@pytest.mark.parametrize(("method", "carrier"), [(COMPACT_PHYSICAL, COMPACT), (RAISE_NOSPACE, ALARM)])
def test_internal_methods_are_proposed_as_the_requests_that_they_stand_for(method: int, carrier: int) -> None:
    assert TAGS[method] == TAGS[carrier]


def test_an_entry_of_another_method_has_no_such_request() -> None:
    data = encode_request(7, TAGS[PUT], pb.PutRequest(key=b"k").SerializeToString())
    assert request_of(COMPACT, data) == b""
    assert request_of(RANGE, data) == b"", "one that is never proposed"
