"""The process for which a member runs: with --stop-with-pid the member stops when that one has ended.

A pidfd tells of it: a signal at the parent's death (PR_SET_PDEATHSIG) would come at the end of the *thread* that has
started the member, and a pipe would stay open in whatever the host forks.
"""

import os
import select
from contextlib import suppress
from typing import Final

NO_HOST: Final = 0


class HostProcess:
    """pid: NO_HOST for none. A process that has ended before it could be watched is told of at once."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd: int | None = None
        self._told = pid == NO_HOST
        if not self._told:
            with suppress(OSError):
                self._fd = os.pidfd_open(pid)

    def fileno(self) -> int | None:
        """Readable once it has ended; None: there is nothing to wait for"""
        return self._fd

    def has_ended(self) -> bool:
        """Said once."""
        if self._told or (self._fd is not None and not select.select([self._fd], [], [], 0)[0]):
            return False
        self._told = True
        return True

    def close(self) -> None:
        """Watch it no longer."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
