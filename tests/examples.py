"""How hypothesis draws examples: no test fails because the machine is slow, and --fast draws fewer of them."""

from typing import Final

from hypothesis import HealthCheck, settings

_USUAL: Final = 100
"""Of a test that says nothing else."""
_FAST: Final = 20

settings.register_profile("usual", max_examples=_USUAL, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("usual"), max_examples=_FAST)


def choose_profile(is_fast: bool) -> None:
    """Of the tests that are imported from now on."""
    settings.load_profile("fast" if is_fast else "usual")


def examples(count: int) -> int:
    """For a test that wants more or fewer than usual."""
    return max(1, count * settings.default.max_examples // _USUAL)
