"""What processes that have ended had counted: the sums of a member do not go back when an actor is restarted or a
listener is scaled away.

The alternative, a label with the actor's name on every series, would have left the sums to each query, and etcd's
dashboards and alerts know no such label. A graceful end tells the last figures; of a process that is killed they are
those of the last scrape, so that what it counted since is lost, but no reader sees a sum go back.
"""

from typing import Final

from etcdz.telemetry.families import CUMULATIVE, Figures, add_figures

LATE_MAX: Final = 16
"""Of so many ended processes last figures may still arrive: a process may be seen to end before its last message is."""


class KeptFigures:
    """Of one member, by incarnation."""

    def __init__(self) -> None:
        self._living: dict[int, Figures] = {}
        self._ended: dict[int, Figures] = {}
        self._sum: Figures = {}

    def on_figures(self, incarnation: int, figures: Figures) -> None:
        """An actor has told its figures."""
        kept = {name: value for name, value in figures.items() if name in CUMULATIVE}
        (self._ended if incarnation in self._ended else self._living)[incarnation] = kept

    def on_end(self, incarnation: int) -> None:
        """Its process has ended."""
        self._ended[incarnation] = self._living.pop(incarnation, {})
        if len(self._ended) > LATE_MAX:
            add_figures(self._sum, self._ended.pop(next(iter(self._ended))))

    def of_ended(self) -> list[Figures]:
        """Of all that have ended."""
        return [self._sum, *self._ended.values()]

    def last_of(self, incarnation: int) -> Figures:
        """Of one that lives and does not answer."""
        return self._living.get(incarnation, {})
