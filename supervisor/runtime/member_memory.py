"""Files in memory for actors: what one incarnation leaves there the next one finds, and they end with the member.

Not in the run directory: that may lie on a disk, whose journal a write can wait for, or on a small or full file system.
"""

import os

from etcdz.telemetry import logs

log = logs.get("supervisor")


class MemberMemory:
    """One file by name of a child, from its first start on. To be closed."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def path(self, name: str) -> str:
        """What the actor opens; "" if there is no memory for it. Only for processes of the same user."""
        if name not in self._fds:
            try:
                self._fds[name] = os.memfd_create(f"etcdz:{name}:kept", os.MFD_CLOEXEC)
            except OSError as error:
                log.warn("no memory that outlives an actor", child=name, error=str(error))
                return ""
        return f"/proc/{os.getpid()}/fd/{self._fds[name]}"

    def close(self) -> None:
        """The member ends."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
