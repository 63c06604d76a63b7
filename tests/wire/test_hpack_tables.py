"""HPACK's tables beside those of `hpack`."""

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from etcdz.wire.hpack_tables import STATIC_FIELDS
from etcdz.wire.huffman import codes


def test_the_static_table_is_that_of_the_rfc() -> None:
    assert STATIC_FIELDS == HeaderTable.STATIC_TABLE


def test_each_byte_has_the_rfcs_code() -> None:
    assert sorted(codes()) == list(zip(range(257), REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True))
