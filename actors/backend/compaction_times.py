"""How long compactions take, and for how long each of their slices holds everything else up."""

from typing import Any, Final

from etcdz.telemetry.histogram import Doublings

_MS: Final = 1_000_000


class CompactionTimes:
    """Of one backend process."""

    def __init__(self) -> None:
        self._began_ns = 0
        """Of the compaction under way; 0: there is none."""
        self._all = Doublings(100 * _MS, 14)
        self._slices = Doublings(_MS // 2, 14)
        self._pauses = Doublings(_MS, 13)

    def add_slice(self, began_ns: int, ended_ns: int, is_last: bool) -> None:
        """One that looked at records. is_last: the compaction has ended with it

        NB: as in etcd the last slice is no pause of the store. Of the index it is one: it goes on with the store.
        """
        self._began_ns = self._began_ns or began_ns
        took_ns = max(1, ended_ns - began_ns)
        self._slices.add(took_ns)
        if is_last:
            self._all.add(max(1, ended_ns - self._began_ns))
            self._began_ns = 0
        else:
            self._pauses.add(took_ns)

    def figures(self) -> dict[str, Any]:
        """By the names in etcdz.telemetry.families, in milliseconds."""
        return {
            "compactions": self._all.figure(_MS),
            "compaction_slices": self._slices.figure(_MS),
            "compaction_pauses": self._pauses.figure(_MS),
        }
