"""Where the random choices of tests come from, if no flag names a seed: from --randomly-seed, which repeats a run."""

import random

import pytest


def seed_of(config: pytest.Config, flag: str) -> int:
    """The flag's value, else a number that is the run's: the same in all its processes."""
    given = config.getoption(flag, default=None)
    if given is None:
        given = config.getoption("randomly_seed", default=None)
    return int(given) if given is not None else random.SystemRandom().randrange(1 << 32)
