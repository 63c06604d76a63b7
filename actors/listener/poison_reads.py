"""Poison reads: reads that may be why backends end. Each has a retry budget, and is given up beyond it.

Each new backend is asked again what the one before it has not answered. Without a bound a read that no backend survives
would end one after the other, and in the end the member. A write like that is in the log and has to be applied at some
time: it cannot be given up.
"""

from collections.abc import Iterable
from typing import Final

from etcdz import limits
from etcdz.api.errors import Code, EtcdError

POISON_READ: Final = EtcdError(
    "ReadGivenUp", Code.INTERNAL, "etcdserver: read given up, the backend ended each time it was asked"
)
"""The answer to a read that is given up. Clients do not retry by themselves on its code."""


class PoisonReads:
    """Of one listener: how many backends each read has seen end."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        """By request id. Invariant: none is above limits.READ_AGAIN_MAX."""

    def on_backend_end(self, waiting: Iterable[int]) -> list[int]:
        """A backend has ended.

        waiting     request ids of all reads that it has not answered
        return      those of them to be given up, which are forgotten here
        """
        ends = {request_id: self._ends.get(request_id, 0) + 1 for request_id in waiting}
        given_up = [request_id for request_id, count in ends.items() if count > limits.READ_AGAIN_MAX]
        self._ends = {request_id: count for request_id, count in ends.items() if count <= limits.READ_AGAIN_MAX}
        return given_up
