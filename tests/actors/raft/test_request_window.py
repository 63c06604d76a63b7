"""A proposal offered twice enters the log once."""

from actors.raft.request_window import RequestWindow, request_id_of
from etcdz.api.raft_request import encode_request
from etcdz.proto import etcdserverpb as pb


def test_an_id_is_new_once() -> None:
    window = RequestWindow(8)
    assert window.add(5)
    assert not window.add(5)


def test_the_window_forgets_the_oldest_only() -> None:
    window = RequestWindow(3)
    for request_id in (1, 2, 3, 4):
        assert window.add(request_id)
    assert not window.add(2)
    assert window.add(1)


def test_ids_are_read_out_of_entries_of_the_log() -> None:
    window = RequestWindow(8)
    request_id = 0xFEDC_BA98_7654_3210
    window.add_data(encode_request(request_id, b"\x22", pb.PutRequest(key=b"k", value=b"v" * 300).SerializeToString()))
    assert not window.add(request_id)


def test_the_id_is_found_wherever_the_header_stands() -> None:
    by_other_encoder = pb.InternalRaftRequest(header=pb.RequestHeader(ID=77), put=pb.PutRequest(key=b"k"))
    assert request_id_of(by_other_encoder.SerializeToString()) == 77


def test_the_id_is_that_of_the_header_whatever_else_the_header_holds() -> None:
    for name in ("a", "root", "\u00a2\x06\x03\x08", "x" * 200):
        header = pb.RequestHeader(ID=5, username=name, auth_revision=1)
        entry = pb.InternalRaftRequest(header=header, put=pb.PutRequest(key=b"k"))
        assert request_id_of(entry.SerializeToString()) == 5


def test_the_id_is_found_behind_a_body_that_looks_like_a_header() -> None:
    inner = pb.InternalRaftRequest(header=pb.RequestHeader(ID=8)).SerializeToString()
    assert request_id_of(encode_request(9, b"\x22", pb.PutRequest(key=b"k", value=inner).SerializeToString())) == 9
    assert request_id_of(inner) == 8


def test_entries_without_an_id_have_none() -> None:
    assert request_id_of(b"") == 0
    assert request_id_of(pb.Request(ID=9, Method="PUT", Path="/0/version", Val="3.5.0").SerializeToString()) in (0, 9)


def test_the_undecoded_body_arrives_as_the_request() -> None:
    put = pb.PutRequest(key=b"k" * 20_000, value=b"v", lease=3)
    entry = pb.InternalRaftRequest.FromString(encode_request(9, b"\x22", put.SerializeToString()))
    assert (entry.header.ID, entry.put) == (9, put)
