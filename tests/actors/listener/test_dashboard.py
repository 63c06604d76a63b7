"""The dashboard: a page that runs nothing but what is in it, and one look at the member for all who ask."""

import base64
import hashlib
import json
import re
from types import SimpleNamespace
from typing import Any

from actors.listener.dashboard import _FILE, FORGOTTEN_S, Dashboard, policy_of
from etcdz.cluster.membership import Membership

PS: dict[str, Any] = {"supervisor": {"name": "supervisor"}, "actors": []}


class Asked:
    """An exchange that keeps its answer."""

    def __init__(self) -> None:
        self.common_headers: tuple[Any, ...] = ((b"access-control-allow-origin", b"*"),)
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    def answer(self, status: int, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
        assert not self.status, "one answer"
        self.status, self.body = status, body
        self.headers = {b"content-type": kind, **dict([*self.common_headers, *headers])}

    def flush(self) -> None:
        pass


class World:
    """A dashboard whose supervisor and backend answer when the test says so."""

    def __init__(self) -> None:
        self.looks: list[tuple[str, Any]] = []
        self.reads: list[Any] = []
        looks: Any = SimpleNamespace(begin=lambda verb, args, then: self.looks.append((verb, then)))
        calls: Any = SimpleNamespace(
            begin_health=lambda caller, stream_id, linearizable: self.reads.append(caller),
            members=SimpleNamespace(known=Membership(9, 1)),
        )
        self.dashboard = Dashboard(calls, looks, "a")
        self.routes = {route.path: route.serve for route in self.dashboard.routes()}

    def ask(self, path: bytes = b"/dashboard/state") -> Any:
        exchange: Any = Asked()
        self.routes[path](exchange)
        return exchange

    def answer(self, ok: bool = True, alarms: bytes = b"") -> None:
        looks, self.looks = self.looks, []
        for verb, then in looks:
            then(ok, {"ps": PS, "events": []}[verb] if ok else "no answer from the supervisor")
        reads, self.reads = self.reads, []
        for caller in reads:
            caller.reply(0, 0, alarms)


def test_the_page_may_run_what_is_in_it_and_nothing_else() -> None:
    answer = World().ask(b"/dashboard")
    policy = answer.headers[b"content-security-policy"].decode()
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert b"access-control-allow-origin" not in answer.headers, "no other site reads it"


def test_the_page_loads_nothing_and_makes_no_markup_of_what_it_is_told() -> None:
    text = _FILE.read_text()
    assert set(re.findall(r"\b(?:src|href)\s*=\s*(\S+)", text)) == {'"data:,">'}
    urls = set(re.findall(r"\w+://[^\s\"']+", text))
    assert urls == {"http://www.w3.org/2000/svg"}, "the name of SVG's elements, which nobody fetches"
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert sink not in text
    assert not re.search(r"<[^>]+ (?:style|on\w+)=", text), "the policy would refuse it"


def test_all_who_ask_at_one_time_are_told_the_same_after_one_look() -> None:
    world = World()
    first, second = world.ask(), world.ask()
    assert [verb for verb, _ in world.looks] == ["events", "ps"] and len(world.reads) == 1
    world.answer(alarms=b"NOSPACE")
    third = world.ask()
    assert first.body == second.body == third.body and world.looks == [], "a fresh answer is told again"
    state = json.loads(first.body)
    assert state["weight"] == "bad" and state["troubles"][0]["text"] == "alarm NOSPACE is raised"
    assert first.headers[b"cache-control"] == b"no-store"
    assert b"access-control-allow-origin" not in first.headers


def test_a_supervisor_that_does_not_answer_is_said_to_be_lost() -> None:
    world = World()
    asked = world.ask()
    world.answer(ok=False)
    assert json.loads(asked.body)["lost"] == "no answer from the supervisor"


def test_the_history_goes_on_until_nobody_has_asked_for_long() -> None:
    world = World()
    for asked_before_s, verbs in ((0.0, ["events", "ps"]), (2.0, ["ps"]), (FORGOTTEN_S + 1, ["events", "ps"])):
        world.dashboard._asked_at -= asked_before_s
        world.dashboard._answered_at -= asked_before_s
        world.ask()
        assert [verb for verb, _ in world.looks] == verbs
        world.answer()


def test_a_policy_is_that_of_the_bytes() -> None:
    assert policy_of(b"<style>a</style><script>b</script>") != policy_of(b"<style>a</style><script>c</script>")
