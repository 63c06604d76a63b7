"""Log lines that tools wait for have etcd's words."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from etcdz import ETCD_VERSION
from etcdz.config import MemberConfig
from supervisor.runtime import announcements

Line = tuple[str, str, dict[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    found: list[Line] = []

    def writer(level: str) -> Callable[..., None]:
        return lambda msg, **fields: found.append((level, msg, fields))

    log = SimpleNamespace(**{level: writer(level) for level in ("info", "warn", "fatal")})
    monkeypatch.setattr(announcements, "log", log)
    return found


def test_a_start_tells_versions_and_the_ports_that_were_really_taken(lines: list[Line]) -> None:
    announcements.starting(MemberConfig(name="m1"), ("http://127.0.0.1:4710",), ("http://127.0.0.1:4711",))
    ((_, msg, fields),) = lines
    assert (msg, fields["name"], fields["etcd_version"]) == ("starting an etcd server", "m1", ETCD_VERSION)
    assert fields["listen_peer_urls"] == ["http://127.0.0.1:4710"]
    assert fields["listen_client_urls"] == ["http://127.0.0.1:4711"]


def test_an_end_is_told_at_its_beginning_and_when_nothing_is_left(lines: list[Line]) -> None:
    settings = MemberConfig(name="m1").to_dict()
    announcements.closing(settings)
    announcements.closed(settings)
    assert [msg for _, msg, _ in lines] == ["closing etcd server", "closed etcd server"]
    assert lines[0][2] == lines[1][2] and lines[0][2]["name"] == "m1"


def test_why_there_is_no_member_is_told_twice_as_in_etcd(lines: list[Line]) -> None:
    announcements.refused("address already in use")
    assert [(level, fields["error"]) for level, _, fields in lines] == [
        ("warn", "address already in use"),
        ("fatal", "address already in use"),
    ]
