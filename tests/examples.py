"""How many examples hypothesis draws: fewer with --fast, whose runs are many."""

from typing import Final

from hypothesis import settings

_USUAL: Final = 100
"""Of a test that says nothing else."""
_FAST: Final = 20

settings.register_profile("fast", max_examples=_FAST)


def draw_fewer() -> None:
    """From now on, for tests that are imported later."""
    settings.load_profile("fast")


def examples(count: int) -> int:
    """For a test that wants more or fewer than usual."""
    return max(1, count * settings.default.max_examples // _USUAL)
