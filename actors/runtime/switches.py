"""What is switched on in an actor for a time: a log level, a tap. It ends by itself if it is not ended before."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

FOR_S_MAX: Final = 24 * 3600.0


class Switches:
    """Of one actor, by name of what is switched on."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[float, Callable[[], None]]] = {}
        """When it ends, on the monotonic clock, and what ends it."""

    def set(self, name: str, for_s: float, end: Callable[[], None]) -> None:
        """end() is called after for_s seconds, a day at most; 0 s: never. An earlier end of this name is called off."""
        self._ends.pop(name, None)
        if for_s:
            self._ends[name] = (time.monotonic() + min(for_s, FOR_S_MAX), end)

    def expire(self, now: float) -> None:
        """End what was switched on for a time that is over. now: on the monotonic clock"""
        for name, (until, end) in list(self._ends.items()):
            if now >= until:
                del self._ends[name]
                end()

    def show(self, now: float) -> dict[str, float]:
        """Seconds that are left, by name."""
        return {name: round(until - now, 3) for name, (until, _) in self._ends.items()}


def seconds_of(args: Mapping[str, Any]) -> float:
    """The argument "for_s" of a query, 0 if it is not given. raises ValueError"""
    seconds = float(args.get("for_s", 0))
    if seconds < 0:
        raise ValueError("for_s must not be negative")
    return seconds
