"""What has happened to the actors lately, for `etcdz actors events`: the lines of the log, kept and followed."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

KEPT: Final = 500

Listener = Callable[[dict[str, Any]], bool]
"""listener(event) -> whether it wants more."""


class Events:
    """The last KEPT events, and the listeners that follow them."""

    def __init__(self) -> None:
        self.kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._listeners: list[Listener] = []

    def add(self, level: str, msg: str, fields: Mapping[str, Any]) -> None:
        """fields: child, incarnation and what else there is to say."""
        event = {"time": time.time(), "level": level, "msg": msg, **fields}
        self.kept.append(event)
        self._listeners = [listener for listener in self._listeners if listener(event)]

    def follow(self, listener: Listener) -> None:
        """Give it what is kept, and from now on all that comes, until it wants no more."""
        if all(listener(event) for event in list(self.kept)):
            self._listeners.append(listener)
