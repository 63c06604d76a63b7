"""The members of tests/process, for damage to their files."""

from tests.process.conftest import is_long, make_member, make_trial, seed

__all__ = ["is_long", "make_member", "make_trial", "seed"]
