"""Sizes as etcd's tools show them."""

from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def human_size(number: int) -> str:
    """Bytes for people, in powers of 1,000: "999 B", "20 kB", "1.2 MB"."""
    if number < 10:
        return f"{number} B"
    step = 0
    while number >= 1000 ** (step + 1) and step + 1 < len(_UNITS):
        step += 1
    tenths = int(number * 10 / 1000**step + 0.5)
    return f"{tenths / 10:.1f} {_UNITS[step]}" if tenths < 100 and step else f"{tenths / 10:.0f} {_UNITS[step]}"
