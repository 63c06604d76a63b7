"""What a compaction has passed over: the records behind the compaction before it, as they were, of which it has deleted
most. With those in front of them, which it keeps, they are what HashKV at its revision covers.

A CRC of what comes first is not known while the compaction goes on, so the two are joined later:

    crc(a . b) = crc(a) * x^(8 * bytes of b)  +  crc(b)          modulo CRC-32C's polynomial

Numbers stand for polynomials over GF(2) with the highest power in the lowest bit, as in the CRC itself.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import google_crc32c

_POLYNOMIAL: Final = 0x82F63B78
_ONE: Final = 1 << 31
_X8: Final = 1 << 23


class PassedRecords(NamedTuple):
    """Names (without the bucket) and records of all with a main revision above `after` and up to `revision`.

    crc, size   of them all in order
    """

    after: int
    revision: int
    crc: int = 0
    size: int = 0

    def and_then(self, parts: Iterable[bytes]) -> "PassedRecords":
        """With more of them."""
        data = b"".join(parts)
        return self._replace(crc=google_crc32c.extend(self.crc, data), size=self.size + len(data))

    def crc_behind(self, crc: int) -> int:
        """Of what has this crc, followed by them."""
        return _product(crc, _power(_X8, self.size)) ^ self.crc


def _product(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _power(base: int, exponent: int) -> int:
    power = _ONE
    while exponent:
        if exponent & 1:
            power = _product(power, base)
        base = _product(base, base)
        exponent >>= 1
    return power
