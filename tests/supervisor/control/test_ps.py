"""What ps says of actors in every state."""

from pathlib import Path

import pytest

from etcdz.ipc.messages import Heartbeat
from tests.supervisor.children.samples import start_incarnation
from tests.supervisor.fakes.member import FakeMember


@pytest.fixture
def member(tmp_path: Path) -> FakeMember:
    return FakeMember(tmp_path)


def test_every_process_of_a_name_is_shown_while_one_leaves(member: FakeMember) -> None:
    member.lifecycle.start_successor("server-1", 1.0)
    start_incarnation(member.lifecycle, "server-1", 104, 1.0)
    shown, _ = member.ask("ps")
    found = [(a["name"], a["incarnation"], a["state"]) for a in shown["actors"] if a["name"] == "server-1"]
    assert found == [("server-1", 104, "ready"), ("server-1", 102, "draining")]
    assert len({actor["slot"] for actor in shown["actors"] if actor["name"].startswith("server")}) == 3
    assert (shown["zygote"]["pid"], shown["zygote"]["restarts"]) == (1, 0)


def test_a_heartbeat_is_shown_only_of_the_process_that_sent_it(member: FakeMember) -> None:
    member.observations.on_heartbeat(Heartbeat("log", 101, 5, 0, 0, 0, {"term": 3}, {}), 1.0)
    actor = next(actor for actor in member.ask("ps")[0]["actors"] if actor["name"] == "log")
    assert actor["heartbeat"]["summary"] == {"term": 3}
    log = member.lifecycle.children["log"]
    member.observations.on_exit(log, -9, 2.0)
    member.lifecycle.on_exit(101, -9, 2.0)
    actor = next(actor for actor in member.ask("ps")[0]["actors"] if actor["name"] == "log")
    assert (actor["heartbeat"], actor["pid"], actor["last_exit"]["status"]) == (None, None, -9)


def test_ping_and_tree_tell_what_runs(member: FakeMember) -> None:
    assert (member.ask("ping")[0]["name"], member.ask("ping")[0]["started"]) == ("default", True)
    rows, _ = member.ask("tree")
    assert [(row["name"], row["count"]) for row in rows] == [("store", 1), ("log", 1), ("server", 2)]
    assert rows[0]["intensity"] == {"restarts": 10, "seconds": 5.0}
