"""The replies of the last batches, kept in the store: what a backend wrote and had no time to send is sent by the next.

    row     = "etcdz_replies", 0x00, place in the ring (1 byte) -> msgpack (applied index, frames)
    frames  = {slot of a listener or the lessor: encoded frame of one Replies}

Places are used in turn, so the newest row is the one with the highest applied index. A row is part of the batch whose
replies it holds. Receivers drop replies that they have had.
"""

import msgpack

from etcdz import limits
from etcdz.store import buckets
from etcdz.store.interface import Store

RING = b"etcdz_replies\0"

Frames = dict[int, bytes]
"""Encoded frames by the slot of their receiver."""


class ReplyRing:
    """limits.REPLY_RING_SLOTS batches of replies."""

    def __init__(self, store: Store) -> None:
        self._store = store
        newest = max([(index, place) for place, index, _ in self._rows()], default=(0, -1))
        self._next_place = (newest[1] + 1) % limits.REPLY_RING_SLOTS

    def _rows(self) -> list[tuple[int, int, Frames]]:
        """(place, applied index, frames)."""
        rows = self._store.iterate(RING, buckets.bucket_end(RING))
        return [(name[-1], *msgpack.unpackb(value, strict_map_key=False)) for name, value in rows]

    def add(self, applied_index: int, frames: Frames) -> tuple[bytes, bytes, bytes]:
        """Takes the oldest place. return (bucket, key, value) for the batch that is about to be written"""
        place = self._next_place
        self._next_place = (place + 1) % limits.REPLY_RING_SLOTS
        return RING, bytes([place]), msgpack.packb((applied_index, frames))

    def frames_for(self, slot: int) -> list[bytes]:
        """What the store holds for one receiver, oldest first."""
        rows = sorted([(index, frames) for _, index, frames in self._rows() if slot in frames], key=lambda row: row[0])
        return [frames[slot] for _, frames in rows]
