"""What raft asks for before it compacts its log: that the store is on disk, and the v2 store as a .snap file holds it.

The v2 store is encoded in slices between the turns, as it was when the flush was asked for.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

from actors.backend.raft_link import RaftLink
from actors.runtime.link import Links
from etcdz.ipc.messages import Flushed
from etcdz.telemetry.histogram import Doublings
from etcdz.v2 import snapshot
from etcdz.v2.store import V2Store

SLICE_S: Final = 0.001


class Flushes:
    """One at a time: raft asks again if it needs another."""

    def __init__(self, store: V2Store, raft: RaftLink, links: Links) -> None:
        self._store = store
        self._raft = raft
        self._links = links
        self._flushed: Flushed | None = None
        """What raft will be told."""
        self._pieces: Iterator[str] = iter(())
        self._encoded: list[bytes] = []
        self._took_ns = 0
        self._encodings = Doublings()
        """How long it took to encode the store."""

    @property
    def has_work(self) -> bool:
        return self._flushed is not None

    def begin(self) -> None:
        """All that is applied is on disk. NB: one that is under way goes on, and is an answer as well."""
        if self._flushed is None:
            self._flushed = self._raft.flushed()
            self._pieces = snapshot.pieces(self._store)
            self._took_ns = 0
            self.work()

    def work(self) -> None:
        """A slice. Requires: has_work"""
        began_ns = time.monotonic_ns()
        until_ns = began_ns + int(SLICE_S * 1e9)
        for piece in self._pieces:
            self._encoded.append(piece.encode())
            if time.monotonic_ns() >= until_ns:
                self._took_ns += time.monotonic_ns() - began_ns
                return
        self._took_ns += time.monotonic_ns() - began_ns
        self._end()

    def _end(self) -> None:
        flushed, self._flushed = self._flushed, None
        assert flushed is not None
        self._encodings.add(max(1, self._took_ns))
        self._links.send("raft", flushed._replace(snapshot_data=b"".join(self._encoded)))
        self._encoded = []

    def metrics(self) -> dict[str, Any]:
        """Figures for /metrics, by the names in etcdz.telemetry.families."""
        return {"snap_encodings": self._encodings.figure()}
