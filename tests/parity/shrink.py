"""The few calls of a long conversation that still show a difference.

hypothesis shrinks what it has drawn itself; a conversation of thousands of calls over restarts is not of that kind.
Stretches of calls are left out as long as there is still a difference, any difference: first halves, then quarters,
down to single calls.
"""

from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def shrink(items: list[_T], fails: Callable[[list[_T]], bool], tries: int) -> list[_T]:
    """A part of items, in their order, for which `fails` is true; the whole if no smaller one was found.

    items   fails(items) is true
    tries   how often `fails` may be asked
    """
    size = (len(items) + 1) // 2
    while size and tries:
        at = 0
        while at < len(items) and tries:
            fewer = items[:at] + items[at + size :]
            tries -= 1
            if fails(fewer):
                items = fewer
            else:
                at += size
        size //= 2
    return items
