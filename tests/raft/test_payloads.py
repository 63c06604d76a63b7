"""Payloads are read off encoded entries as decode_entry reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL, decode_entry, decode_payloads, make_entry


@given(
    st.integers(0, 1 << 40),
    st.integers(1, 1 << 40),
    st.lists(st.one_of(st.binary(max_size=300), st.just(b"x" * 20_000)), max_size=8),
)
def test_payloads_are_those_of_the_entries(term: int, index: int, payloads: list[bytes]) -> None:
    encoded = [make_entry(ENTRY_NORMAL, term, index + at, data).encoded for at, data in enumerate(payloads)]
    assert decode_payloads(encoded, term) == payloads == [decode_entry(entry).data for entry in encoded]


@pytest.mark.parametrize("entry", [make_entry(ENTRY_NORMAL, 4, 9, b"x"), make_entry(ENTRY_CONF_CHANGE, 3, 9, b"x")])
def test_an_entry_of_another_term_or_kind_is_refused(entry: object) -> None:
    with pytest.raises(ValueError, match="of this term"):
        decode_payloads([entry.encoded], 3)  # type: ignore[attr-defined]
