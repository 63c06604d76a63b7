"""One process at a time makes room for a new one, and only if that can be ordered."""

import os
from pathlib import Path
from typing import Any

from supervisor.children.child import AskToStop
from supervisor.runtime.recycling import recycle_one
from tests.supervisor.fakes.member import FakeMember


def member_with(tmp_path: Path, **fields: Any) -> Any:
    return FakeMember(tmp_path, **fields)


def test_the_first_that_is_too_old_is_restarted_in_order(tmp_path: Path) -> None:
    member = member_with(tmp_path, max_age_s=10.0)
    member.lifecycle.children["log"].max_age_s = 10.0
    recycle_one(member, 9.0)
    assert member.done == []
    recycle_one(member, 11.0)
    assert member.done == [AskToStop("log", 101, 5.0)]
    recycle_one(member, 12.0)
    assert len(member.done) == 1, "it is under way"


def test_memory_is_measured_where_it_is_limited(tmp_path: Path) -> None:
    member = member_with(tmp_path, max_rss_bytes=1, max_rss_after_s=1.0)
    member.lifecycle.children["log"].pid = os.getpid()
    recycle_one(member, 0.5)
    assert member.done == []
    recycle_one(member, 2.0)
    assert member.done == [AskToStop("log", 101, 5.0)]


def test_nothing_is_recycled_while_the_member_stops(tmp_path: Path) -> None:
    member = member_with(tmp_path, max_age_s=10.0)
    member.lifecycle.children["log"].max_age_s = 10.0
    member.lifecycle.stop(5.0)
    recycle_one(member, 20.0)
    assert member.done == []
