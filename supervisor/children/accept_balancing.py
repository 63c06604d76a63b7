"""Which listener accepts from which of the sockets that clients connect to. Pure.

The kernel spreads connections evenly over the sockets, so listeners get the same number of them, give or take one. A
socket without a listener would keep its clients waiting: all of them are dealt out whenever somebody comes or goes.
When there are more listeners than before, each of the old ones sends the share of its clients away that the new ones
should have; they come back through any socket. One that was restarted is not one more: its end costs its own clients
their connections and nobody else's.
"""

from collections.abc import Iterable

from etcdz.ipc.messages import Listen
from supervisor.children.child import Life


class Ushers:
    """Remembers what each incarnation was told last."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, ...]] = {}
        self._served: set[str] = set()
        """Names of those that serve, or did until they ended by themselves."""

    def orders(self, listed: Iterable[Life], sockets: int) -> list[tuple[int, Listen]]:
        """(incarnation, what to tell it), for whom something changes. sockets: of an address"""
        alive = [life for life in listed if life.row.doors]
        crew = [life for life in alive if life.serving]
        shares = {life.incarnation: tuple(range(i, sockets, len(crew))) for i, life in enumerate(crew)}
        newcomers = [life for life in crew if life.name not in self._served]
        goodbye = len(newcomers) / len(crew) if newcomers and self._served else 0.0
        self._served -= {life.name for life in alive if not life.serving}
        self._served |= {life.name for life in crew}
        orders = []
        for life in alive:
            share, before = shares.get(life.incarnation, ()), self._told.get(life.incarnation)
            if share != before and not life.leaving:
                sent_away = 1.0 if life.draining else goodbye if before else 0.0
                orders.append((life.incarnation, Listen(list(share), sent_away)))
                self._told[life.incarnation] = share
        living = {life.incarnation for life in alive}
        self._told = {incarnation: share for incarnation, share in self._told.items() if incarnation in living}
        return orders
