"""Reads that wait each time a backend ends: one of them may be why. A new backend is asked again, but not for ever.

Without a bound a read that no backend survives would end one after the other, and in the end the member. A write like
that is in the log, and has to be applied by somebody some day: there is nothing to give up.
"""

from collections.abc import Iterable
from typing import Final

from etcdz import limits
from etcdz.api.errors import Code, EtcdError

GIVEN_UP: Final = EtcdError(
    "ReadGivenUp", Code.INTERNAL, "etcdserver: read given up, the backend ended each time it was asked"
)
"""A code on which clients do not ask again by themselves."""


class PoisonReads:
    """Of one listener: how many backends each read has seen end."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}

    def note(self, waiting: Iterable[int]) -> list[int]:
        """A backend has ended while these reads waited. return those to be given up, which are forgotten"""
        ends = {request_id: self._ends.get(request_id, 0) + 1 for request_id in waiting}
        given_up = [request_id for request_id, count in ends.items() if count > limits.READ_AGAIN_MAX]
        self._ends = {request_id: count for request_id, count in ends.items() if count <= limits.READ_AGAIN_MAX}
        return given_up
