"""Work that can be left off and taken up again: a generator that yields after each step of about a quarter of a
millisecond. What yields nothing more has its result as the generator's return value.

A read is worked off so between the backend's turns (actors/backend/long_reads.py). What is part of an entry is run to
its end at once, and only draws breath between the steps.
"""

from collections.abc import Callable, Generator
from typing import Final, TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]

STEP_KEYS: Final = 512
"""Keys that one step looks up in the index."""
STEP_RECORDS: Final = 64
"""Records that one step reads."""
STEP_ROWS: Final = 256
"""Records that one step reads in the order of the store."""
STEP_BYTES: Final = 256 << 10
"""The same, for large ones."""


def finish(steps: Steps[Result], breathe: Callable[[], None] | None = None) -> Result:
    """Runs to the end. breathe: called after each step"""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if breathe is not None:
            breathe()
