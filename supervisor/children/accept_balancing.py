"""Which listener accepts from which of the sockets that clients connect to. Pure.

The kernel spreads connections evenly over the sockets, so listeners get the same number of them, give or take one. The
clients of a socket without a listener would wait, so all sockets are dealt out again when a listener starts or ends.
When there are more listeners than before, each of the old ones closes the share of its connections that the new ones
should have; these clients reconnect through any socket. A listener that was restarted is not one more: its end costs
only its own clients their connections. Nor is one of those with which the member starts: a client that has connected to
the first of them in the very moment it is served must not be asked at once to go, in the middle of its first call.

A new listener lets nobody in until it knows the users (actors/listener/actor.py): clients are not left to it while
others let them in.
"""

from collections.abc import Iterable

from etcdz.ipc.messages import Listen
from supervisor.children.child import Child


class AcceptBalancing:
    """Remembers what each incarnation was told last."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, ...]] = {}
        self._served: set[str] = set()
        """Names of those that serve, or did until they ended by themselves."""
        self._first: set[str] | None = None
        """Names of those with which the member starts and that have not served yet. None: nothing has been told."""
        self._letting_in: set[int] = set()
        """Incarnations."""

    def note(self, incarnation: int, lets_in: bool) -> bool:
        """What a listener says of itself. return whether that is new: orders are due"""
        if not lets_in or incarnation in self._letting_in:
            return False
        self._letting_in.add(incarnation)
        return True

    def orders(self, listed: Iterable[Child], sockets: int, known: Iterable[str] = ()) -> list[tuple[int, Listen]]:
        """[(incarnation, what to tell it)] for the listeners for which something changes. sockets: of one address

        known   names of all actors that the member has, also of those that are starting
        """
        alive = [child for child in listed if child.spec.listen_sockets]
        serving = [child for child in alive if child.serving]
        crew = [child for child in serving if child.incarnation in self._letting_in] or serving
        shares = {child.incarnation: tuple(range(i, sockets, len(crew))) for i, child in enumerate(crew)}
        if self._first is None:
            self._first = set(known)
        newcomers = [child for child in crew if child.name not in self._served and child.name not in self._first]
        newcomers_share = len(newcomers) / len(crew) if newcomers and self._served else 0.0
        self._served -= {child.name for child in alive if not child.serving}
        self._served |= {child.name for child in crew}
        self._first -= self._served
        orders = []
        for child in alive:
            share, before = shares.get(child.incarnation, ()), self._told.get(child.incarnation)
            if share != before and not child.leaving:
                drain_share = 1.0 if child.draining else newcomers_share if before else 0.0
                orders.append((child.incarnation, Listen(list(share), drain_share)))
                self._told[child.incarnation] = share
        living = {child.incarnation for child in alive}
        self._letting_in &= living
        self._told = {incarnation: share for incarnation, share in self._told.items() if incarnation in living}
        return orders
