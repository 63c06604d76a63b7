"""A tap: what looks on while an actor's loop works, or holds it up. The loop calls it; mostly there is none.

An actor's taps are a tuple that the loop looks at once a turn: an empty one costs some 20 ns. That beat replacing
methods of the actor, which is free while nothing is switched on, and hides from a reader of the loop what it calls.
"""

from collections.abc import Sequence


class Tap:
    """Does nothing; a subclass overrides what it needs. name: an actor has one tap of a name."""

    name = ""

    def before_take(self) -> None:
        """A turn begins, and takes what lies in the mailbox after this."""

    def on_frames(self, frames: Sequence[bytes | memoryview]) -> None:
        """A turn has taken these, and handles them after this. Frames are not kept. It raises nothing."""


def with_tap(taps: tuple[Tap, ...], tap: Tap) -> tuple[Tap, ...]:
    """taps and tap, in place of one of the same name."""
    return (*without_tap(taps, tap.name), tap)


def without_tap(taps: tuple[Tap, ...], name: str) -> tuple[Tap, ...]:
    """taps but that of this name, if there is one."""
    return tuple(tap for tap in taps if tap.name != name)
