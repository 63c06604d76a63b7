"""The reader of plain puts against the parser: the same where it says something, silent where it does not know."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from etcdz.mvcc.put_entry import PUT_TAG, decode_asked_put, decode_put, decode_txn, keys_of_puts
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.text import decode_text

ID = 0x694D0199_9AAB0C01


def _entry(key: bytes, value: bytes, request_id: int = ID, **options: object) -> bytes:
    return _asked_entry(key, value, pb.RequestHeader(ID=request_id), **options)


def _asked_entry(key: bytes, value: bytes, header: pb.RequestHeader, **options: object) -> bytes:
    put = pb.PutRequest(key=key, value=value, **options)
    entry: bytes = pb.InternalRaftRequest(header=header, put=put).SerializeToString()
    return entry


sizes = st.sampled_from([0, 1, 2, 120, 126, 127, 128, 129, 130, 256, 16000, 16380, 16384, 20000])


@given(
    key=st.binary(min_size=1, max_size=127),
    size=sizes,
    request_id=st.one_of(st.integers(1 << 28, (1 << 64) - 1), st.just((1 << 64) - 1), st.just(1 << 28)),
)
def test_reads_what_the_parser_reads(key: bytes, size: int, request_id: int) -> None:
    value = b"v" * size
    found = decode_put(_entry(key, value, request_id))
    if len(_entry(key, value)) > 16384:
        assert found is None
        return
    assert found is not None
    assert found[:2] == (request_id, key)
    assert found[2] == b"\x0a" + bytes([len(key)]) + key
    kv = mvccpb.KeyValue(key=key, value=value)
    assert found[2] + found[3] == kv.SerializeToString()


@pytest.mark.parametrize(
    "entry",
    [
        _entry(b"a", b"v", lease=1),
        _entry(b"a", b"v", prev_kv=True),
        _entry(b"a", b"", ignore_value=True),
        _entry(b"", b"v"),
        _entry(b"k" * 128, b"v"),
        _entry(b"a", b"v", request_id=5),
        pb.InternalRaftRequest(put=pb.PutRequest(key=b"a")).SerializeToString(),
        *[
            pb.InternalRaftRequest(header=header, put=pb.PutRequest(key=b"a")).SerializeToString()
            for header in (
                pb.RequestHeader(ID=ID, username="root"),
                pb.RequestHeader(ID=ID, username="root", auth_revision=3),
                pb.RequestHeader(ID=ID, auth_revision=1),
                pb.RequestHeader(ID=1 << 28, username="a"),
                pb.RequestHeader(username="nobody's id"),
            )
        ],
        b"\x22",
        b"\x22\x03",
        b"\x22\x80\x00",
        b"\x22\xff\xff\xff\xff",
    ],
)
def test_leaves_the_rest_to_the_parser(entry: bytes) -> None:
    assert decode_put(entry) is None


def test_leaves_lengths_in_a_longer_form_to_the_parser() -> None:
    """etcd would write them in the short form, and the record is part of HashKV."""
    tail = _entry(b"a", b"v")[8:]
    assert decode_put(b"\x22\x06\x0a\x01a\x12\x01v" + tail) is not None
    assert decode_put(b"\x22\x07\x0a\x01a\x12\x81\x00v" + tail) is None
    assert decode_put(b"\x22\x86\x00\x0a\x01a\x12\x01v" + tail) is None
    assert decode_put(b"\x22\x05\x0a\x01a\x12\x00" + tail) is None


def _damage(entry: bytearray, data: st.DataObject) -> bool:
    """Changes, adds or cuts bytes behind the first; says whether enough is left for a reader."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(1, len(entry) - 1))
        entry[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if len(entry) < 3:
            return False
    return True


def _parse(entry: bytearray) -> pb.InternalRaftRequest:
    """What a reader has taken."""
    try:
        return pb.InternalRaftRequest.FromString(bytes(entry))
    except DecodeError:
        pytest.fail(f"took what is no message: {bytes(entry).hex()}")


@given(st.data())
def test_no_bytes_are_misread(data: st.DataObject) -> None:
    """A valid entry with bytes changed, added or cut: what the reader takes, the parser takes alike."""
    entry = bytearray(_entry(data.draw(st.binary(min_size=1, max_size=5)), data.draw(st.binary(max_size=140))))
    if not _damage(entry, data):
        return
    found = decode_put(bytes(entry))
    if found is None:
        return
    request = _parse(entry)
    again = pb.InternalRaftRequest(header=pb.RequestHeader(ID=found[0]))
    again.put.MergeFromString(found[2] + (b"\x12" + found[3][1:] if found[3] else b""))
    assert (again.put, again.header.ID) == (request.put, request.header.ID)
    assert entry[0] == PUT_TAG


# who asks


@given(
    key=st.binary(min_size=1, max_size=127),
    size=sizes,
    request_id=st.integers(1 << 28, (1 << 64) - 1),
    name=st.text(min_size=1, max_size=20),
    revision=st.integers(1, (1 << 63) - 1),
)
def test_who_asks_stands_behind_the_id(key: bytes, size: int, request_id: int, name: str, revision: int) -> None:
    header = pb.RequestHeader(ID=request_id, username=name, auth_revision=revision)
    value = b"v" * size
    found = decode_asked_put(_asked_entry(key, value, header))
    alone = decode_put(_entry(key, value, request_id))
    assert (found is None) == (alone is None)
    if found is not None and alone is not None:
        assert (found[0], *found[2:]) == alone
        assert found[1] == (name, revision)


@pytest.mark.parametrize(
    "entry",
    [
        _entry(b"a", b"v"),
        _asked_entry(b"a", b"v", pb.RequestHeader(ID=ID, username="root")),
        _asked_entry(b"a", b"v", pb.RequestHeader(ID=ID, auth_revision=3)),
        _asked_entry(b"a", b"v", pb.RequestHeader(username="root", auth_revision=3)),
        _asked_entry(b"a", b"v", pb.RequestHeader(ID=ID, username="n" * 200, auth_revision=3)),
        _asked_entry(b"a", b"v", pb.RequestHeader(ID=ID, username="root", auth_revision=3), lease=1),
        _asked_entry(b"a", b"v", pb.RequestHeader(ID=ID, username="root", auth_revision=3), prev_kv=True),
    ],
)
def test_leaves_what_is_no_plain_put_of_somebody_to_the_parser(entry: bytes) -> None:
    assert decode_asked_put(entry) is None


@given(st.data())
def test_nobody_is_taken_for_somebody_else(data: st.DataObject) -> None:
    header = pb.RequestHeader(
        ID=ID, username=data.draw(st.text(max_size=5)), auth_revision=data.draw(st.integers(0, 300))
    )
    entry = bytearray(_asked_entry(b"a", b"v", header))
    if not _damage(entry, data):
        return
    found = decode_asked_put(bytes(entry))
    if found is None:
        return
    request = _parse(entry)
    assert (found[0], *found[1]) == (
        request.header.ID,
        decode_text(request.header.username),
        request.header.auth_revision,
    )
    again = pb.PutRequest.FromString(found[3] + (b"\x12" + found[4][1:] if found[4] else b""))
    assert again == request.put


# transactions


def _put_op(key: bytes, value: bytes, **options: object) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value, **options))


