"""When the backend looks at free disk space: often enough for what it writes, and seldom enough to cost nothing."""

import time
from typing import Any

from etcdz import limits
from etcdz.store.ballast import Ballast


class BallastWatch:
    """A look is due before a batch is written, at limits.BALLAST_CHECK_BYTES or at next_check_at.

    unchecked_bytes   of entries applied since the last look; the turn counts them
    next_check_at     on the monotonic clock
    """

    __slots__ = ("_ballast", "_log", "next_check_at", "unchecked_bytes")

    def __init__(self, ballast: Ballast, log: Any) -> None:
        self._ballast = ballast
        self._log = log
        self.unchecked_bytes = 0
        self.next_check_at = 0.0

    def check(self) -> None:
        """Gives the ballast up when space is short, takes it again when there is plenty."""
        self.unchecked_bytes = 0
        self.next_check_at = time.monotonic() + limits.DISK_CHECK_S
        if self._ballast.check():
            self._log.warn("free disk space", ballast_held=self._ballast.held, ballast_bytes=limits.BALLAST_BYTES)
