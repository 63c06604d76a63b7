"""Which member a new connection goes to: by the priority and weight of SRV records, round robin without weights.

A member that cannot be reached is inactive until it can be: it is tried again after a while, by whoever has a clock.
Source: etcd 3.5 server/proxy/tcpproxy; RFC 2782.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

WEIGHTLESS_IN: Final = 100
"""Beside records with a weight, one connection in so many goes to those without."""


class Record(NamedTuple):
    """Of a member. host, port: where it serves clients; priority: lower ones are asked first; weight: 0 for none"""

    host: str
    port: int
    priority: int = 0
    weight: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Remotes:
    """below: a number from 0 on that is below its argument, at random"""

    def __init__(self, records: Sequence[Record], below: Callable[[int], int]) -> None:
        self._records = list(records)
        self._below = below
        self._inactive: set[Record] = set()
        self._turn = 0

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    @property
    def inactive(self) -> list[Record]:
        return [record for record in self._records if record in self._inactive]

    def pick(self) -> Record | None:
        """Where the next connection goes; None: all are inactive"""
        active = [record for record in self._records if record not in self._inactive]
        if not active:
            return None
        best = min(record.priority for record in active)
        first = [record for record in active if record.priority == best]
        weighted = [record for record in first if record.weight]
        weightless = [record for record in first if not record.weight]
        if weighted and not (weightless and self._below(WEIGHTLESS_IN) == 0):
            return self._by_weight(weighted)
        return self._in_turn(weightless)

    def deactivate(self, record: Record) -> None:
        self._inactive.add(record)

    def activate(self, record: Record) -> None:
        self._inactive.discard(record)

    def _by_weight(self, weighted: list[Record]) -> Record:
        chosen = self._below(sum(record.weight for record in weighted))
        for record in weighted:
            chosen -= record.weight
            if chosen < 0:
                return record
        raise AssertionError("a number below the sum of all weights lies within one of them")

    def _in_turn(self, weightless: list[Record]) -> Record:
        self._turn += 1
        return weightless[(self._turn - 1) % len(weightless)]