def _txn_entry(txn: pb.TxnRequest, request_id: int = ID) -> bytes:
    entry: bytes = pb.InternalRaftRequest(header=pb.RequestHeader(ID=request_id), txn=txn).SerializeToString()
    return entry


keys = st.binary(min_size=1, max_size=127)


@given(st.lists(st.tuples(keys, sizes), min_size=1, max_size=6))
def test_reads_the_puts_of_a_transaction_as_the_parser_does(puts: list[tuple[bytes, int]]) -> None:
    operations = [_put_op(key, b"v" * size) for key, size in puts]
    txn = pb.TxnRequest(success=operations)
    known, found = keys_of_puts(txn.SerializeToString()), decode_txn(_txn_entry(txn))
    if any(operation.ByteSize() > 16384 for operation in operations):
        assert known is None and found is None
        return
    assert known == [key for key, _ in puts]
    assert found is not None and found[0] == ID
    records = [key_field + value_field for _, key_field, value_field in found[1]]
    assert records == [mvccpb.KeyValue(key=key, value=b"v" * size).SerializeToString() for key, size in puts]
    assert [key for key, _, _ in found[1]] == known


_COMPARE = pb.Compare(key=b"a", target=1, create_revision=0)
_GET = pb.RequestOp(request_range=pb.RangeRequest(key=b"a"))


@pytest.mark.parametrize(
    "txn",
    [
        pb.TxnRequest(),
        pb.TxnRequest(failure=[_put_op(b"a", b"v")]),
        pb.TxnRequest(success=[_put_op(b"a", b"v")], failure=[_GET]),
        pb.TxnRequest(success=[_put_op(b"a", b"v")], compare=[_COMPARE]),
        pb.TxnRequest(success=[_put_op(b"a", b"v"), _GET]),
        pb.TxnRequest(success=[_put_op(b"a", b"v"), pb.RequestOp()]),
        pb.TxnRequest(success=[_put_op(b"", b"v")]),
        pb.TxnRequest(success=[_put_op(b"a", b"v", lease=1)]),
        pb.TxnRequest(success=[_put_op(b"a", b"v"), _put_op(b"b", b"v", prev_kv=True)]),
        pb.TxnRequest(success=[_put_op(b"a", b"", ignore_value=True)]),
        pb.TxnRequest(success=[pb.RequestOp(request_txn=pb.TxnRequest(success=[_put_op(b"a", b"v")]))]),
    ],
)
def test_leaves_other_transactions_to_the_parser(txn: pb.TxnRequest) -> None:
    assert keys_of_puts(txn.SerializeToString()) is None
    assert decode_txn(_txn_entry(txn)) is None


@given(st.data())
def test_no_bytes_of_a_transaction_are_misread(data: st.DataObject) -> None:
    """Bytes changed, added or cut: what the reader takes, the parser takes alike, as plain puts and nothing else."""
    operations = [
        _put_op(data.draw(st.binary(min_size=1, max_size=5)), data.draw(st.binary(max_size=140))) for _ in range(2)
    ]
    entry = bytearray(_txn_entry(pb.TxnRequest(success=operations)))
    if not _damage(entry, data):
        return
    found = decode_txn(bytes(entry))
    if found is None:
        return
    request = _parse(entry)
    again = pb.TxnRequest(success=[_put_op(key, _value(value)) for key, _, value in found[1]])
    assert (request.txn, request.header) == (again, pb.RequestHeader(ID=found[0]))


def _value(value_field: bytes) -> bytes:
    value: bytes = mvccpb.KeyValue.FromString(value_field).value
    return value
