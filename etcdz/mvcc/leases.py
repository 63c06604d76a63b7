"""Leases as applied state: ids, TTLs and attached keys. Clocks are the lessor's, and no part of this.

Rows of the bucket `lease`: 8-byte big-endian id -> leasepb.Lease. Which keys hang on a lease stands in the keys'
own records and is gathered from them when the store is loaded.
"""

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.lease.lessor import GONE, GRANTED, REMAINS
from etcdz.proto import leasepb
from etcdz.store import buckets

TTL_MAX_S = 9_000_000_000
"""etcd's greatest TTL."""


_NO_KEYS: frozenset[bytes] = frozenset()


class Lease:
    """ttl_s as granted; remaining_s as last checkpointed, 0 for none."""

    __slots__ = ("keys", "lease_id", "remaining_s", "ttl_s")

    def __init__(self, lease_id: int, ttl_s: int, remaining_s: int = 0) -> None:
        self.lease_id = lease_id
        self.ttl_s = ttl_s
        self.remaining_s = remaining_s
        self.keys: set[bytes] | frozenset[bytes] = _NO_KEYS
        """NB: most leases of many have no keys, and an empty set of its own would cost each of them 200 bytes."""

    def encode(self) -> bytes:
        lease = leasepb.Lease(ID=self.lease_id, TTL=self.ttl_s, RemainingTTL=self.remaining_s)
        return lease.SerializeToString()


class LeaseTable:
    """All leases, and which key hangs on which.

    Invariant: a key is in `lease_of` exactly if it is in the `keys` of that lease.
    Invariant: a key whose record names a lease that is gone is in `orphans`; others may be there as well.
    """

    __slots__ = ("by_id", "events", "lease_of", "orphans", "ttl_min_s")

    def __init__(self, ttl_min_s: int) -> None:
        self.ttl_min_s = ttl_min_s
        self.by_id: dict[int, Lease] = {}
        self.lease_of: dict[bytes, int] = {}
        self.orphans: set[bytes] = set()
        self.events: list[tuple[int, int, int]] = []
        """What the lessor is still to be told: (GRANTED, GONE or REMAINS, lease id, seconds)."""

    def rows(self) -> list[int]:
        """Id, TTL and what remains of it of every lease, one after the other."""
        return [part for lease in self.by_id.values() for part in (lease.lease_id, lease.ttl_s, lease.remaining_s)]

    def take_events(self) -> list[tuple[int, int, int]]:
        taken, self.events = self.events, []
        return taken

    def load(self, row: bytes) -> None:
        """A row of the bucket; a TTL below today's minimum is raised to it, as etcd does."""
        lease = leasepb.Lease.FromString(row)
        self.by_id[lease.ID] = Lease(lease.ID, max(lease.TTL, self.ttl_min_s), lease.RemainingTTL)

    def grant(self, lease_id: int, ttl_s: int) -> Lease | EtcdError:
        if lease_id == 0:
            return errors.LEASE_NOT_FOUND
        if ttl_s > TTL_MAX_S:
            return errors.LEASE_TTLTOO_LARGE
        if lease_id in self.by_id:
            return errors.LEASE_EXIST
        lease = self.by_id[lease_id] = Lease(lease_id, max(ttl_s, self.ttl_min_s))
        self.events.append((GRANTED, lease_id, lease.ttl_s))
        return lease

    def revoke(self, lease_id: int) -> list[bytes] | EtcdError:
        """The keys of a lease that is to go, in the order in which all members delete them."""
        lease = self.by_id.get(lease_id)
        if lease is None:
            return errors.LEASE_NOT_FOUND
        return sorted(lease.keys)

    def forget(self, lease_id: int) -> None:
        """Requires: its keys are detached."""
        del self.by_id[lease_id]
        self.events.append((GONE, lease_id, 0))

    def checkpoint(self, lease_id: int, remaining_s: int) -> Lease | None:
        """Notes what is left of a TTL. return the lease, None if there is none"""
        lease = self.by_id.get(lease_id)
        if lease is not None:
            lease.remaining_s = remaining_s
            self.events.append((REMAINS, lease_id, remaining_s))
        return lease

    def attach(self, key: bytes, lease_id: int) -> None:
        """Hangs a key on a lease, off the one before. Without effect for a lease that is gone (etcd logs that)."""
        self.detach(key)
        lease = self.by_id.get(lease_id)
        if lease is not None:
            if lease.keys.__class__ is set:
                lease.keys.add(key)
            else:
                lease.keys = {key}
            self.lease_of[key] = lease_id
        else:
            self.orphans.add(key)

    def detach(self, key: bytes) -> None:
        lease_id = self.lease_of.pop(key, None)
        if lease_id is not None:
            self.by_id[lease_id].keys.discard(key)  # type: ignore[union-attr]


def lease_key(lease_id: int) -> bytes:
    """Store key of a lease; ids are int64."""
    return buckets.LEASE + (lease_id & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")
