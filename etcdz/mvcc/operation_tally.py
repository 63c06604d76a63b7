"""How many operations the key-value store of a member has done, by etcd's rules of what counts as one.

    range    every look at a key or range: a Range, a compare that was evaluated, what a put or delete shows as prev_kv,
             or keeps of the key (ignore_value, ignore_lease)
    put      every put that is made, alone or in a transaction
    delete   every DeleteRange, whatever it finds, and every key of a lease that is revoked
    txn      what does more than one of these on one view of the store

A transaction that writes has two views: its compares and what its puts are checked by look at the one before it, its
operations at the one that they make. So one with two compares and two puts counts as two. Source: etcd 3.5 mvcc, whose
transactions count what they did when they end.
"""

from typing import Final

TTL_BOUNDS: Final = 24
"""Buckets of granted TTLs: up to 1 s, 2 s, 4 s ..., and one for what is beyond the last."""


class OperationTally:
    """Of one backend process.

    put_bytes   keys and values of puts
    granted, revoked    leases
    ttls        leases granted, by bucket of their TTL; ttl_sum_s: the TTLs together
    compacted   records that compactions have taken out
    """

    __slots__ = (
        "compacted",
        "deletes",
        "granted",
        "put_bytes",
        "puts",
        "ranges",
        "revoked",
        "ttl_sum_s",
        "ttls",
        "txns",
    )

    def __init__(self) -> None:
        self.ranges = self.puts = self.deletes = self.txns = 0
        self.put_bytes = 0
        self.granted = self.revoked = 0
        self.ttls = [0] * (TTL_BOUNDS + 1)
        self.ttl_sum_s = 0
        self.compacted = 0

    def count(self, ranges: int = 0, puts: int = 0, deletes: int = 0) -> None:
        """What was done on one view of the store."""
        self.ranges += ranges
        self.puts += puts
        self.deletes += deletes
        self.txns += ranges + puts + deletes > 1

    def grant(self, ttl_s: int) -> None:
        """A lease was granted."""
        self.granted += 1
        self.ttl_sum_s += ttl_s
        self.ttls[min((ttl_s - 1).bit_length(), TTL_BOUNDS)] += 1

    def show(self) -> dict[str, object]:
        """By the names of figures in etcdz.telemetry.families."""
        return {
            "ranges": self.ranges,
            "puts": self.puts,
            "deletes": self.deletes,
            "txns": self.txns,
            "put_bytes": self.put_bytes,
            "leases_granted": self.granted,
            "leases_revoked": self.revoked,
            "lease_ttls": (self.ttls, self.ttl_sum_s),
            "compacted_records": self.compacted,
        }


def value_bytes(field_bytes: int) -> int:
    """Length of a value whose encoded field has so many bytes: behind a tag, and its length in groups of seven bits."""
    if field_bytes < 130:
        return max(field_bytes - 2, 0)
    return field_bytes - (3 if field_bytes < 16_387 else 4 if field_bytes < 2_097_156 else 5)
