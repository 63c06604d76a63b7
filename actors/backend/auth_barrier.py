"""Answers to who has changed users, roles or tokens: they leave when no listener acts by what was before.

A listener judges by itself what touches no key (actors/listener/auth_gate.py), and a snapshot is all keys. So each says
what it has taken (AuthHeard), and is waited for, however long that takes: one that hangs is killed by the supervisor.
A listener of earlier code says nothing, and is not waited for after SILENT_S.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from actors.runtime.link import Links
from etcdz.ipc.messages import AuthHeard

SILENT_S: Final = 1.0


class _Held(NamedTuple):
    """told: index of what is to be taken. missing: incarnations of listeners that have not. since_s: monotonic"""

    told: int
    frames: list[tuple[int, bytes]]
    missing: set[int]
    since_s: float


class AuthBarrier:
    """next_at: when `expire` has something to do, on the monotonic clock; None: never"""

    def __init__(self, links: Links, clock: Callable[[], float] = time.monotonic) -> None:
        self._links = links
        self._clock = clock
        self._heard: dict[int, int] = {}
        """Incarnation of a listener -> the index of what it has taken."""
        self._held: list[_Held] = []
        self._told = 0
        """Index of the last change that they were told."""
        self.next_at: float | None = None

    def note_told(self, index: int) -> None:
        """All listeners have been sent a change that the entry of this index has made."""
        self._told = index

    def hold(self, frames: Iterable[tuple[int, bytes]]) -> None:
        """Sends frames (a listener's slot, answers for it) when all listeners have taken what they were told. One that
        is alone has heard of a change before any answer."""
        alive = {peer.incarnation for peer in self._links.of_kind("listener")}
        missing = {one for one in alive if self._heard.get(one, -1) < self._told} if len(alive) > 1 else set()
        held = _Held(self._told, list(frames), missing, self._clock())
        if missing:
            self._held.append(held)
            self._note_silent()
        else:
            self._send(held)

    def on_heard(self, message: AuthHeard) -> None:
        self._heard[message.incarnation] = max(message.applied_index, self._heard.get(message.incarnation, -1))
        for held in self._held:
            if held.told <= message.applied_index:
                held.missing.discard(message.incarnation)
        self._release()

    def forget(self, incarnation: int) -> None:
        """This listener is gone, and its clients' connections with it."""
        self._heard.pop(incarnation, None)
        for held in self._held:
            held.missing.discard(incarnation)
        self._release()

    def expire(self, now: float) -> None:
        """now: on the monotonic clock"""
        for held in self._held:
            if now - held.since_s >= SILENT_S:
                held.missing.intersection_update(self._heard)
        self._release()

    def _release(self) -> None:
        """NB: the file of answers of a turn leaves whole; those of other turns need no order."""
        for held in [each for each in self._held if not each.missing]:
            self._held.remove(held)
            self._send(held)
        self._note_silent()

    def _send(self, held: _Held) -> None:
        for slot, frame in held.frames:
            self._links.send_frame(self._links.listener(slot), frame)

    def _note_silent(self) -> None:
        silent = [held.since_s for held in self._held if held.missing - self._heard.keys()]
        self.next_at = min(silent) + SILENT_S if silent else None
