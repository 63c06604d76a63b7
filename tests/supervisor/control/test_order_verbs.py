"""`etcdz actors` and its acting verbs on a real member of fake actors: dry runs, refusals, and what is told of them."""

import json
from typing import Any

import pytest

from etcdz.cli.actors import main as actors
from tests.supervisor.conftest import NAMES, Start
from tests.supervisor.harness import FakeMember

pytestmark = pytest.mark.process

TWO_SERVERS = {"count": 2, "numbered": True, "overlap": True, "listen_sockets": True}
EVERYBODY = ("store", "log", "server-1", "server-2")


def run(capsys: pytest.CaptureFixture[str], member: FakeMember, *words: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr)"""
    status = actors([*words, "--data-dir", str(member.data_dir)])
    return status, *capsys.readouterr()


def pids(capsys: pytest.CaptureFixture[str], member: FakeMember) -> dict[str, Any]:
    return {spec["name"]: (spec["pid"], spec["state"]) for spec in json.loads(run(capsys, member, "ps", "--json")[1])}


PLANS: dict[tuple[str, ...], str] = {
    ("restart", "log"): "would stop log (pid {log}) and start it again\n",
    ("restart", "log", "--graceful"): "would stop log (pid {log}) and start it again\n",
    ("restart", "log", "--upgrade"): "would stop log (pid {log}) and start it again\n",
    (
        "restart",
        "server-1",
        "--graceful",
    ): "would start a successor of server-1 (pid {server1}), then let that one drain\n",
    ("kill", "log"): "would send signal 9 to log (pid {log})\n",
    ("kill", "-TERM", "log"): "would send signal 15 to log (pid {log})\n",
    ("stop", "server-1"): "would stop server-1 (pid {server1}), until it is started again\n",
    ("scale", "server=3"): "would start server-3\n",
    ("scale", "server=1"): "would let server-2 (pid {server2}) drain, then stop it\n",
}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    member = start(server=TWO_SERVERS)
    member.wait_ready(*EVERYBODY)
    before = pids(capsys, member)
    known = {name.replace("-", ""): pid for name, (pid, _) in before.items()}
    for words, plan in PLANS.items():
        assert run(capsys, member, *words, "--dry-run") == (0, plan.format(**known), "")
        told = json.loads(run(capsys, member, *words, "--dry-run", "--json")[1])
        assert [f"would {step}" for step in told["plan"]] == plan.format(**known).splitlines()
        assert (told["done"], told["actors"]) == (False, [])
    assert pids(capsys, member) == before


REFUSALS: dict[tuple[str, ...], tuple[int, str]] = {
    ("restart", "nobody"): (1, "no actor nobody; there are store, log, server"),
    ("stop", "log"): (1, "without log the member would serve no client; --force does it all the same"),
    ("scale", "log=2"): (1, "no actors that can be scaled are called log"),
    ("scale", "log"): (1, "log is not of the form ROW=N, as in listener=4"),
    ("kill", "-NOPE", "log"): (1, "there is no signal NOPE"),
    ("drain", "log"): (1, "log holds no connections of clients"),
    ("start", "log"): (1, "log is ready already"),
    ("restart",): (2, "the following arguments are required"),
}


def test_what_cannot_be_done_is_refused_with_the_reason(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    member = start()
    member.wait_ready(*NAMES)
    before = pids(capsys, member)
    for words, (status, why) in REFUSALS.items():
        found, out, error = run(capsys, member, *words)
        assert (found, out) == (status, "") and why in error, error
    assert pids(capsys, member) == before


def test_what_has_happened_can_be_read_in_order(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    member = start()
    member.wait_ready(*NAMES)
    after = member.mark()
    member.kill("log")
    member.wait_ready("log", after=after)
    assert run(capsys, member, "restart", "store")[0] == 0
    events = [json.loads(line) for line in run(capsys, member, "events", "--json")[1].splitlines()]
    told = [(event["child"], event["msg"]) for event in events]
    assert told == [
        *((name, "actor is ready") for name in NAMES),
        ("log", "actor has ended"),
        ("log", "actor is ready"),
        ("store", "order"),
        ("store", "actor has stopped"),
        ("store", "actor is ready"),
    ]
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    lines = run(capsys, member, "events")[1].splitlines()
    assert "was killed by signal 9" in lines[3] and len(lines) == len(events)
