"""Profiles of actors in the format of pprof (`go tool pprof`, speedscope.app and others read it): gzip of a Profile.

    Profile   1 ValueType*  2 Sample*  4 Location*  5 Function*  6 string*  9 time_ns  10 duration_ns
              11 period ValueType  12 period
    ValueType 1 type  2 unit                     numbers of strings, as all texts
    Sample    1 location*, innermost first  2 value*  3 Label*
    Label     1 key  2 text
    Location  1 id  4 Line (1 function  2 line)
    Function  1 id  2 name  3 system name  4 file

Each sample has a label `actor`: `go tool pprof -tagfocus actor=raft`, or `-tagroot actor` for all beside each other.
Source: google/pprof profile.proto.
"""

import gzip
from collections.abc import Mapping, Sequence
from typing import Any, Final

from etcdz.proto.fields import encode_varint, int_field, message_field

Samples = Mapping[str, Any]
"""Of one actor: "hz", "sites" and "stacks", as its verb `profiled` answers."""
_SAMPLE_TYPE, _SAMPLE, _LOCATION, _FUNCTION, _STRING = b"\x0a", b"\x12", b"\x22", b"\x2a", b"\x32"
_TIME, _DURATION, _PERIOD_TYPE, _PERIOD = b"\x48", b"\x50", b"\x5a", b"\x60"
_ONE, _TWO, _THREE, _FOUR = b"\x08", b"\x10", b"\x18", b"\x20"
_PACKED_ONE, _PACKED_TWO, _LABEL, _LINE = b"\x0a", b"\x12", b"\x1a", b"\x22"
_NS: Final = 1_000_000_000


class _Numbers(dict[Any, int]):
    """Things and their numbers, in the order in which they were first asked for."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def __missing__(self, thing: Any) -> int:
        number = self[thing] = self._first + len(self)
        return number


def encode(actors: Mapping[str, Samples], began_ns: int, seconds: float) -> bytes:
    """actors    by name; those with "why_not" are left out
    began_ns  since 1970
    """
    strings, functions, locations = _Numbers(0), _Numbers(1), _Numbers(1)
    assert strings[""] == 0
    told = {name: samples for name, samples in actors.items() if "why_not" not in samples}
    period_ns = _NS // max((int(samples["hz"]) for samples in told.values()), default=100)
    body = [_type(_SAMPLE_TYPE, strings, "samples", "count"), _type(_SAMPLE_TYPE, strings, "cpu", "nanoseconds")]
    for name, samples in told.items():
        label = message_field(_LABEL, int_field(_ONE, strings["actor"]) + int_field(_TWO, strings[name]))
        sites = [locations[tuple(site)] for site in samples["sites"]]
        for count, stack in samples["stacks"]:
            values = _packed(_PACKED_TWO, (count, count * (_NS // int(samples["hz"]))))
            body.append(message_field(_SAMPLE, _packed(_PACKED_ONE, [sites[at] for at in stack]) + values + label))
    for (function, file, line), number in locations.items():
        where = int_field(_ONE, functions[function, file]) + int_field(_TWO, line)
        body.append(message_field(_LOCATION, int_field(_ONE, number) + message_field(_LINE, where)))
    for (function, file), number in functions.items():
        named = int_field(_TWO, strings[function]) + int_field(_THREE, strings[function])
        body.append(message_field(_FUNCTION, int_field(_ONE, number) + named + int_field(_FOUR, strings[file])))
    body.append(int_field(_TIME, began_ns) + int_field(_DURATION, int(seconds * _NS)))
    body.append(_type(_PERIOD_TYPE, strings, "cpu", "nanoseconds") + int_field(_PERIOD, period_ns))
    body += [message_field(_STRING, text.encode("utf-8", "replace")) for text in strings]
    return gzip.compress(b"".join(body), compresslevel=1)


def _type(tag: bytes, strings: _Numbers, kind: str, unit: str) -> bytes:
    return message_field(tag, int_field(_ONE, strings[kind]) + int_field(_TWO, strings[unit]))


def _packed(tag: bytes, numbers: Sequence[int]) -> bytes:
    return message_field(tag, b"".join(map(encode_varint, numbers)))
