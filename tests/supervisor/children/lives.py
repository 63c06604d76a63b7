"""A lifecycle of four made-up actors, brought to where a test begins. Pids are incarnations."""

from typing import Any

from supervisor.children.child import Action, Note
from supervisor.children.orders import Operations
from supervisor.tree import Row

FIRST = 100


def operations(**fields: Any) -> Operations:
    """store (stage 1), log (stage 2), two doors (stage 3); fields change the log's row."""
    tree = (
        Row(name="store", kind="actors.store", stage=1),
        Row(name="log", kind="actors.log", stage=2, **fields),
        Row(name="door", kind="actors.door", stage=3, count=2, numbered=True, overlap=True, doors=True),
    )
    return Operations(tree, FIRST, lambda: 0.0)


def works(actions: list[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, Note)]


def start(life: Operations, name: str, now: float = 0.0) -> list[Action]:
    """The current incarnation of name is spawned, and becomes ready."""
    return start_incarnation(life, name, life.lives[name].incarnation, now)


def start_incarnation(life: Operations, name: str, incarnation: int, now: float = 0.0) -> list[Action]:
    life.on_spawned(name, incarnation, incarnation, now)
    return works(life.on_ready(name, incarnation, {}, now))


def running(**fields: Any) -> Operations:
    life = operations(**fields)
    life.begin(0.0)
    for name in ("store", "log", "door-1", "door-2"):
        start(life, name)
    assert life.started
    return life


def pid(life: Operations, name: str) -> int:
    found = life.lives[name].pid
    assert found is not None
    return found


def beat_all_but(life: Operations, silent: str, now: float) -> None:
    for found in life.lives.values():
        if found.name != silent:
            life.on_heartbeat(found.name, found.incarnation, now)
