"""The tree of one member, as one table of child specs. Read this first.

Rows start in the order of their stage, each stage only when all of the stage before are READY; they stop in reverse. A
process that dies is restarted alone (`one_for_one`): what makes that safe is the resync between actors that
`etcdz/ipc/messages.py` describes, not a restart of its neighbours. `restart.py` decides, `children/lifecycle.py` keeps
the order, `runtime/` carries it out. What a configuration may change in a row stands in `rules.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from etcdz.ipc.request_ids import LISTENER_SLOTS
from etcdz.limits import HEARTBEAT_IDLE_S
from supervisor.restart import BACKOFF_MAX_S, Intensity, Restart, Strategy

INTENSITY: Final = Intensity(10, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One row, as in Erlang/OTP: what to run, how many of it, and the rules for its restarts and its end."""

    name: str
    kind: str
    """Module that holds `run(boot) -> int`. A name, never an import: only the zygote imports actors."""
    stage: int
    """Place in the order of start."""
    count: int = 1
    numbered: bool = False
    """Its processes are called name-1, name-2, ... whatever their count, so that scaling renames none."""
    overlap: bool = False
    """Two incarnations may live at once: a graceful restart starts the new one before the old one leaves."""
    memory: bool = False
    """It is handed a file in memory that outlives its processes, and ends with the member."""
    listen_sockets: bool = False
    """It is handed the sockets that clients connect to."""
    peer_sockets: bool = False
    """It is handed the sockets that other members connect to."""
    restart: Restart = Restart.PERMANENT
    strategy: Strategy = Strategy.ONE_FOR_ONE
    significant: bool = False
    """When it has ended for good, so has the member."""
    intensity: Intensity = INTENSITY
    """More restarts than this end the member: clients are better served by another member then."""
    start_s: float = 30.0
    """From spawn to READY."""
    stop_s: float = 5.0
    """From Stop to SIGTERM; SIGKILL comes KILL_AFTER_S later."""
    hang_s: float = 10.0
    """Without a heartbeat, and without using a CPU, for this long after READY it is killed as hung."""
    busy_s: float = 60.0
    """Without a heartbeat for this long it is killed as hung also if it works: it may be in an endless loop."""
    halt_s: float = 0.1
    """Stopped by a signal for this long it is killed as hung: the kernel tells at once, and clients wait meanwhile."""
    max_rss_bytes: int | None = None
    """Using more memory than this it is restarted in order, if it has had its time: else it would only do so again."""
    max_rss_after_s: float = 60.0
    """How long that is; what grows faster is left to the memory cap."""
    max_age_s: float | None = None
    """Having lived for this long, or up to a tenth less, it is restarted in order."""
    memory_max_bytes: int | None = None
    """The kernel gives it no more than this (RLIMIT_DATA): beyond, it fails and is restarted."""
    cpus: tuple[int, ...] = ()
    """The only ones that it may use; none: wherever the placement puts it."""
    nice: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    """For the actor itself, in Boot.options."""

    @property
    def role(self) -> str:
        """Its kind in the roster: the last name of its module, or, if that is `actor`, of the package around it."""
        return self.kind.removesuffix(".actor").rpartition(".")[2]


TREE: Final = (
    # backend and wal read what is on disk before they are READY: millions of keys take seconds.
    ChildSpec(name="backend", kind="actors.backend.actor", stage=1, start_s=600.0, memory=True),
    ChildSpec(name="wal", kind="actors.wal.actor", stage=2, start_s=600.0),
    # peer is there before raft and leaves after it: what raft says last, when it hands its lead over, must still leave.
    ChildSpec(name="peer", kind="actors.peer.actor", stage=2, peer_sockets=True),
    ChildSpec(name="raft", kind="actors.raft.actor", stage=3, start_s=60.0),
    ChildSpec(name="lessor", kind="actors.lessor.actor", stage=4),
    ChildSpec(name="compactor", kind="actors.compactor.actor", stage=4),
    ChildSpec(name="listener", kind="actors.listener.actor", stage=5, numbered=True, overlap=True, listen_sockets=True),
)

