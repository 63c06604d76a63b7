"""Damaged files end in BoltCorrupt with the file's name and a place in it, or read as they were; nothing else."""

from random import Random

import pytest

from etcdz.bbolt import BoltCorrupt, BoltFile
from etcdz.bbolt import page as p
from tests.bbolt.files import Bytes, Rows, read, written

ROWS: Rows = [(b"%05d" % n, bytes([n % 256]) * (n % 300)) for n in range(900)]
FILE = written({b"key": ROWS, b"lease": [], b"meta": [(b"consistent_index", bytes(8))], b"z": [(b"big", bytes(9000))]})
ROUNDS = 400


def outcome(data: bytes) -> str:
    """ "read", or what is wrong; anything but BoltCorrupt is for pytest to show."""
    try:
        read(data)
    except BoltCorrupt as error:
        assert error.path == "memory.db" and 0 <= error.offset <= len(FILE) + 4096, error
        assert f"in file 'memory.db' at position: {error.offset}" in str(error)
        return error.why
    return "read"


def damaged(random: Random) -> bytes:
    data = bytearray(FILE)
    kind = random.randrange(5)
    at = random.randrange(len(data))
    page = at - at % 4096
    if kind == 0:
        data[at] ^= 1 << random.randrange(8)
    elif kind == 1:
        data[page + random.randrange(64)] = random.randrange(256)  # heads and elements, where it hurts
    elif kind == 2:
        return bytes(data[:at])
    elif kind == 3:
        other = random.randrange(len(data) // 4096) * 4096
        data[page : page + 4096] = data[other : other + 4096]
    else:
        data[page : page + 4096] = random.randbytes(4096)
    return bytes(data)


def test_random_damage_is_an_error_or_harmless() -> None:
    random = Random()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    random.seed(seed)
    told = [outcome(damaged(random)) for _ in range(ROUNDS)]
    assert len({why for why in told if why != "read"}) > 10, "the fuzzer finds nothing to break"


def test_every_truncation_is_found() -> None:
    for length in [*range(0, len(FILE), 1777), len(FILE) - 1]:
        assert outcome(FILE[:length]) != "read", length


def test_more_bytes_behind_the_file_are_no_damage() -> None:
    assert outcome(FILE + bytes(32)) == "read"


def poked(page: int, offset: int, value: bytes) -> bytes:
    at = page * 4096 + offset
    return FILE[:at] + value + FILE[at + len(value) :]


def root_page() -> int:
    return BoltFile(Bytes(FILE)).meta.root


def first_branch() -> int:
    return next(n for n in range(3, len(FILE) // 4096) if FILE[n * 4096 + 8] == p.BRANCH)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file ends within a meta page"),
        (b"hello" * 4000, "not a bbolt file (wrong magic)"),
        (poked(3, 0, b"\x09"), "page 3 says that it is page 9"),
        (poked(3, 8, b"\x10"), "page 3 has flags 0x10 where a branch or leaf is expected"),
        (poked(3, 8, b"\x01"), "branch element"),
        (poked(3, 10, b"\xff\xff"), "leaf of 65535 elements in 4096 bytes"),
        (poked(3, 10, b"\0\0"), "page 3 below a branch is empty"),
        (poked(3, 12, b"\xff\xff\xff"), "page 3 runs on for 16777215 pages, beyond the end"),
        (poked(3, 24, b"\xff\xff\xff"), "leaf element from"),
        (poked(3, 12, b"\x01"), "page 4 is used twice"),
        (poked(first_branch(), 24, b"\x04"), "page 4 is used twice"),
        (poked(first_branch(), 24, b"\xff\xff\xff\xff"), "page 4294967295 is not one of the"),
        (poked(2, 8, b"\x02"), "freelist page with flags 0x2"),
        (poked(2, 10, b"\x01\0\0\0\0\0\x03"), "page 3 is used twice"),
        (poked(2, 10, b"\xff\xff\0\0\0\0\xff\xff\xff"), "freelist of 16777215 pages in 4096 bytes"),
        (poked(root_page(), 8, b"\x04"), "flags 0x4 where a branch or leaf is expected"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in outcome(data)


def test_a_branch_that_is_its_own_child() -> None:
    file = BoltFile(Bytes(poked(first_branch(), 24, first_branch().to_bytes(8, "little"))))
    bucket = file.find(b"key")
    assert bucket is not None
    with pytest.raises(BoltCorrupt, match="more than 64 pages deep"):
        list(file.rows(bucket))


def test_a_page_that_nothing_refers_to() -> None:
    metas = [p.encode_meta(n, p.Meta(4096, 3, 0, 2, 5, n)) for n in (0, 1)]
    root = p.HEADER.pack(3, p.LEAF, 0, 0).ljust(4096, b"\0")
    data = b"".join([*metas, p.encode_freelist(2, 4096), root, bytes(4096)])
    assert outcome(data) == "page 4 is neither in a bucket nor free"
    freed = data[: 2 * 4096] + p.HEADER.pack(2, p.FREELIST, 1, 0) + (4).to_bytes(8, "little") + data[2 * 4096 + 24 :]
    assert outcome(freed) == "read"
