"""Fixtures that the tests of killed commands share with those of killed members."""

from tests.process.conftest import is_long, seed

__all__ = ["is_long", "seed"]
