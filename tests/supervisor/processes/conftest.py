"""A test process that adopts orphans, as the supervisor does, for as long as a test lasts."""

import ctypes
from collections.abc import Iterator

import pytest

from supervisor.processes import linux

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def subreaper() -> Iterator[None]:
    linux.become_subreaper()
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
