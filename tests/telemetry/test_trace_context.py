"""traceparent as W3C has it, and who samples what."""

import pytest

from etcdz.telemetry.trace_context import SAMPLES_MAX, Parent, is_sampled, read_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True)])
def test_a_parent_says_whether_it_is_sampled(flags: str, sampled: bool) -> None:
    expected = Parent(int(TRACE, 16), int(SPAN, 16), sampled)
    assert read_traceparent(f"00-{TRACE}-{SPAN}-{flags}".encode()) == expected
    assert read_traceparent(f"01-{TRACE}-{SPAN}-{flags}-what-comes-later".encode()) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN[:-1]}g-01",
    ],
)
def test_what_is_no_traceparent_is_none(value: str) -> None:
    assert read_traceparent(value.encode()) is None


def test_traces_are_sampled_by_the_lower_half_of_their_id() -> None:
    assert not is_sampled(0, 0)
    assert is_sampled((1 << 128) - 1, SAMPLES_MAX)
    half = SAMPLES_MAX // 2
    assert is_sampled((1 << 63) - 2, half) and not is_sampled(1 << 63, half)
    assert is_sampled(0xFFFF << 64, 1)
