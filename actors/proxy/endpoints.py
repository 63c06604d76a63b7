"""Which members a proxy asks: all that it knows of, but for those that have failed a moment ago."""

import random
from collections.abc import Callable, Sequence
from typing import Any


class Endpoint:
    """One client URL. fails_until: it is not asked before, on the clock of now"""

    __slots__ = ("fails_until", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.fails_until = 0.0


class Endpoints:
    """All of one proxy."""

    def __init__(
        self, failure_wait_s: float, log: Any, shuffle: Callable[[list[Endpoint]], None] = random.shuffle
    ) -> None:
        self._failure_wait_s = failure_wait_s
        self._log = log
        self._shuffle = shuffle
        self._all: list[Endpoint] = []

    def learn(self, urls: Sequence[str]) -> None:
        """Who is there now, in any order; what has failed is forgotten, as by etcd."""
        if urls and not self._all:
            self._log.info("endpoints found", endpoints=list(urls))
        self._all = [Endpoint(url) for url in urls]
        self._shuffle(self._all)

    def available(self, now: float) -> list[Endpoint]:
        """In the order in which they are asked."""
        return [endpoint for endpoint in self._all if endpoint.fails_until <= now]

    def on_failure(self, endpoint: Endpoint, now: float) -> None:
        """It gave no answer."""
        if endpoint.fails_until <= now:
            endpoint.fails_until = now + self._failure_wait_s
            self._log.info("marked endpoint unavailable", endpoint=endpoint.url)
