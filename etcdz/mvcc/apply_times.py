"""How long entries take to be applied, by what they ask for.

A put without options is not timed by itself, since two looks at the clock are work in the hottest place: a run of
entries is, and what it took is shared out among those of them that nobody has timed.
"""

from etcdz.telemetry.histogram import Doublings

PUT, TXN = "Put", "Txn"
V3 = "v3"
FIRST_NS, BOUNDS = 100_000, 20
"""Buckets up to 0.1 ms, 0.2 ms, 0.4 ms ... 52.4 s."""


class ApplyTimes:
    """others        entries that were timed by themselves, or not at all
    plain_txns    transactions of nothing but puts without options
    """

    __slots__ = ("_by_op", "others", "plain_txns")

    def __init__(self) -> None:
        self.others = self.plain_txns = 0
        self._by_op: dict[tuple[str, bool], Doublings] = {(PUT, True): Doublings(FIRST_NS, BOUNDS)}

    def add(self, kind: str, is_ok: bool, took_ns: int) -> None:
        """kind: a field of InternalRaftRequest"""
        self.others += 1
        self._of("".join([part.title() for part in kind.split("_")]), is_ok).add(took_ns)

    def add_run(self, entries: int, others: int, plain_txns: int, took_ns: int) -> None:
        """So many entries, of which so many were these."""
        each_ns = max(1, took_ns // entries)
        if plain_txns:
            self._of(TXN, True).add(each_ns, plain_txns)
        puts = entries - others - plain_txns
        if puts > 0:
            self._of(PUT, True).add(each_ns, puts)

    def _of(self, op: str, is_ok: bool) -> Doublings:
        found = self._by_op.get((op, is_ok))
        if found is None:
            found = self._by_op[op, is_ok] = Doublings(FIRST_NS, BOUNDS)
        return found

    def figure(self) -> list[tuple[list[str], tuple[list[int], float]]]:
        """A series for each operation: op, success, version."""
        return [
            ([op, "true" if is_ok else "false", V3], times.figure())
            for (op, is_ok), times in self._by_op.items()
            if any(times.counts)
        ]
