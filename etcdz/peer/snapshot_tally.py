"""What has become of snapshots, by the member that they went to or came from."""

from typing import Final

ROWS_MAX: Final = 64
"""Who sends one says itself who it is. Requires: fewer are under way at a time."""
BUCKETS: Final = 10
BUCKET_S: Final = 0.1
"""Upper bound of the first bucket of durations; each further one is twice as wide."""


class Snapshots:
    """Of one member, since the start of this actor.

    counts      durations of those that arrived, by bucket, the last: beyond all bounds
    total_s     of these
    """

    __slots__ = ("arrived", "counts", "failed", "total_s", "under_way")

    def __init__(self) -> None:
        self.arrived = self.failed = self.under_way = 0
        self.counts = [0] * (BUCKETS + 1)
        self.total_s = 0.0


class SnapshotTally:
    """Either of all that are sent, or of all that are received."""

    def __init__(self) -> None:
        self.by_member: dict[int, Snapshots] = {}

    def begin(self, id_: int) -> None:
        """One is on its way; `end` is called once for each. Beyond ROWS_MAX who came first is forgotten."""
        rows = self.by_member
        if id_ not in rows and len(rows) >= ROWS_MAX:
            del rows[next(known for known, row in rows.items() if not row.under_way)]
        rows.setdefault(id_, Snapshots()).under_way += 1

    def end(self, id_: int, has_arrived: bool, took_s: float) -> None:
        """What became of one that has begun."""
        found = self.by_member[id_]
        found.under_way -= 1
        if not has_arrived:
            found.failed += 1
            return
        found.arrived += 1
        found.total_s += took_s
        found.counts[_bucket(took_s)] += 1

    def durations(self) -> tuple[list[int], float]:
        """Of all that arrived, as etcdz.telemetry.families has a histogram."""
        rows = list(self.by_member.values())
        columns = zip(*[row.counts for row in rows], strict=True) if rows else [[0]] * (BUCKETS + 1)
        return [sum(column) for column in columns], sum(row.total_s for row in rows)


def _bucket(took_s: float) -> int:
    bounds = (BUCKET_S * (1 << number) for number in range(BUCKETS))
    return next((number for number, bound in enumerate(bounds) if took_s <= bound), BUCKETS)
