"""What a living actor can be asked, and how it may be changed for being looked at; `Query` and `QueryReply` carry it.

    inspect   {}                                      state, links, statistics
    loglevel  {"level", "for_s"}                      lines from this level on, for a time or (0) until changed
    delay     {"ms", "for_s"}                         sleep so long before each turn takes its frames; 0 ms: no more
    watch     {"key_prefix", "rate", "for_s"}         note the keys of messages that touch this prefix
    watched   {"after"}                               what was noted behind this number
    metrics   {}                                      its figures for /metrics
    fail      {}                                      raise an exception in its loop, as a bug would
    exhaust   {}                                      use up the memory that its row allows it

What is switched on costs something, and what is off nothing: delay and watch take the place of a method.
"""

import mmap
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from actors.runtime.key_watch import KeyWatch
from etcdz.telemetry import logs

if TYPE_CHECKING:
    from actors.runtime.loop import Actor

DELAY_MS_MAX: Final = 5_000
"""A delay must stay below what the supervisor takes for a hang."""
FOR_S_MAX: Final = 24 * 3600.0
PIECE_BYTES: Final = 1 << 20
"""Of the memory that is used up: what is left is less, and has to do for the report."""
KEY_WATCH_S: Final = 10.0
"""A watch ends so long after the last look at it."""


class Chaos(RuntimeError):
    """The exception that was ordered."""


class Queries:
    """Of one actor."""

    def __init__(self, actor: "Actor") -> None:
        self._actor = actor
        self._verbs: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "inspect": self._inspect,
            "loglevel": self._loglevel,
            "delay": self._delay,
            "watch": self._watch,
            "watched": self._watched,
            "metrics": lambda args: self._actor.metrics(),
            "fail": self._fail,
            "exhaust": self._exhaust,
        }
        self._ends: dict[str, tuple[float, Callable[[], None]]] = {}
        """What was switched on for a time: name -> (when it ends, what ends it)."""
        self._key_watch: KeyWatch | None = None
        self._hoard: list[Any] = []

    def answer(self, verb: str, args: Mapping[str, Any]) -> tuple[bool, Any]:
        """(True, result) or (False, why not): who asks wrongly must not end the actor."""
        if verb not in self._verbs:
            return False, f"unknown question {verb!r}; known: {', '.join(self._verbs)}"
        try:
            return True, self._verbs[verb](args)
        except (ValueError, KeyError, TypeError) as error:
            return False, f"{verb}: {type(error).__name__}: {error}"

    def expire(self, now: float) -> None:
        """End what was switched on for a time that is over."""
        for name, (until, end) in list(self._ends.items()):
            if now >= until:
                del self._ends[name]
                end()

    def _for_a_time(self, name: str, seconds: float, end: Callable[[], None]) -> None:
        """0 s: for good."""
        self._ends.pop(name, None)
        if seconds:
            self._ends[name] = (time.monotonic() + min(seconds, FOR_S_MAX), end)

    # ---- verbs ----

    def _inspect(self, args: Mapping[str, Any]) -> dict[str, Any]:
        actor = self._actor
        now = time.monotonic()
        sent, taken = actor.links.frames_sent(), actor.mailbox.taken()
        links = [
            {
                "name": peer.name,
                "incarnation": peer.incarnation,
                "frames_sent": sent.get(peer.name, 0),
                "frames_taken": taken.get(peer.incarnation, 0),
            }
            for peer in actor.links.peers.values()
        ]
        return {
            "summary": actor.summary(),
            "details": actor.details(),
            "links": links,
            "statistics": actor.statistics.show(actor.mailbox, actor.links),
            "switched": {name: round(until - now, 3) for name, (until, _) in self._ends.items()},
        }

    def _loglevel(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """return the level before and now. NB: what ends is the level, not the change: two in a row end once."""
        before, level = logs.level(), str(args["level"])
        if level not in logs.LEVELS:
            raise ValueError(f"unknown level {level!r}; known: {', '.join(logs.LEVELS)}")
        logs.set_level(level)
        configured = str(self._actor.boot.config.get("log_level", "info"))
        self._for_a_time("loglevel", _seconds(args), lambda: logs.set_level(configured))
        return {"before": before, "level": level}

    def _delay(self, args: Mapping[str, Any]) -> dict[str, Any]:
        ms = float(args["ms"])
        if not 0 <= ms <= DELAY_MS_MAX:
            raise ValueError(f"ms must be between 0 and {DELAY_MS_MAX}")
        actor = self._actor
        actor.__dict__.pop("drain", None)
        if ms:
            plain = actor.drain

            def drain(now_ns: int) -> int:
                time.sleep(ms / 1000)
                return plain(time.monotonic_ns())

            actor.drain = drain  # type: ignore[method-assign]
        self._for_a_time("delay", _seconds(args) if ms else 0.0, lambda: actor.__dict__.pop("drain", None))
        return {"delay_ms": ms}

    def _fail(self, args: Mapping[str, Any]) -> Any:
        raise Chaos("an exception on order")

    def _exhaust(self, args: Mapping[str, Any]) -> Any:
        """raises MemoryError, which nobody catches. NB: maps that nobody writes to cost the machine nothing."""
        if resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
            raise ValueError("its memory has no limit; memory-max of --actor-rules sets one")
        with suppress(OSError):
            while True:
                self._hoard.append(mmap.mmap(-1, PIECE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        while True:
            self._hoard.append(bytearray(PIECE_BYTES))

    def _watch(self, args: Mapping[str, Any]) -> dict[str, Any]:
        watch = KeyWatch(str(args["key_prefix"]).encode(), int(args.get("rate", 100)))
        actor, self._key_watch = self._actor, watch
        actor.__dict__.pop("handle_frame", None)
        plain = actor.handle_frame

        def handle_frame(frame: bytes | memoryview, now_ns: int) -> None:
            watch.look(frame)
            plain(frame, now_ns)

        actor.handle_frame = handle_frame  # type: ignore[method-assign]
        self._for_a_time("watch", KEY_WATCH_S, self._end_watch)
        return {}

    def _watched(self, args: Mapping[str, Any]) -> dict[str, Any]:
        if self._key_watch is None:
            raise ValueError("nothing is watched")
        self._for_a_time("watch", KEY_WATCH_S, self._end_watch)
        return self._key_watch.noted(int(args.get("after", 0)))

    def _end_watch(self) -> None:
        self._key_watch = None
        self._actor.__dict__.pop("handle_frame", None)


def _seconds(args: Mapping[str, Any]) -> float:
    seconds = float(args.get("for_s", 0))
    if seconds < 0:
        raise ValueError("for_s must not be negative")
    return seconds
