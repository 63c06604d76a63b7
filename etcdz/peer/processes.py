"""Which processes speak as one other member: there should be one at a time.

A data directory that was copied and started a second time is a member that lives twice. Both vote and acknowledge as
one, and either may have forgotten what the other has promised, so that what was acknowledged can be lost. Neither can
tell; etcd notices nothing. Those whom both dial see it: whoever was taken for gone, since another has dialled in its
place, dials again.
"""

from collections import deque

LATE_RETURNS = 2
"""As many as there may be when one connection of a process that has ended comes late: it, and then its successor."""
_REMEMBERED = 8
"""Of those that were replaced. Two that live take turns, so that one would do."""


class Processes:
    """See the module. A process has a number that no other has, and that no later one gets again."""

    __slots__ = ("_current", "_replaced", "_returns")

    def __init__(self) -> None:
        self._current = b""
        self._returns = 0
        self._replaced: deque[bytes] = deque(maxlen=_REMEMBERED)

    def are_two(self, process: bytes) -> bool:
        """The member has dialled from this process; whether another one lives as well. b"": it does not say which.

        Two that live come back again and again, each time that the other has taken the place of one's streams.
        """
        if not process or process == self._current:
            return False
        is_back = process in self._replaced
        if is_back:
            self._replaced.remove(process)
        if self._current:
            self._replaced.append(self._current)
        self._current = process
        self._returns += is_back
        return is_back and self._returns > LATE_RETURNS
