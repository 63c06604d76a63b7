"""The v2 API of a member: the recorded calls in order, and what clients see when actors are killed."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster_process import until
from tests.etcd_process import Etcdz
from tests.process.trial import actors_of
from tests.v2.recorded import BEFORE, FORM, MEANWHILE, Call, in_order, masked, rows, timeless

pytestmark = pytest.mark.process
SERVED = ("/v2/keys", "/v2/members", "/v2/machines", "/v2/stats", "/v2/nothing", "/v1/keys")
OTHERWISE = {
    "bad escape": "the text is another",
    "stats store": "calls of the members' own are counted",
}
"""Rows that are not compared, and why."""
AS_3_4_23 = ("members delete unknown", "members put self same")
"""Where 3.5.1 fails at what it need not."""
LONGER = {"put ttl 0": {"body": "value=1&ttl=100"}}
"""What is to be there for as long as it was there on etcd, which looks every 500 ms."""
LAST = "event index outdated"
"""Users and roles come behind it, which write as well."""
LAST_KEY = "/m/last"
MANY = "wait stream: two events"


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcdz]:
    with Etcdz(tmp_path_factory.mktemp("v2"), "--enable-v2") as started:
        yield started


class Client:
    """A connection that is kept."""

    def __init__(self, member: Etcdz) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(member.client_url).netloc, timeout=60)

    def begin(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        self.connection.request(method, path, None if body is None else body.encode(), headers or {})
        return self.connection.getresponse()

    def ask(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        answer = self.begin(method, path, body, headers)
        return answer.status, dict(answer.headers), answer.read().decode()

    def run(self, calls: list[Call]) -> None:
        for method, path, body in calls:
            if method == "SYNC":
                method, path = "DELETE", "/v2/keys/t0"  # in place of its end by the clock: LONGER
            status, _, said = self.ask(method, path, body, FORM)
            assert status < 300 or path.endswith("t0"), said


def told(member: Etcdz, asked: dict[str, Any], name: str) -> tuple[int, dict[str, str], str]:
    """The answer to a recorded call, with what others do meanwhile."""
    client = Client(member)
    answer = client.begin(asked["method"], asked["path"], asked.get("body"), asked.get("headers"))
    Client(member).run(MEANWHILE.get(name, []))
    if name == MANY:  # it goes on for ever
        body = "".join(answer.readline().decode() for _ in range(4))
    elif "never" in asked["path"] or "/rf" in asked["path"]:
        body = ""
    else:
        body = answer.read().decode()
    client.connection.close()
    return answer.status, {key.lower(): value for key, value in answer.headers.items()}, body


def differs(row: dict[str, Any], status: int, headers: dict[str, str], body: str) -> str:
    expected = row["response_3_4_23" if row["name"] in AS_3_4_23 else "response"]
    if status != expected["status"]:
        return f"status {status}, not {expected['status']}: {body}"
    for name in ("Content-Type", "X-Etcd-Index", "X-Raft-Term", "Allow", "Location", "X-Content-Type-Options"):
        if headers.get(name.lower()) != expected["headers"].get(name):
            return f"{name}: {headers.get(name.lower())}, not {expected['headers'].get(name)}"
    ours, theirs = timeless(masked(body)), masked(expected["body"])
    same = ours == theirs or ('"nodes"' in theirs and in_order(ours) == in_order(theirs))
    return "" if same else f"{ours}, not {theirs}"


def of_member(member: Etcdz, recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the ids and URLs of this member."""
    (own,) = json.loads(Client(member).ask("GET", "/v2/members")[2])["members"]
    text = json.dumps(recorded)
    for theirs, ours in (
        ("76a46615cc3bf090", own["id"]),
        ("http://127.0.0.1:23502", own["peerURLs"][0]),
        ("http://127.0.0.1:23501", own["clientURLs"][0]),
        (json.dumps('"name":"a"')[1:-1], json.dumps(f'"name":"{own["name"]}"')[1:-1]),
    ):
        text = text.replace(theirs, ours)
    told: list[dict[str, Any]] = json.loads(text)
    return told


def test_the_recorded_calls_are_answered_as_recorded(tmp_path: Path) -> None:
    wrong = []
    with Etcdz(tmp_path, "--enable-v2") as fresh:
        for row in of_member(fresh, rows()):
            name, asked = row["name"], row["request"]
            if asked["path"].startswith(SERVED):
                Client(fresh).run(BEFORE.get(name, []))
                if why := differs(row, *told(fresh, asked | LONGER.get(name, {}), name)):
                    wrong.append(f"{name}: {why}")
            if name == LAST:
                break
    assert [line for line in wrong if line.partition(":")[0] not in OTHERWISE] == []


def test_a_large_directory_is_listed_whole_also_by_quorum(member: Etcdz) -> None:
    client = Client(member)
    value = "v" * 4096
    for number in range(50):
        assert client.ask("PUT", f"/v2/keys/large/{number:02d}", f"value={value}", FORM)[0] == 201
    for query in ("recursive=true&sorted=true", "recursive=true&sorted=true&quorum=true"):
        status, headers, body = client.ask("GET", f"/v2/keys/large?{query}")
        nodes = json.loads(body)["node"]["nodes"]
        assert (status, [node["key"] for node in nodes]) == (200, [f"/large/{number:02d}" for number in range(50)])
        assert {node["value"] for node in nodes} == {value}
        assert int(headers["X-Etcd-Index"]) == nodes[-1]["modifiedIndex"]


