"""The members of tests/process, for damage to their files."""

from tests.process.conftest import is_long, make_member, make_trial, needs_actors, seed

__all__ = ["is_long", "make_member", "make_trial", "needs_actors", "seed"]
