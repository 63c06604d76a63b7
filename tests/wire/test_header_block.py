"""The lean HPACK decoder against `hpack`, its slow obvious twin; the encoder against `hpack`'s decoder."""

import hpack
import pytest
from hpack.huffman_table import decode_huffman as decode_huffman_slowly
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.wire.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ProtocolError
from etcdz.wire.header_block import HeaderDecoder, HeaderEncoder, plain_block
from etcdz.wire.huffman import HuffmanError, decode_huffman
from tests.examples import examples

LIST_MAX = 65_536
NAMES = st.sampled_from([b":method", b":path", b":status", b"content-type", b"grpc-timeout", b"token", b"x" * 200])
VALUES = st.one_of(st.sampled_from([b"POST", b"200", b"", b"trailers", b"y" * 3_000]), st.binary(max_size=40))
FIELDS = st.tuples(NAMES, VALUES)
SENSITIVE_FIELDS = st.tuples(NAMES, VALUES, st.booleans())


@pytest.mark.slow
@given(st.lists(st.tuples(st.lists(SENSITIVE_FIELDS, max_size=12), st.booleans(), st.integers(0, 4096) | st.none())))
@settings(deadline=None)
def test_decodes_what_hpack_encodes(blocks: list) -> None:
    """Many blocks on one connection: entering, evicting, resizing, Huffman or not, never-indexed or not."""
    encoder, decoder = hpack.Encoder(), HeaderDecoder(LIST_MAX)
    for fields, huffman, table_size in blocks:
        if table_size is not None:
            encoder.header_table_size = table_size
        block = encoder.encode(fields, huffman)
        assert decoder.decode(block) == [field[:2] for field in fields]


@given(st.lists(st.binary(max_size=60), max_size=4))
@settings(max_examples=examples(400), deadline=None)
def test_decodes_or_refuses_any_bytes_as_hpack_does(blocks: list[bytes]) -> None:
    slow, lean = hpack.Decoder(LIST_MAX), HeaderDecoder(LIST_MAX)
    for block in blocks:
        try:
            expected = [(bytes(name), bytes(value)) for name, value in slow.decode(block, raw=True)]
        except hpack.HPACKError:
            with pytest.raises(ProtocolError) as caught:
                lean.decode(block)
            assert caught.value.code in (COMPRESSION_ERROR, ENHANCE_YOUR_CALM)
            return
        assert lean.decode(block) == expected


@given(st.binary(max_size=40))
@settings(max_examples=examples(400), deadline=None)
def test_huffman_decodes_any_bytes_as_hpack_does(data: bytes) -> None:
    try:
        expected = decode_huffman_slowly(data)
    except hpack.HPACKDecodingError:
        with pytest.raises(HuffmanError):
            decode_huffman(data)
        return
    assert decode_huffman(data) == expected


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_huffman_decodes_what_hpack_encodes(text: bytes) -> None:
    encoded = hpack.Encoder().huffman_coder.encode(text)
    assert decode_huffman(encoded) == text
    assert decode_huffman(encoded) == text  # short ones are kept


RFC_7541_BLOCKS = [
    # (block, fields) of appendix C.3 and C.4: three requests on one connection
    ("828684410f7777772e6578616d706c652e636f6d",
     [":method GET", ":scheme http", ":path /", ":authority www.example.com"]),
    ("828684be58086e6f2d6361636865", [":method GET", ":scheme http", ":path /", ":authority www.example.com",
                                      "cache-control no-cache"]),
    ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
     [":method GET", ":scheme https", ":path /index.html", ":authority www.example.com", "custom-key custom-value"]),
]  # fmt: skip
RFC_7541_HUFFMAN = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
]


@pytest.mark.parametrize("huffman", [False, True])
def test_examples_of_rfc_7541(huffman: bool) -> None:
    decoder = HeaderDecoder(LIST_MAX)
    for number, (plain, expected) in enumerate(RFC_7541_BLOCKS):
        block = bytes.fromhex(RFC_7541_HUFFMAN[number] if huffman else plain)
        assert [b" ".join(field).decode() for field in decoder.decode(block)] == expected


def test_changes_stand_still_while_the_table_does() -> None:
    decoder = HeaderDecoder(LIST_MAX)
    decoder.decode(b"\x82\x00\x01a\x01b\x10\x01a\x01b")
    assert decoder.changes == 0
    decoder.decode(b"\x40\x01a\x01b")
    before = decoder.changes
    assert before > 0 and decoder.decode(b"\xbe") == [(b"a", b"b")]
    assert decoder.changes == before
    decoder.decode(b"\x20")
    assert decoder.changes > before


def test_header_list_limit_counts_32_bytes_a_field() -> None:
    decoder = HeaderDecoder(100)
    assert decoder.decode(b"\x00\x01a\x43" + b"x" * 67) == [(b"a", b"x" * 67)]
    with pytest.raises(ProtocolError) as caught:
        decoder.decode(b"\x00\x01a\x44" + b"x" * 68)
    assert caught.value.code == ENHANCE_YOUR_CALM


@pytest.mark.slow
@given(st.lists(st.tuples(st.lists(FIELDS, max_size=8), st.booleans(), st.sampled_from([None, 0, 100, 4096, 9999]))))
@settings(deadline=None)
def test_hpack_decodes_what_the_encoder_makes(blocks: list) -> None:
    encoder, decoder = HeaderEncoder(), hpack.Decoder(1 << 20)
    for fields, kept, table_size in blocks:
        if table_size is not None:
            encoder.limit_table(table_size)
        fields = tuple(fields)
        stable = encoder.kept(fields)
        block = encoder.encode(fields) if kept else encoder.encode_plain(fields)
        assert [tuple(field) for field in decoder.decode(block, raw=True)] == list(fields)
        if stable is not None and kept:
            assert block == stable
    decoder.decode(plain_block(((b"a", b"b"),)))


def test_a_block_is_kept_from_its_second_use_on() -> None:
    encoder = HeaderEncoder()
    fields = ((b":status", b"200"), (b"content-type", b"application/grpc"))
    first = encoder.encode(fields)
    assert encoder.kept(fields) is None
    second = encoder.encode(fields)
    assert encoder.kept(fields) == second == b"\x88\xbe" and len(first) > 2
    encoder.encode(((b"other", b"field"),))
    assert encoder.kept(fields) is None  # its index has shifted
    encoder.limit_table(0)
    assert encoder.encode(fields)[:2] == b"\x20\x88"
