"""What a new actor process is told at its start."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple


class Boot(NamedTuple):
    """Handed by the zygote to `run(boot)` of the actor's module.

    It travels as a map by field name. After an upgrade the supervisor's Boot is older than the actor's: fields are only
    added, at the end and with a default.

    name            unique in the member: "wal", "listener-1"
    kind            last name of the actor's module or package below `actors`: "wal", "listener"
    slot            number among the actors of this kind, 0 for the first
    incarnation     a new number for each process that the member starts; grows over restarts of the member as well
    run_dir         private directory of the member's sockets
    endpoint        this actor's own mailbox, which it binds
    supervisor      the supervisor's mailbox, to which Ready, Heartbeat and Fault go
    roster          children alive now: (name, kind, slot, incarnation, endpoint)
    config          MemberConfig.to_dict()
    options         actor-specific settings from the tree table
    flight          file for the flight recorder (etcdz/telemetry/flight.py); "": none
    listen_sockets  for a listener: (address, number of sockets) for each address that clients connect to;
                    for the peer actor: the same of other members
    fds             these sockets' file descriptors in this process, in the order of listen_sockets
    may_found       whether what it keeps on disk may be missing: none of this name was ready in this member's life
    memory          file in memory for all incarnations of this name, empty for the first; "": none
    member_began_s  unix time at which the member's supervisor has begun; 0: not told
    """

    name: str
    kind: str
    slot: int
    incarnation: int
    run_dir: str
    endpoint: str
    supervisor: str
    roster: list[tuple[str, str, int, int, str]]
    config: dict[str, Any]
    options: dict[str, Any]
    flight: str = ""
    listen_sockets: Sequence[tuple[str, int]] = ()
    fds: Sequence[int] = ()
    may_found: bool = True
    memory: str = ""
    member_began_s: float = 0.0


def boot_from(fields: Mapping[str, Any], fds: Sequence[int]) -> Boot:
    """A Boot out of the map of another version's, after msgpack. fds: as this process has them

    Fields that this version does not know are dropped, missing ones have their defaults.
    raises  TypeError: a field without a default is missing
    """
    known = {name: value for name, value in fields.items() if name in Boot._fields}
    roster = [tuple(child) for child in known.get("roster", ())]
    return Boot(**{**known, "roster": roster, "fds": fds})


STACK_SIGNAL: Final = 12
"""SIGUSR2: every actor answers it by writing the stacks of its threads to stack_path()."""


def stack_path(endpoint: str) -> str:
    """Beside the actor's mailbox. Requires: an ipc endpoint."""
    return endpoint.removeprefix("ipc://") + ".stack"
