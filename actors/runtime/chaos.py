"""Verbs of queries that do an actor harm, so that one sees how the others bear it.

delay     {"ms", "for_s"}     sleep so long before each turn takes its frames; 0 ms: no more
fail      {}                  raise an exception in its loop, as a bug would
exhaust   {}                  use up the memory that its row allows it
"""

import mmap
import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from actors.runtime.switches import Switches, seconds_of
from actors.runtime.tap import Tap, with_tap, without_tap

DELAY_MS_MAX: Final = 5_000
"""A delay must stay below what the supervisor takes for a hang."""
PIECE_BYTES: Final = 1 << 20
"""Of the memory that is used up: what is left is less, and has to do for the report."""


class ChaosOrdered(RuntimeError):
    """The exception that was ordered."""


class Delay(Tap):
    """Sleeps before each turn."""

    name = "delay"

    def __init__(self, ms: float) -> None:
        self._s = ms / 1000

    def before_take(self) -> None:
        time.sleep(self._s)


class Host(Protocol):
    """What chaos needs of its actor."""

    taps: tuple[Tap, ...]


class Chaos:
    """Of one actor. verbs: by name"""

    def __init__(self, host: Host, switches: Switches) -> None:
        self._host = host
        self._switches = switches
        self._hoard: list[Any] = []
        self.verbs = {"delay": self._delay, "fail": self._fail, "exhaust": self._exhaust}

    def _delay(self, args: Mapping[str, Any]) -> dict[str, Any]:
        ms = float(args["ms"])
        if not 0 <= ms <= DELAY_MS_MAX:
            raise ValueError(f"ms must be between 0 and {DELAY_MS_MAX}")
        seconds = seconds_of(args) if ms else 0.0
        self._end_delay()
        if ms:
            self._host.taps = with_tap(self._host.taps, Delay(ms))
        self._switches.set("delay", seconds, self._end_delay)
        return {"delay_ms": ms}

    def _end_delay(self) -> None:
        self._host.taps = without_tap(self._host.taps, Delay.name)

    def _fail(self, args: Mapping[str, Any]) -> Any:
        raise ChaosOrdered("an exception on order")

    def _exhaust(self, args: Mapping[str, Any]) -> Any:
        """raises MemoryError, which nothing catches. NB: maps that are not written to cost the machine nothing."""
        if resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
            raise ValueError("its memory has no limit; memory-max of --actor-rules sets one")
        with suppress(OSError):
            while True:
                self._hoard.append(mmap.mmap(-1, PIECE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        while True:
            self._hoard.append(bytearray(PIECE_BYTES))
