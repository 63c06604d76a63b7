"""How long entries take to be applied, by what they ask for.

A put without options is not timed by itself, since two looks at the clock are work in the hottest place: a run of
entries is, and what it took is shared out among those of them that nobody has timed.
"""

from etcdz.telemetry.histogram import Doublings

PUT, TXN = "Put", "Txn"
V2, V3 = "v2", "v3"
FIRST_NS, BOUNDS = 100_000, 20
"""Buckets up to 0.1 ms, 0.2 ms, 0.4 ms ... 52.4 s."""


class ApplyTimes:
    """others        entries that were timed by themselves, or not at all
    plain_txns    transactions of nothing but puts without options
    """

    __slots__ = ("_by_op", "_v2", "others", "plain_txns")

    def __init__(self) -> None:
        self.others = self.plain_txns = 0
        self._by_op: dict[tuple[str, bool, str], Doublings] = {(PUT, True, V3): Doublings(FIRST_NS, BOUNDS)}
        self._v2: dict[tuple[str, bool], int] = {}
        """Requests of the v2 API since the last run, by method and success."""

    def add(self, kind: str, is_ok: bool, took_ns: int) -> None:
        """kind: a field of InternalRaftRequest"""
        self.others += 1
        self._of("".join([part.title() for part in kind.split("_")]), is_ok).add(took_ns)

    def count_v2(self, method: str, is_ok: bool) -> None:
        """A request of the v2 API; it is among the others, and gets its share of the run."""
        self._v2[method, is_ok] = self._v2.get((method, is_ok), 0) + 1

    def add_run(self, entries: int, others: int, plain_txns: int, took_ns: int) -> None:
        """So many entries, of which so many were these."""
        each_ns = max(1, took_ns // entries)
        if plain_txns:
            self._of(TXN, True).add(each_ns, plain_txns)
        puts = entries - others - plain_txns
        if puts > 0:
            self._of(PUT, True).add(each_ns, puts)
        if self._v2:
            for (method, is_ok), count in self._v2.items():
                self._of(method, is_ok, V2).add(each_ns, count)
            self._v2 = {}

    def _of(self, op: str, is_ok: bool, version: str = V3) -> Doublings:
        found = self._by_op.get((op, is_ok, version))
        if found is None:
            found = self._by_op[op, is_ok, version] = Doublings(FIRST_NS, BOUNDS)
        return found

    def figure(self) -> list[tuple[list[str], tuple[list[int], float]]]:
        """A series for each operation: op, success, version."""
        return [
            ([op, "true" if is_ok else "false", version], times.figure())
            for (op, is_ok, version), times in self._by_op.items()
            if any(times.counts)
        ]
