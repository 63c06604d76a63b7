"""A listener's scrapes of /metrics: the supervisor gathers the figures of all actors, once for all who wait.

Figures are counted, or added up, when they are asked for; between two scrapes nobody pays for them.
"""

import time
from collections.abc import Callable
from typing import Final

from actors.runtime.link import Links
from etcdz.ipc.messages import Metrics, QueryMetrics

PATIENCE_S: Final = 5.0
"""The supervisor answers without those actors that take longer than a second."""

Answer = Callable[[bytes | None], None]
"""Told the text, or None: there is none."""


class Scrapes:
    """Of one listener."""

    def __init__(self, links: Links, incarnation: int) -> None:
        self._links = links
        self._incarnation = incarnation
        self._seq = 0
        self._waiting: list[Answer] = []
        self._give_up_at = 0.0

    def begin(self, answer: Answer) -> None:
        """answer: called later, once. Who comes while others wait gets what they get."""
        if not self._waiting:
            self._seq += 1
            self._give_up_at = time.monotonic() + PATIENCE_S
            self._links.tell_supervisor(QueryMetrics(self._incarnation, self._seq))
        self._waiting.append(answer)

    def on_metrics(self, message: Metrics) -> None:
        if message.seq == self._seq:
            self._answer(message.text)

    @property
    def under_way(self) -> bool:
        return bool(self._waiting)

    def expire(self, now: float) -> None:
        if self._waiting and now >= self._give_up_at:
            self._answer(None)

    def _answer(self, text: bytes | None) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer(text)
