"""Memory of the member outlives the actors that it is handed to, and ends with the member."""

import os
from pathlib import Path

import pytest

from supervisor.runtime.member_memory import MemberMemory
from tests.descriptors import open_links


def test_each_incarnation_finds_what_the_one_before_has_left() -> None:
    memory = MemberMemory()
    Path(memory.path("backend")).write_bytes(b"left")
    assert Path(memory.path("backend")).read_bytes() == b"left"
    assert Path(memory.path("wal")).read_bytes() == b"", "not another's"
    memory.close()


def test_closing_leaves_no_descriptor_behind() -> None:
    memory = MemberMemory()
    for name in ("one", "other", "one"):
        memory.path(name)
    assert sorted(memories()) == ["/memfd:etcdz:one:kept (deleted)", "/memfd:etcdz:other:kept (deleted)"]
    memory.close()
    assert memories() == []


def memories() -> list[str]:
    """Of these names, that are open."""
    return [link for link in open_links() if ":kept" in link and ("one" in link or "other" in link)]


def test_without_memory_an_actor_runs_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def memfd_create(name: str, flags: int) -> int:
        raise OSError("no memory")

    monkeypatch.setattr(os, "memfd_create", memfd_create)
    assert MemberMemory().path("backend") == ""
