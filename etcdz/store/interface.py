"""What the key-value core wants of a disk, and the same in memory for tests."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from sortedcontainers import SortedDict


class Store(Protocol):
    """An ordered map of bytes to bytes with atomic batches.

    A batch is all there or not at all after a crash, and batches survive in the order of their writes: what a crash
    leaves is a prefix of them. `write` returns whether this batch, and so all before it, now survives power loss.
    """

    written_bytes: int
    """By all batches since it was opened, about."""

    def get(self, key: bytes) -> bytes | None: ...

    def iterate(
        self, lo: bytes, hi: bytes, reverse: bool = False, verify: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with lo <= key < hi as they are now, whatever is written meanwhile.

        verify   a step raises OSError for what is not as it was written; else an error of the store's own
        """

    def write(self, batch: Mapping[bytes, bytes | None], sync: bool = False) -> bool:
        """One atomic batch; None deletes."""

    def sync(self) -> None:
        """On return all that was written survives power loss."""

    def reclaim(self, lo: bytes, hi: bytes, freed: int = 0) -> None:
        """freed bytes between two store keys were deleted: the store may give back the space, in its own time."""

    def defragment(self) -> None:
        """Begins to give back all space that holds nothing."""

    def defragment_step(self) -> bool:
        """Goes on with it, and returns soon. return whether nothing is left to do"""

    def size(self) -> int:
        """Bytes that it takes up on disk, about: what the quota is held against."""

    def size_in_use(self) -> int:
        """The same without what a defragmentation would give back, about."""

    def size_between(self, lo: bytes, hi: bytes) -> int:
        """Bytes of the rows with lo <= key < hi, about; what was written since the store was opened may be missing."""

    def close(self) -> None: ...


class MemoryStore:
    """A store that forgets; the twin of LevelStore in tests. `durable` is what a power loss would leave."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.rows = SortedDict(rows)
        self.durable: dict[bytes, bytes] = dict(self.rows)
        self.written_bytes = 0

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self.rows.get(key)
        return value

    def iterate(
        self, lo: bytes, hi: bytes, reverse: bool = False, verify: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        rows = [(key, self.rows[key]) for key in self.rows.irange(lo, hi, (True, False), reverse=reverse)]
        return iter(rows)

    def write(self, batch: Mapping[bytes, bytes | None], sync: bool = False) -> bool:
        for key, value in batch.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
                self.written_bytes += len(value)
        if sync:
            self.sync()
        return sync

    def sync(self) -> None:
        self.durable = dict(self.rows)

    def reclaim(self, lo: bytes, hi: bytes, freed: int = 0) -> None:
        pass

    def defragment(self) -> None:
        pass

    def defragment_step(self) -> bool:
        return True

    def size(self) -> int:
        return self.size_in_use()

    def size_in_use(self) -> int:
        return sum(len(key) + len(value) for key, value in self.rows.items())

    def size_between(self, lo: bytes, hi: bytes) -> int:
        return sum(len(key) + len(value) for key, value in self.iterate(lo, hi))

    def close(self) -> None:
        self.sync()