PROXY_TREE: Final = (ChildSpec(name="proxy", kind="actors.proxy.actor", stage=1, listen_sockets=True),)
"""Of `--proxy`, which is no member."""

KILL_AFTER_S: Final = 1.0
"""From SIGTERM to SIGKILL."""

RESERVED: Final = ("supervisor", "zygote", "control")
"""Processes of the member that are no actors, and a socket in the run directory."""

COUNT_MAX: Final = 14
"""Of a numbered row: in a graceful restart of all each needs two slots of request ids."""
assert len(LISTENER_SLOTS) >= 2 * COUNT_MAX

_POSITIVE: Final = (
    "start_s",
    "stop_s",
    "hang_s",
    "busy_s",
    "halt_s",
    "max_rss_bytes",
    "max_rss_after_s",
    "max_age_s",
    "memory_max_bytes",
)


class TreeError(ValueError):
    """The table cannot be run; says which row and which field."""


def tree_for(settings: Mapping[str, Any], tree: tuple[ChildSpec, ...] = TREE) -> tuple[ChildSpec, ...]:
    """The table with what the member's settings change in it (MemberConfig.to_dict()), checked."""
    listeners = int(settings.get("listeners", 1))
    specs = tuple(replace(spec, count=listeners) if spec.name == "listener" else spec for spec in tree)
    check(specs)
    return specs


def check(specs: tuple[ChildSpec, ...]) -> None:
    """Every field of every row. raises TreeError: before anything starts, so that no member is half started."""
    if not specs:
        raise TreeError("the tree is empty")
    seen: set[str] = set()
    for spec in specs:
        for name in names(spec):
            if name in seen:
                raise TreeError(f"row {spec.name}: the name {name} is taken")
            seen.add(name)
        _check_row(spec)


def _check_row(spec: ChildSpec) -> None:
    def refuse(field_name: str, why: str) -> None:
        raise TreeError(f"row {spec.name}: {field_name}={getattr(spec, field_name)!r} {why}")

    if not spec.name or not all(c.isalnum() or c in "-_" for c in spec.name):
        refuse("name", "is no file name")  # it becomes part of the mailbox's path
    if spec.name in RESERVED:
        refuse("name", "is reserved")
    if not all(part.isidentifier() for part in spec.kind.split(".")):
        refuse("kind", "is no module name")
    if spec.count < 1 or (spec.count > 1 and not spec.numbered):
        refuse("count", "must be 1, or more in a numbered row")
    if spec.count > COUNT_MAX:
        refuse("count", f"is more than {COUNT_MAX}")
    if spec.restart not in tuple(Restart):
        refuse("restart", f"is none of {', '.join(Restart)}")
    if spec.strategy not in tuple(Strategy):
        refuse("strategy", f"is none of {', '.join(Strategy)}")
    if spec.significant and spec.restart is Restart.PERMANENT:
        refuse("significant", "is for actors that can end for good, which a permanent one does not")
    if not -20 <= spec.nice <= 19:
        refuse("nice", "is not between -20 and 19")
    if 0 < spec.hang_s <= HEARTBEAT_IDLE_S:
        refuse("hang_s", f"is not longer than an idle actor's time between heartbeats, {HEARTBEAT_IDLE_S:g} s")
    for name in _POSITIVE:
        value = getattr(spec, name)
        if value is not None and not value > 0:
            refuse(name, "must be positive")
    # A crash loop that waits BACKOFF_MAX_S each time must still overrun the window, or it would never end.
    if spec.intensity.restarts < 0 or spec.intensity.seconds <= spec.intensity.restarts * BACKOFF_MAX_S:
        refuse("intensity", "could never be exceeded by a crash loop")


def names(spec: ChildSpec) -> list[str]:
    """Names of the row's processes, in order."""
    return [f"{spec.name}-{slot + 1}" for slot in range(spec.count)] if spec.numbered else [spec.name]
