"""Software transactional memory, the same for both shells.

A function reads and writes keys as if it were alone; what it wrote is put at once if nothing that it read has
changed meanwhile, and else it runs again.

    serializable            all reads are of the revision of the first, and none of these keys may have changed
    serializable_snapshot   nor any key that is written
    repeatable_reads        each key is read once, as it is then
    read_committed          nothing is checked
"""

from typing import Final

from etcdz.client.keys import Key, as_bytes
from etcdz.client.pending import Request
from etcdz.client.requests import page
from etcdz.client.results import KeyValue, RangeResult
from etcdz.client.transactions import Compare, Op, Transaction, delete, key, put, txn

ISOLATIONS: Final = ("serializable_snapshot", "serializable", "repeatable_reads", "read_committed")


class Attempt:
    """One run of the function of an STM. reads: what was there, None: nothing; revision: of the first read."""

    def __init__(self, isolation: str) -> None:
        """raises ValueError: there is no such isolation"""
        if isolation not in ISOLATIONS:
            raise ValueError(f"isolation is one of {', '.join(ISOLATIONS)}")
        self.reads: dict[bytes, KeyValue | None] = {}
        self.revision = 0
        self._isolation = isolation
        self._values: dict[bytes, bytes | None] = {}
        self._writes: dict[bytes, Op] = {}

    def known(self, name: bytes) -> bool:
        """Whether its value needs no request."""
        return name in self._values

    def value(self, name: bytes) -> bytes | None:
        """Requires: it is known."""
        return self._values[name]

    def request(self, name: bytes, timeout: float | None) -> Request[RangeResult]:
        """For one that is not known; `note` takes its answer."""
        return page(name, at=self.revision if self._isolation.startswith("serializable") else 0, timeout=timeout)

    def note(self, name: bytes, found: RangeResult) -> None:
        self.revision = self.revision or found.revision
        kv = self.reads[name] = found.kvs[0] if found.kvs else None
        self._values[name] = kv.value if kv is not None else None

    def put(self, name: Key, value: Key) -> None:
        self._values[as_bytes(name)] = as_bytes(value)
        self._writes[as_bytes(name)] = put(name, value)

    def delete(self, name: Key) -> None:
        self._values[as_bytes(name)] = None
        self._writes[as_bytes(name)] = delete(name)

    def commit(self) -> Transaction:
        """Succeeds if what isolation promises is true."""
        return txn(*self._compares()).then(*self._writes.values())

    def _compares(self) -> list[Compare]:
        if self._isolation == "read_committed":
            return []
        found = [key(name).mod_revision == (kv.mod_revision if kv else 0) for name, kv in self.reads.items()]
        if self._isolation == "serializable_snapshot" and self.revision:
            unread = [name for name in self._writes if name not in self.reads]
            found += [key(name).mod_revision < self.revision + 1 for name in unread]
        return found
