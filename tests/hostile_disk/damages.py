"""What befalls a file: a bit flips, it is cut, it is emptied, a sector is lost, it is gone, or something was added."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

SECTOR_BYTES: Final = 512
Damage = Callable[[Path, Random], str]
"""Damages a file, and says how."""


def flip(path: Path, random: Random) -> str:
    data = bytearray(path.read_bytes())
    at, bit = random.randrange(len(data)), random.randrange(8)
    data[at] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {at} flipped"


def flip_near_end(path: Path, random: Random) -> str:
    """Where tables have their index, and logs what a crash may tear."""
    data = bytearray(path.read_bytes())
    at = max(0, len(data) - 1 - random.randrange(120))
    data[at] ^= 0x40
    path.write_bytes(data)
    return f"byte {at} of {len(data)} flipped"


def cut(path: Path, random: Random) -> str:
    size = random.randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.truncate(size)
    return f"cut to {size} bytes"


def empty(path: Path, random: Random) -> str:
    path.write_bytes(b"")
    return "emptied"


def lose_sector(path: Path, random: Random) -> str:
    data = bytearray(path.read_bytes())
    at = random.randrange(-(-len(data) // SECTOR_BYTES)) * SECTOR_BYTES
    data[at : at + SECTOR_BYTES] = bytes(len(data[at : at + SECTOR_BYTES]))
    path.write_bytes(data)
    return f"sector at {at} is zero"


def lengthen(path: Path, random: Random) -> str:
    with path.open("ab") as file:
        file.write(random.randbytes(1 + random.randrange(900)))
    return "something follows"


def remove(path: Path, random: Random) -> str:
    path.unlink()
    return "removed"


ALL: Final[tuple[Damage, ...]] = (flip, flip_near_end, cut, empty, lose_sector, lengthen, remove)
