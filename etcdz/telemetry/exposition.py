"""The text that Prometheus reads, version 0.0.4: families of samples, as text.

    # HELP name help
    # TYPE name kind
    name{label="value",...} number

Written by hand rather than with the client library, which gives every counter the ending _total (some of etcd's lack
it), writes whole numbers as 6.0 where etcd writes 6, and takes a tenth of a second to load.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"

Sample = tuple[Sequence[str], float]
"""Values of the labels, and the value."""
Distribution = tuple[Sequence[str], Sequence[int], float]
"""Values of the labels, how many measurements lie in each bucket (not cumulative; the last is beyond all bounds), and
their sum."""


class Family(NamedTuple):
    """labels      names, in the order in which they are written
    samples     of a counter or gauge
    bounds      upper bounds of a histogram's buckets but the last
    measured    of a histogram
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    samples: Sequence[Sample] = ()
    bounds: Sequence[float] = ()
    measured: Sequence[Distribution] = ()


def encode(families: Iterable[Family]) -> bytes:
    """The families in the order in which they are given."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for values, value in family.samples:
            lines.append(f"{family.name}{_labels(family.labels, values)} {number(value)}")
        for values, counts, total in family.measured:
            lines += _histogram(family, values, counts, total)
    return "\n".join([*lines, ""]).encode()


def _histogram(family: Family, values: Sequence[str], counts: Sequence[int], total: float) -> list[str]:
    """The bound comes last of a bucket's labels, as the client library of Go has it."""
    names = (*family.labels, "le")
    seen, lines = 0, []
    for bound, count in zip([*map(number, family.bounds), "+Inf"], counts, strict=True):
        seen += count
        lines.append(f"{family.name}_bucket{_labels(names, (*values, bound))} {seen}")
    labels = _labels(family.labels, values)
    return [*lines, f"{family.name}_sum{labels} {number(total)}", f"{family.name}_count{labels} {seen}"]


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = [f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True)]
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """The shortest form that reads back the same, as Go writes it: whole numbers without a point, large and small ones
    with an exponent of two digits or more."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return str(int(value)) if value == int(value) else repr(float(value))
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    first, rest = str(digits[0]), "".join(map(str, digits[1:]))
    power = int(exponent) + len(digits) - 1
    return f"{'-' if sign else ''}{first}{'.' if rest else ''}{rest}e{power:+03d}"
