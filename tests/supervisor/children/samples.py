"""A lifecycle of four made-up actors, brought to where a test begins. Pids are incarnations."""

from typing import Any

from supervisor.children.child import Action, LogLine
from supervisor.children.lifecycle import Lifecycle
from supervisor.tree import ChildSpec

FIRST = 100


def operations(**fields: Any) -> Lifecycle:
    """store (stage 1), log (stage 2), two servers (stage 3); fields change the log's row."""
    tree = (
        ChildSpec(name="store", kind="actors.store", stage=1),
        ChildSpec(name="log", kind="actors.log", stage=2, **fields),
        ChildSpec(
            name="server", kind="actors.server", stage=3, count=2, numbered=True, overlap=True, listen_sockets=True
        ),
    )
    return Lifecycle(tree, FIRST, lambda: 0.0)


def works(actions: list[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, LogLine)]


def start(lifecycle: Lifecycle, name: str, now: float = 0.0) -> list[Action]:
    """The current incarnation of name is spawned, and becomes ready."""
    return start_incarnation(lifecycle, name, lifecycle.children[name].incarnation, now)


def start_incarnation(lifecycle: Lifecycle, name: str, incarnation: int, now: float = 0.0) -> list[Action]:
    lifecycle.on_spawned(name, incarnation, incarnation, now)
    return works(lifecycle.on_ready(name, incarnation, {}, now))


def running(**fields: Any) -> Lifecycle:
    lifecycle = operations(**fields)
    lifecycle.begin(0.0)
    for name in ("store", "log", "server-1", "server-2"):
        start(lifecycle, name)
    assert lifecycle.started
    return lifecycle


def pid(lifecycle: Lifecycle, name: str) -> int:
    found = lifecycle.children[name].pid
    assert found is not None
    return found


def beat_all_but(lifecycle: Lifecycle, silent: str, now: float) -> None:
    for found in lifecycle.children.values():
        if found.name != silent:
            lifecycle.on_heartbeat(found.name, found.incarnation, now)
