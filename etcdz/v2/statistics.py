"""What a member has been asked of its v2 store, and with what success. Each member counts for itself.

Source: etcd 3.5 v2store stats; order and names are those of /v2/stats/store.
"""

from typing import Final

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


class StoreStatistics:
    """counts: by name, in the order of NAMES; the number of watchers is the hub's to say."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(NAMES, 0)

    def load(self, counts: object) -> None:
        """What a snapshot says; anything else counts as 0."""
        if isinstance(counts, dict):
            self.counts |= {name: n for name in NAMES if isinstance(n := counts.get(name), int)}

    def count(self, kind: str, is_success: bool) -> None:
        self.counts[f"{kind}Success" if is_success else f"{kind}Fail"] += 1

    def to_json(self, watchers: int) -> str:
        counts = self.counts | {WATCHERS: watchers}
        return "{" + ",".join([f'"{name}":{n}' for name, n in counts.items()]) + "}"
