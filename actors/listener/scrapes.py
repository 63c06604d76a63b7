"""A listener's scrapes of /metrics: the supervisor gathers the figures of all actors, once for all that wait.

Figures are counted, or added up, when they are asked for; between two scrapes they cost nothing.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from actors.runtime.link import Links
from etcdz.ipc.messages import Metrics, QueryMetrics

TIMEOUT_S: Final = 5.0
"""After so long there is no answer. The supervisor answers without those actors that take longer than a second."""

Answer = Callable[[bytes | None], None]
"""Called with the text of /metrics, or None: the supervisor has not answered."""


class Scrapes:
    """The scrapes of one listener."""

    def __init__(self, links: Links, incarnation: int) -> None:
        self._links = links
        self._incarnation = incarnation
        self._seq = 0
        self._waiting: list[Answer] = []
        self._ended = {"200": 0, "500": 0, "503": 0}
        self._give_up_at = 0.0

    def begin(self, answer: Answer) -> None:
        """Asks for the figures. One that comes while others wait gets the same text as they.

        answer  called later, once
        """
        if not self._waiting:
            self._seq += 1
            self._give_up_at = time.monotonic() + TIMEOUT_S
            self._links.tell_supervisor(QueryMetrics(self._incarnation, self._seq))
        self._waiting.append(answer)

    def on_metrics(self, message: Metrics) -> None:
        """The supervisor's text; one that comes after its scrape has ended is dropped."""
        if message.seq == self._seq:
            self._answer(message.text)

    @property
    def under_way(self) -> bool:
        """Whether a scrape waits for its answer."""
        return bool(self._waiting)

    def expire(self, now: float) -> None:
        """Gives up what has waited for TIMEOUT_S. now: on the monotonic clock"""
        if self._waiting and now >= self._give_up_at:
            self._answer(None)

    def metrics(self) -> dict[str, Any]:
        """Of the scrapes themselves, by the names in etcdz.telemetry.families. The codes are those that etcd has."""
        ended = [([code], count) for code, count in self._ended.items()]
        return {"scrapes": ended, "scrapes_under_way": len(self._waiting)}

    def _answer(self, text: bytes | None) -> None:
        waiting, self._waiting = self._waiting, []
        self._ended["503" if text is None else "200"] += len(waiting)
        for answer in waiting:
            answer(text)