def kill(member: Etcdz, name: str) -> None:
    """As soon as it is there: it may have been killed before."""
    pid = until(lambda: actors_of(member.data_dir)[name]["pid"], 60, lambda: f"{name} is not there")
    os.kill(pid, signal.SIGKILL)


def test_waits_and_streams_go_on_over_a_kill_of_the_backend(member: Etcdz) -> None:
    """A client that waits is told of what happens meanwhile, once."""
    client = Client(member)
    waiting, stream = Client(member).begin("GET", "/v2/keys/k/1?wait=true"), None
    stream = Client(member).begin("GET", "/v2/keys/k?wait=true&recursive=true&stream=true")
    client.ask("PUT", "/v2/keys/k/0", "value=0", FORM)
    assert json.loads(stream.readline())["node"]["key"] == "/k/0"
    kill(member, "backend")
    for number in range(1, 4):
        client.ask("PUT", f"/v2/keys/k/{number}", f"value={number}", FORM)
    assert json.loads(waiting.read())["node"]["value"] == "1"
    assert [json.loads(stream.readline())["node"]["value"] for _ in range(3)] == ["1", "2", "3"]
    index = client.ask("GET", "/v2/keys/k/3")[1]["X-Etcd-Index"]
    kill(member, "backend")
    again = client.ask("GET", "/v2/keys/k/3")
    assert (again[1]["X-Etcd-Index"], json.loads(again[2])["node"]["value"]) == (index, "3")


class Streamer(threading.Thread):
    """A client that waits for all below a directory, and asks again from behind what it was told last when its stream
    ends, as etcd's clients do. told: (when, event)"""

    def __init__(self, member: Etcdz, directory: str) -> None:
        super().__init__(daemon=True)
        self.member = member
        self.path = f"/v2/keys/{directory}?wait=true&stream=true&recursive=true"
        self.told: list[tuple[float, dict[str, Any]]] = []
        self.next = int(Client(member).ask("GET", "/v2/keys/")[1]["X-Etcd-Index"]) + 1

    def run(self) -> None:
        while not self.told or self.told[-1][1]["node"]["key"] != LAST_KEY:
            with suppress(OSError, http.client.HTTPException):
                self.read(Client(self.member).begin("GET", f"{self.path}&waitIndex={self.next}"))

    def read(self, stream: http.client.HTTPResponse) -> None:
        while stream.status == 200 and (line := stream.readline()):
            event = json.loads(line)
            self.next = event["node"]["modifiedIndex"] + 1
            self.told.append((time.time(), event))
            if event["node"]["key"] == LAST_KEY:
                return


def change(member: Etcdz, key: str, body: str, done_before: int) -> None:
    """Asks until it is done: no answer does not say that it is not. done_before: what a second time is refused with"""
    while True:
        try:
            status, _, said = Client(member).ask("PUT", f"/v2/keys{key}", body, FORM)
        except (OSError, http.client.HTTPException):
            continue
        if status in (200, 201) or json.loads(said)["errorCode"] == done_before:
            return
        assert json.loads(said)["errorCode"] == 300, said


def create(member: Etcdz, key: str, body: str) -> None:
    change(member, f"{key}?prevExist=false", body, 105)


def let_expire(member: Etcdz, key: str, body: str) -> None:
    """One that is there. With its creation it might be over, and be made anew, before an answer that was lost is."""
    change(member, f"{key}?prevExist=true", f"{body}&ttl=1", 100)


def test_nothing_is_lost_doubled_or_early_whatever_is_killed(member: Etcdz, request: pytest.FixtureRequest) -> None:
    """Every actor in turn, under a client that writes keys with a TTL and one that is told of them."""
    streamer = Streamer(member, "m")
    streamer.start()
    rounds = 10 if request.config.getoption("--long", default=False) else 1
    victims = [name for _ in range(rounds) for name in ("backend", "raft", "wal", "lessor", "peer", "listener-1")]
    for number, victim in enumerate(victims):
        kill(member, victim)
        create(member, f"/m/{number}", f"value={victim}")
        let_expire(member, f"/m/{number}", f"value={victim}")
    deadline = time.monotonic() + 120
    while sum(event["action"] == "expire" for _, event in streamer.told) < len(victims):
        assert time.monotonic() < deadline, streamer.told
        streamer.join(0.05)
    create(member, LAST_KEY, "value=1")
    streamer.join(120)
    keys = [f"/m/{number}" for number in range(len(victims))]
    of_keys = [event for _, event in streamer.told[:-1]]
    assert [event["node"]["key"] for event in of_keys if event["action"] == "create"] == keys
    assert sorted(event["node"]["key"] for event in of_keys if event["action"] == "expire") == sorted(keys)
    for at, event in streamer.told:
        if event["action"] == "expire":
            due = datetime.fromisoformat(event["prevNode"]["expiration"][:19] + "+00:00").timestamp()
            assert at >= due, "before its time"
