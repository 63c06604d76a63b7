"""Which trace a call belongs to, and whether it is sampled.

    traceparent := version "-" trace id "-" parent id "-" flags       lower-case hex of 1, 16, 8 and 1 bytes
    flags & 1      its parent is sampled

Source: W3C Trace Context; samplers as etcd 3.5.33 has them: as the parent says, and without a parent by the trace id.
"""

import re
from typing import Final, NamedTuple

SAMPLES_MAX: Final = 1_000_000
"""A sampling rate of all."""
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED: Final = 1


class Parent(NamedTuple):
    """The span that a call was made in, at the client."""

    trace_id: int
    span_id: int
    is_sampled: bool


def read_traceparent(value: bytes) -> Parent | None:
    """None: it is none, and the call begins a trace of its own."""
    found = _TRACEPARENT.fullmatch(value)
    if found is None:
        return None
    version, trace_id, span_id = found[1], int(found[2], 16), int(found[3], 16)
    if version == b"ff" or (version == b"00" and found[5]) or not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, bool(int(found[4], 16) & _SAMPLED))


def is_sampled(trace_id: int, rate: int) -> bool:
    """Of a trace that begins here. rate: out of SAMPLES_MAX

    NB: by the id's lower half, so that all who sample at a rate agree on it.
    """
    return (trace_id & (1 << 64) - 1) >> 1 < rate * (1 << 63) // SAMPLES_MAX
