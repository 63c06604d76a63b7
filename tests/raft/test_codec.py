"""raftpb on the wire: byte for byte what protobuf writes, and all of it back."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from etcdz.proto import raftpb
from etcdz.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    HardState,
    Message,
    Snapshot,
    decode_entry,
    encode_entry,
    make_entry,
)
from etcdz.raft.codec import (
    decode_conf_change,
    decode_conf_state,
    decode_hard_state,
    decode_message,
    decode_snapshot,
    encode_conf_change,
    encode_conf_state,
    encode_hard_state,
    encode_message,
    encode_snapshot,
)
from etcdz.raft.entry import decode_entries, entries_bytes, limit_bytes, make_entries, payloads_bytes
from tests.raft.twins import RANDOMLY

U64 = st.integers(0, 2**64 - 1)
ENTRY = st.builds(make_entry, st.integers(0, 2), U64, U64, st.binary(max_size=300))
IDS = st.lists(U64, max_size=4).map(tuple)
CONF_STATE = st.builds(ConfState, IDS, IDS, IDS, IDS, st.booleans())
SNAPSHOT = st.builds(Snapshot, st.integers(1, 2**64 - 1), U64, CONF_STATE, st.binary(max_size=300))
MESSAGE = st.builds(
    Message,
    type=st.integers(0, 18),
    to=U64,
    from_=U64,
    term=U64,
    log_term=U64,
    index=U64,
    entries=st.lists(ENTRY, max_size=5),
    commit=U64,
    vote=st.just(0),
    responses=st.just(()),
    snapshot=st.none() | SNAPSHOT,
    reject=st.booleans(),
    reject_hint=U64,
    context=st.binary(max_size=20),
)
CHANGES = st.lists(st.builds(ConfChangeSingle, st.integers(0, 3), U64), max_size=4).map(tuple)
CONTEXT = st.binary(max_size=20)
CHANGE = st.builds(ConfChange, st.integers(0, 3), U64, CONTEXT, U64) | st.builds(
    ConfChangeV2, st.integers(0, 2), CHANGES, CONTEXT
)

# (type, term, index, data) and the bytes that etcd 3.5 writes for it.
ENTRIES = [
    (0, 0, 0, b"", "080010001800"),
    (0, 1, 3, b"", "080010011803"),
    (0, 2, 127, b"a", "08001002187f220161"),
    (0, 2, 128, b"a", "0800100218800122 0161".replace(" ", "")),
    (1, 300, 16384, b"xy", "080110ac02188080012202 7879".replace(" ", "")),
    (2, 2**64 - 1, 1, b"", "080210ffffffffffffffffff011801"),
]


@pytest.mark.parametrize(("kind", "term", "index", "data", "wire"), ENTRIES)
def test_an_entry_is_encoded_as_etcd_does(kind: int, term: int, index: int, data: bytes, wire: str) -> None:
    entry = make_entry(kind, term, index, data)
    assert encode_entry(entry).hex() == wire
    assert decode_entry(bytes.fromhex(wire)) == entry
    assert (entry.data, entry.payload_bytes) == (data, len(data))


@RANDOMLY
@given(ENTRY)
def test_an_entry_is_what_protobuf_writes(entry: object) -> None:
    assert isinstance(entry, tuple)
    kind, term, index, data = entry[2], entry[0], entry[1], entry[3][entry[4] :]
    fields = {"Type": kind, "Term": term, "Index": index} | ({"Data": data} if data else {})
    wire = raftpb.Entry(**fields).SerializeToString()
    assert entry[3] == wire
    assert decode_entry(wire) == entry


@pytest.mark.parametrize("index", [0, 1, 100, 127, 128, 16383, 16384, 2**32 - 3])
@pytest.mark.parametrize("sizes", [(256,) * 200, (0, 1, 0, 200, 127, 128, 128), ()])
def test_a_batch_is_encoded_like_its_entries(index: int, sizes: tuple[int, ...]) -> None:
    payloads = [bytes([at & 0xFF]) * size for at, size in enumerate(sizes)]
    batch = make_entries(7, index, payloads)
    assert batch == [make_entry(0, 7, index + at, data) for at, data in enumerate(payloads)]
    assert decode_entries([one.encoded for one in batch]) == batch


@RANDOMLY
@given(st.lists(ENTRY, max_size=6))
def test_any_sequence_of_entries_is_decoded_like_one_by_one(entries: list[object]) -> None:
    wires = [one[3] for one in entries if isinstance(one, tuple)]
    assert decode_entries(wires) == [decode_entry(wire) for wire in wires]


@pytest.mark.parametrize(
    "wire",
    [
        raftpb.Entry(Term=5, Index=9, Data=b"abc").SerializeToString(),  # newer members leave out the type
        raftpb.Entry(Index=9, Data=b"abc").SerializeToString(),
        raftpb.Entry(Type=0, Term=5, Index=9, Data=b"").SerializeToString(),  # empty, not absent
        b"\x22\x03abc" + raftpb.Entry(Type=1, Term=5, Index=9).SerializeToString(),  # another order
        raftpb.Entry(Type=0, Term=5, Index=9, Data=b"abc").SerializeToString() + b"\x28\x01",  # a new field
        b"",
    ],
)
def test_an_entry_in_another_form_is_written_anew_in_ours(wire: bytes) -> None:
    parsed = raftpb.Entry.FromString(wire)
    entry = decode_entry(wire)
    assert entry == make_entry(parsed.Type, parsed.Term, parsed.Index, parsed.Data)


def test_an_entry_cut_off_is_no_entry() -> None:
    whole = make_entry(0, 300, 70000, b"payload").encoded
    for end in range(len(whole)):
        try:
            entry = decode_entry(whole[:end])
        except DecodeError:
            continue
        # What is left is an entry in its own right, with fewer fields.
        assert entry.data == b""
    with pytest.raises(DecodeError):
        decode_entry(b"\x08\x00\x10" + b"\xff" * 11)


def test_sizes_are_of_the_wire_and_of_the_payload() -> None:
    entries = [make_entry(0, 1, 1, b"abc"), make_entry(0, 1, 2, b"")]
    assert (entries_bytes(entries), payloads_bytes(entries)) == (11 + 6, 3)


@RANDOMLY
@given(st.lists(ENTRY, min_size=1, max_size=6), st.integers(0, 1000))
def test_a_limit_cuts_as_late_as_it_can(entries: list[object], limit: int) -> None:
    kept = limit_bytes(entries, limit)  # type: ignore[arg-type]
    assert list(kept) == entries[: len(kept)]
    assert len(kept) == 1 or entries_bytes(kept) <= limit
    assert len(kept) == len(entries) or entries_bytes(entries[: len(kept) + 1]) > limit  # type: ignore[arg-type]


def protobuf_message(m: Message) -> bytes:
    """The slow way: protobuf, with every field that is not nullable set."""
    snapshot = raftpb.Snapshot.FromString(encode_snapshot(m.snapshot or Snapshot()))
    parsed = raftpb.Message(
        type=m.type,
        to=m.to,
        term=m.term,
        logTerm=m.log_term,
        index=m.index,
        entries=[raftpb.Entry.FromString(one.encoded) for one in m.entries],
        commit=m.commit,
        snapshot=snapshot,
        reject=m.reject,
        rejectHint=m.reject_hint,
        **{"from": m.from_},
    )
    if m.context:
        parsed.context = m.context
    return bytes(parsed.SerializeToString())


@RANDOMLY
@given(MESSAGE)
def test_a_message_is_what_protobuf_writes_and_comes_back(m: Message) -> None:
    wire = encode_message(m)
    assert wire == protobuf_message(m)
    assert decode_message(wire) == m


@RANDOMLY
@given(MESSAGE)
def test_a_message_cut_off_or_followed_by_rubbish_breaks_nothing(m: Message) -> None:
    wire = encode_message(m)
    for end in range(0, len(wire), 7):
        try:
            decode_message(wire[:end])
        except DecodeError:
            pass
    with pytest.raises(DecodeError):
        decode_message(wire + b"\x3a\x7f")


@RANDOMLY
@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_raise_decode_error_only(wire: bytes) -> None:
    try:
        decode_message(wire)
    except DecodeError:
        pass


def test_an_append_carries_its_entries_bytes_as_they_are() -> None:
    entries = make_entries(7, 100_000, [b"x" * 256] * 200)
    wire = encode_message(Message(3, to=2, from_=1, term=7, log_term=7, index=99_999, entries=entries))
    assert b"".join(one.encoded for one in entries[:1]) in wire
    assert decode_message(wire).entries == entries


def test_fields_of_later_versions_are_passed_over() -> None:
    wire = encode_message(Message(4, to=2, from_=1, term=7)) + b"\x68\x05" + b"\x72\x02\x08\x00" + b"\x7d1234"
    assert decode_message(wire) == Message(4, to=2, from_=1, term=7, entries=[])


@RANDOMLY
@given(MESSAGE, st.integers(0, 10_000), st.integers(0, 255))
def test_the_usual_form_is_read_as_any_other(m: Message, at: int, byte: int) -> None:
    """Also with a byte that is another one. A field of a later version is in no usual form."""
    wire = bytearray(encode_message(m))
    wire[at % len(wire)] = byte
    try:
        message = decode_message(bytes(wire))
    except DecodeError:
        return
    assert decode_message(bytes(wire) + b"\x68\x05") == message


@RANDOMLY
@given(SNAPSHOT)
def test_a_snapshot_comes_back(snapshot: Snapshot) -> None:
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


@RANDOMLY
@given(st.builds(HardState, U64, U64, U64))
def test_a_hard_state_comes_back(state: HardState) -> None:
    assert decode_hard_state(encode_hard_state(state)) == state


@RANDOMLY
@given(CONF_STATE)
def test_a_conf_state_comes_back(state: ConfState) -> None:
    assert decode_conf_state(encode_conf_state(state)) == state


@RANDOMLY
@given(CHANGE)
def test_a_change_comes_back(change: ConfChange | ConfChangeV2) -> None:
    assert decode_conf_change(*encode_conf_change(change)) == change


def test_what_is_zero_is_written_where_it_is_not_nullable() -> None:
    assert encode_hard_state(HardState()).hex() == "080010001800"
    assert encode_conf_state(ConfState()).hex() == "2800"
    assert encode_snapshot(Snapshot()).hex() == "12080a02280010001800"
    assert encode_conf_change(ConfChange(0, 5)) == (1, bytes.fromhex("080010001805"))
    assert encode_conf_change(ConfChangeV2()) == (2, bytes.fromhex("0800"))
