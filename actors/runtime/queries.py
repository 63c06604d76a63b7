"""What a living actor can be asked, and how it may be changed for being looked at; `Query` and `QueryReply` carry it.

    inspect   {}                                      state, links, statistics
    loglevel  {"level", "for_s"}                      lines from this level on, for a time or (0) until changed
    watch     {"key_prefix", "rate", "for_s"}         note the keys of messages that touch this prefix
    watched   {"after"}                               what was noted behind this number
    metrics   {}                                      its figures for /metrics

and the verbs of actors/runtime/profiling.py and chaos.py. This file does not know the loop, which asks it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from actors.runtime.chaos import Chaos
from actors.runtime.key_watch import KeyWatch
from actors.runtime.link import Links
from actors.runtime.mailbox import Mailbox
from actors.runtime.profiling import Profiling
from actors.runtime.statistics import Statistics
from actors.runtime.switches import Switches, seconds_of
from actors.runtime.tap import Tap, with_tap, without_tap
from etcdz.ipc.boot import Boot
from etcdz.telemetry import logs

KEY_WATCH_S: Final = 10.0
"""A watch ends so long after the last look at it."""

Verb = Callable[[Mapping[str, Any]], Any]


class Host(Protocol):
    """What queries need of their actor."""

    boot: Boot
    mailbox: Mailbox
    links: Links
    statistics: Statistics
    taps: tuple[Tap, ...]

    def summary(self) -> dict[str, Any]: ...
    def details(self) -> dict[str, Any]: ...
    def metrics(self) -> dict[str, Any]: ...


class KeyTap(Tap):
    """Shows a key watch all frames."""

    name = "watch"

    def __init__(self, watch: KeyWatch) -> None:
        self.watch = watch

    def on_frames(self, frames: Sequence[bytes | memoryview]) -> None:
        for frame in frames:
            self.watch.look(frame)


class Queries:
    """Of one actor."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._switches = Switches()
        self._key_watch: KeyWatch | None = None
        self._verbs: dict[str, Verb] = {
            "inspect": self._inspect,
            "loglevel": self._loglevel,
            "watch": self._watch,
            "watched": self._watched,
            "metrics": lambda args: self._host.metrics(),
            **Profiling(self._switches).verbs,
            **Chaos(host, self._switches).verbs,
        }

    def answer(self, verb: str, args: Mapping[str, Any]) -> tuple[bool, Any]:
        """(True, result) or (False, why not): a wrong question must not end the actor. raises what was ordered only"""
        if verb not in self._verbs:
            return False, f"unknown question {verb!r}; known: {', '.join(self._verbs)}"
        try:
            return True, self._verbs[verb](args)
        except (ValueError, KeyError, TypeError) as error:
            return False, f"{verb}: {type(error).__name__}: {error}"

    def expire(self, now: float) -> None:
        """End what was switched on for a time that is over. now: on the monotonic clock"""
        self._switches.expire(now)

    # ---- verbs ----

    def _inspect(self, args: Mapping[str, Any]) -> dict[str, Any]:
        host = self._host
        sent, taken = host.links.frames_sent(), host.mailbox.taken()
        links = [
            {
                "name": peer.name,
                "incarnation": peer.incarnation,
                "frames_sent": sent.get(peer.name, 0),
                "frames_taken": taken.get(peer.incarnation, 0),
            }
            for peer in host.links.peers.values()
        ]
        return {
            "summary": host.summary(),
            "details": host.details(),
            "links": links,
            "statistics": host.statistics.show(host.mailbox, host.links),
            "switched": self._switches.show(time.monotonic()),
        }

    def _loglevel(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """return the level before and now. NB: what ends is the level, not the change: two in a row end once."""
        before, level, seconds = logs.level(), str(args["level"]), seconds_of(args)
        if level not in logs.LEVELS:
            raise ValueError(f"unknown level {level!r}; known: {', '.join(logs.LEVELS)}")
        logs.set_level(level)
        configured = str(self._host.boot.config.get("log_level", "info"))
        self._switches.set("loglevel", seconds, lambda: logs.set_level(configured))
        return {"before": before, "level": level}

    def _watch(self, args: Mapping[str, Any]) -> dict[str, Any]:
        self._key_watch = KeyWatch(str(args["key_prefix"]).encode(), int(args.get("rate", 100)))
        self._host.taps = with_tap(self._host.taps, KeyTap(self._key_watch))
        self._switches.set("watch", KEY_WATCH_S, self._end_watch)
        return {}

    def _watched(self, args: Mapping[str, Any]) -> dict[str, Any]:
        if self._key_watch is None:
            raise ValueError("nothing is watched")
        self._switches.set("watch", KEY_WATCH_S, self._end_watch)
        return self._key_watch.noted(int(args.get("after", 0)))

    def _end_watch(self) -> None:
        self._key_watch = None
        self._host.taps = without_tap(self._host.taps, KeyTap.name)
