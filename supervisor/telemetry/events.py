"""What has happened to the actors lately, for `etcdz actors events`: the lines of the log, kept and followed."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from supervisor.control.socket import Request

KEPT: Final = 500


class Events:
    """The last KEPT events, and who follows them."""

    def __init__(self) -> None:
        self.kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._followers: list[Request] = []

    def add(self, level: str, msg: str, fields: Mapping[str, Any]) -> None:
        """fields: child, incarnation and what else there is to say. A follower that is gone is forgotten."""
        event = {"time": time.time(), "level": level, "msg": msg, **fields}
        self.kept.append(event)
        self._followers = [request for request in self._followers if request.piece(event)]

    def follow(self, request: Request) -> None:
        """What was kept, and from now on all that comes."""
        if all(request.piece(event) for event in list(self.kept)):
            self._followers.append(request)
