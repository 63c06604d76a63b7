"""Go's spellings of numbers, durations and strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.config import literals
from etcdz.config.literals import OUT_OF_RANGE, PARSE_ERROR


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("00", 0), ("7", 7), ("010", 8), ("0o17", 15), ("0O_17", 15), ("0_7", 7), ("0x1F", 31), ("0X_1f", 31),
        ("0b101", 5), ("1_000", 1000), ("18446744073709551615", 2**64 - 1),
        ("", PARSE_ERROR), ("-1", PARSE_ERROR), ("+1", PARSE_ERROR), (" 1", PARSE_ERROR), ("1 ", PARSE_ERROR),
        ("1__0", PARSE_ERROR), ("_1", PARSE_ERROR), ("1_", PARSE_ERROR), ("08", PARSE_ERROR), ("0b2", PARSE_ERROR),
        ("0x", PARSE_ERROR), ("1e3", PARSE_ERROR), ("\u0661", PARSE_ERROR), ("18446744073709551616", OUT_OF_RANGE),
    ],
)  # fmt: skip
def test_unsigned_integers(text: str, value: int | str) -> None:
    if isinstance(value, int):
        assert literals.parse_uint(text) == value
    else:
        with pytest.raises(ValueError, match=value):
            literals.parse_uint(text)


@pytest.mark.parametrize(("text", "value"), [("-1", -1), ("+0x10", 16), ("-9223372036854775808", -(2**63))])
def test_signed_integers(text: str, value: int) -> None:
    assert literals.parse_int(text) == value


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775809"])
def test_signed_integers_have_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        literals.parse_int(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0), ("0s", 0), ("5s", 5 * 10**9), ("2h", 7200 * 10**9), ("1h30m", 5400 * 10**9), ("300ms", 3 * 10**8),
        ("1.5s", 15 * 10**8), (".5s", 5 * 10**8), ("1.s", 10**9), ("-1s", -(10**9)), ("+1s", 10**9), ("1us", 1000),
        ("1\u00b5s", 1000), ("1\u03bcs", 1000), ("1ns", 1), ("0.3ns", 0), ("1s1s", 2 * 10**9),
    ],
)  # fmt: skip
def test_durations(text: str, ns: int) -> None:
    assert literals.parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "s", ".s", "1d", "1 s", "1S", "--1s", "1s ", "2562048h", "-", "+"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match=PARSE_ERROR):
        literals.parse_duration(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"), (1, "1ns"), (1500, "1.5\u00b5s"), (100 * 10**6, "100ms"), (10**9, "1s"), (1_010_000_000, "1.01s"),
        (7200 * 10**9, "2h0m0s"), (60 * 10**9, "1m0s"), (-(10**9), "-1s"), (999_999_999, "999.999999ms"),
    ],
)  # fmt: skip
def test_durations_in_words(ns: int, text: str) -> None:
    assert literals.format_duration(ns) == text


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_duration_in_words_reads_as_itself(ns: int) -> None:
    assert literals.parse_duration(literals.format_duration(ns)) == ns


@pytest.mark.parametrize(("text", "quoted"), [('a"\\\n', '"a\\"\\\\\\n"'), ("\x01é\u200b", '"\\x01é\\u200b"')])
def test_quoting(text: str, quoted: str) -> None:
    assert literals.quote(text) == quoted
