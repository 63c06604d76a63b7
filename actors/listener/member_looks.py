"""What clients see of the whole member: asked of the supervisor, which knows all actors (`Look`)."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from actors.runtime.link import Links
from etcdz.ipc.messages import Look, Looked

TIMEOUT_S: Final = 5.0
"""After so long beside the time that a question takes by its nature, there is no answer."""
OPEN_MAX: Final = 100
"""Questions that wait at one time; more are refused."""

Then = Callable[[bool, Any], None]
"""then(ok, result or why not); called once."""


class _Open(NamedTuple):
    until: float
    then: Then


class MemberLooks:
    """The questions of one listener's clients."""

    def __init__(self, links: Links, incarnation: int) -> None:
        self._links = links
        self._incarnation = incarnation
        self._seq = 0
        self._open: dict[int, _Open] = {}

    def begin(self, verb: str, args: Mapping[str, Any], then: Then, takes_s: float = 0.0) -> None:
        """verb, args: of supervisor/control/verbs.py, LOOKS. takes_s: how long it takes by its nature"""
        if len(self._open) >= OPEN_MAX:
            then(False, "too many questions about this member at once")
            return
        self._seq += 1
        self._open[self._seq] = _Open(time.monotonic() + takes_s + TIMEOUT_S, then)
        self._links.tell_supervisor(Look(self._incarnation, self._seq, verb, dict(args)))

    def on_looked(self, message: Looked) -> None:
        """The supervisor's answer; one that is not waited for any more is dropped."""
        waiting = self._open.pop(message.seq, None)
        if waiting is not None:
            waiting.then(message.ok, json.loads(message.result))

    @property
    def under_way(self) -> bool:
        """Whether any question waits for its answer."""
        return bool(self._open)

    def expire(self, now: float) -> None:
        """Gives up what has waited for too long. now: on the monotonic clock"""
        for seq, waiting in list(self._open.items()):
            if now >= waiting.until:
                del self._open[seq]
                waiting.then(False, "no answer from the supervisor")
