"""Which slot of request ids each process of a row has (etcdz.ipc.request_ids). Pure.

A reply finds the listener that waits for it by the slot in the request's id. So no two living processes of a row share
one, a listener that leaves and its successor included.
"""

from collections.abc import Iterable

from etcdz.ipc.request_ids import LISTENER_SLOTS
from supervisor.children.child import Child


def free_slot(child: Child, everyone: Iterable[Child]) -> int:
    """A slot for the next process of child: the one that it had, or the lowest that no living process of its row has.

    raises  RuntimeError: there is none. Cannot happen while `room` is asked before processes are added
    """
    taken = {other.slot for other in everyone if other is not child and other.alive and _same_row(other, child)}
    if child.slot not in taken:
        return child.slot
    for slot in LISTENER_SLOTS:
        if slot not in taken:
            return slot
    raise RuntimeError(f"no slot is left for another process of row {child.spec.name}")


def room(row: str, everyone: Iterable[Child]) -> int:
    """How many processes a row may have beside those that it has: actors that do not run now keep room to come back."""
    return len(LISTENER_SLOTS) - sum(child.spec.name == row for child in everyone)


def _same_row(one: Child, other: Child) -> bool:
    return one.spec.name == other.spec.name
