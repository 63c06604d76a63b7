"""/debug/vars and /debug/pprof of a real member, and that --log-level reaches every actor."""

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(120), pytest.mark.usefixtures("needs_actors")]


def test_a_developer_sees_variables_stacks_and_a_profile(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--log-level=debug", "--listeners=1")

    def ask(path: str) -> bytes:
        with urllib.request.urlopen(f"{trial.member.client_url}{path}", timeout=30) as answer:
            return answer.read()  # type: ignore[no-any-return]

    actors = trial.actors()
    assert {name: actor.get("log_level") for name, actor in actors.items() if "log_level" in actor} == {
        name: "debug" for name in actors if name not in ("supervisor", "zygote")
    }
    shown = json.loads(ask("/debug/vars"))
    while shown["raft.status"]["lead"] == "0":  # as of raft's last heartbeat, which may be of before the election
        shown = json.loads(ask("/debug/vars"))
    assert "--log-level=debug" in shown["cmdline"] and shown["memstats"]["Sys"] > 50 << 20
    assert shown["raft.status"]["raftState"] == "StateLeader"
    stacks = ask("/debug/pprof/goroutine?debug=2").decode()
    assert all(f"{name} pid {actor['pid']} " in stacks for name, actor in actors.items() if "slot" in actor)
    assert stacks.count("most recent call first") >= len(actors) - 2
    profile = gzip.decompress(ask("/debug/pprof/profile?seconds=0.3&actor=raft&hz=1000"))
    assert b"nanoseconds" in profile
    with pytest.raises(urllib.error.HTTPError, match="503"):
        ask("/debug/pprof/profile?seconds=1&actor=nobody")
