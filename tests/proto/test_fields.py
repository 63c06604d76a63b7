"""Protobuf written and read by hand is what protobuf's own runtime writes and reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import fields, mvccpb, raftpb, tags, walpb

MASK64 = (1 << 64) - 1
VARINTS = [
    (0, b"\x00"),
    (1, b"\x01"),
    (127, b"\x7f"),
    (128, b"\x80\x01"),
    (300, b"\xac\x02"),
    (16383, b"\xff\x7f"),
    (16384, b"\x80\x80\x01"),
    (16385, b"\x81\x80\x01"),
    ((1 << 21) - 1, b"\xff\xff\x7f"),
    (1 << 21, b"\x80\x80\x80\x01"),
    (1 << 35, b"\x80\x80\x80\x80\x80\x01"),
    ((1 << 63) - 1, b"\xff" * 8 + b"\x7f"),
    (1 << 63, b"\x80" * 9 + b"\x01"),
    ((1 << 64) - 1, b"\xff" * 9 + b"\x01"),
]
NEGATIVE = [(-1, b"\xff" * 9 + b"\x01"), (-2, b"\xfe" + b"\xff" * 8 + b"\x01"), (-(1 << 63), b"\x80" * 9 + b"\x01")]


@pytest.mark.parametrize(("value", "encoded"), VARINTS + NEGATIVE)
def test_a_varint_is_written(value: int, encoded: bytes) -> None:
    assert fields.encode_varint(value) == encoded


@pytest.mark.parametrize(("value", "encoded"), VARINTS)
def test_a_varint_is_read_wherever_it_stands(value: int, encoded: bytes) -> None:
    assert fields.decode_varint(encoded, 0) == (value, len(encoded))
    assert fields.decode_varint(b"\xff" + encoded + b"\xff", 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize(("value", "encoded"), VARINTS)
def test_a_varint_that_is_cut_is_an_index_error(value: int, encoded: bytes) -> None:
    for cut in range(len(encoded)):
        with pytest.raises(IndexError):
            fields.decode_varint(encoded[:cut], 0)


@pytest.mark.parametrize("size", [11, 12, 100])
def test_a_varint_of_more_than_ten_bytes_is_a_value_error(size: int) -> None:
    with pytest.raises(ValueError, match="ten bytes"):
        fields.decode_varint(b"\xff" * (size - 1) + b"\x01", 0)


def test_bits_beyond_the_64th_are_dropped() -> None:
    too_large = b"\xff" * 9 + b"\x7f"
    assert fields.decode_varint(too_large, 0) == (MASK64, 10)
    assert pb.RequestHeader.FromString(tags.REQUEST_ID + too_large).ID == MASK64


def test_a_length_that_is_longer_than_needed_is_read() -> None:
    assert fields.decode_varint(b"\x81\x80\x00", 0) == (1, 3)


@given(st.integers(-(1 << 63), MASK64))
def test_any_number_is_written_as_the_runtime_writes_it(value: int) -> None:
    encoded = fields.encode_varint(value)
    if value:
        assert pb.RequestHeader(ID=value & MASK64).SerializeToString() == tags.REQUEST_ID + encoded
    assert fields.decode_varint(encoded, 0) == (value & MASK64, len(encoded))


@given(st.binary(max_size=12))
def test_any_bytes_are_read_as_the_runtime_reads_them(data: bytes) -> None:
    try:
        value, end = fields.decode_varint(data, 0)
    except IndexError:
        return  # more is to come
    except ValueError:
        with pytest.raises(Exception, match=r"(?i)pars"):
            pb.RequestHeader.FromString(tags.REQUEST_ID + data)
        return
    parsed = pb.RequestHeader.FromString(tags.REQUEST_ID + data[:end])
    assert value == parsed.ID


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(-(1 << 63), (1 << 63) - 1))
def test_fields_are_those_of_a_message(key: bytes, value: bytes, lease: int) -> None:
    written = fields.bytes_field(tags.KV_KEY, key)
    written += fields.bytes_field(tags.KV_VALUE, value) + fields.int_field(tags.KV_LEASE, lease)
    assert written == mvccpb.KeyValue(key=key, value=value, lease=lease).SerializeToString()
    event = mvccpb.Event(kv=mvccpb.KeyValue.FromString(written))
    assert fields.message_field(tags.EVENT_KV, written) == event.SerializeToString()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 70_000])
def test_a_field_of_any_length(size: int) -> None:
    value = bytes(size)
    assert fields.bytes_field(tags.KV_VALUE, value) == mvccpb.KeyValue(value=value).SerializeToString()


@given(st.integers(1, (1 << 63) - 1), st.sampled_from([0, 1, 300]))
def test_header_of_any_revision(revision: int, term: int) -> None:
    pieces = fields.HeaderPieces(0xCDF818194E3A8C32, 0x8E9E05C52164694D, term)
    header = pb.ResponseHeader(
        cluster_id=0xCDF818194E3A8C32, member_id=0x8E9E05C52164694D, revision=revision, raft_term=term
    )
    assert pieces.field(revision) == pb.PutResponse(header=header).SerializeToString()
    inner = pb.PutResponse(header=pb.ResponseHeader(revision=revision))
    assert fields.revision_header(revision) == inner.SerializeToString()


@given(st.binary(min_size=1, max_size=300))
def test_key_of_a_record(key: bytes) -> None:
    record = mvccpb.KeyValue(key=key, create_revision=3, mod_revision=4, version=2, value=b"v").SerializeToString()
    assert fields.record_key(record) == key


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        (tags.KV_CREATE_REVISION, mvccpb.KeyValue(create_revision=1)),
        (tags.KV_LEASE, mvccpb.KeyValue(lease=1)),
        (tags.EVENT_PREV_KV, mvccpb.Event(prev_kv=mvccpb.KeyValue())),
        (tags.WATCH_EVENTS, pb.WatchResponse(events=[mvccpb.Event()])),
        (tags.RAFT_REQUEST_HEADER, pb.InternalRaftRequest(header=pb.RequestHeader())),
        (tags.MESSAGE_CONTEXT, raftpb.Message(context=b"c")),
        (tags.RECORD_DATA, walpb.Record(data=b"d")),
    ],
)
def test_a_tag_is_what_a_field_begins_with(tag: bytes, message: mvccpb.KeyValue) -> None:
    assert message.SerializeToString().startswith(tag)


def test_a_tag_of_a_field_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        tags.tag_of(mvccpb.KeyValue, "valeu")
