"""What a member has been asked of its v2 store, and with what success. Each member counts for itself.

Source: etcd 3.5 v2store stats; order and names are those of /v2/stats/store.
"""

from typing import Any, Final

GETS: Final = "gets"
SETS: Final = "sets"
DELETES: Final = "delete"
UPDATES: Final = "update"
CREATES: Final = "create"
SWAPS: Final = "compareAndSwap"
COMPARED_DELETES: Final = "compareAndDelete"
EXPIRED: Final = "expireCount"
WATCHERS: Final = "watchers"

NAMES: Final = (
    *(
        f"{kind}{end}"
        for kind in (GETS, SETS, DELETES, UPDATES, CREATES, SWAPS, COMPARED_DELETES)
        for end in ("Success", "Fail")
    ),
    EXPIRED,
    WATCHERS,
)
_ACTIONS: Final = {
    SETS: "set",
    DELETES: "delete",
    UPDATES: "update",
    CREATES: "create",
    SWAPS: "compareAndSwap",
    COMPARED_DELETES: "compareAndDelete",
}
"""Kind of a write -> its name in /metrics."""


class StoreStatistics:
    """counts           by name, in the order of NAMES; the number of watchers is the hub's to say
    recursive_gets   of this process's gets, those of all that is below a node
    failed_creates   those that count as failed sets
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(NAMES, 0)
        self._loaded = dict(self.counts)
        self.recursive_gets = self.failed_creates = 0

    def load(self, counts: object) -> None:
        """What a snapshot says; anything else counts as 0."""
        if isinstance(counts, dict):
            self.counts |= {name: n for name in NAMES if isinstance(n := counts.get(name), int)}
        self._loaded = dict(self.counts)

    def count(self, kind: str, is_success: bool) -> None:
        self.counts[f"{kind}Success" if is_success else f"{kind}Fail"] += 1

    def count_get(self, is_recursive: bool, is_success: bool) -> None:
        self.count(GETS, is_success)
        self.recursive_gets += is_recursive

    def figures(self) -> dict[str, Any]:
        """What this process has done, by the names in etcdz.telemetry.families."""
        done = {kind: self._done(f"{kind}Success") + self._done(f"{kind}Fail") for kind in (GETS, *_ACTIONS)}
        reads = {"get": done[GETS] - self.recursive_gets, "getRecursive": self.recursive_gets}
        done[SETS] -= self.failed_creates
        done[CREATES] += self.failed_creates
        writes = {action: done[kind] for kind, action in _ACTIONS.items()}
        return {
            "v2_reads": [([action], count) for action, count in reads.items()],
            "v2_writes": [([action], count) for action, count in writes.items() if count],
            "v2_expired": self._done(EXPIRED),
        }

    def _done(self, name: str) -> int:
        return self.counts[name] - self._loaded[name]

    def to_json(self, watchers: int) -> str:
        counts = self.counts | {WATCHERS: watchers}
        return "{" + ",".join([f'"{name}":{n}' for name, n in counts.items()]) + "}"
