"""The JSON gateway where requests or answers have no end, and where answers are large."""

import itertools
import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from tests.etcd_process import Etcdz, Member
from tests.parity.json_calls import Gateway

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with Etcdz(tmp_path_factory.mktemp("gateway")) as etcdz:
        yield etcdz


def _b64(data: str) -> str:
    return b64encode(data.encode()).decode()


def _create(key: str, **more: Any) -> str:
    return json.dumps({"create_request": {"key": _b64(key), **more}})


def _events(watch: Gateway) -> Iterator[tuple[str, str]]:
    """(kind, key) of the events of a watch, as they come."""
    while True:
        for event in json.loads(watch.read_line())["result"].get("events", ()):
            yield event.get("type", "PUT"), event["kv"]["key"]


def _kinds_until(events: Iterator[tuple[str, str]], key: str) -> list[str]:
    """What comes before the event of that key."""
    return [kind for kind, _ in itertools.takewhile(lambda event: event[1] != key, events)]


class _Upload:
    """A request whose body goes on while its answer is read."""

    def __init__(self, member: Member, path: str) -> None:
        host, _, port = member.target.partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._answer = self._socket.makefile("rb")
        self._has_head = False
        self._socket.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    def send(self, text: str) -> None:
        """One chunk."""
        self._socket.sendall(b"%x\r\n%b\r\n" % (len(text.encode()), text.encode()))

    def result(self) -> Any:
        """The next line of the answer."""
        if not self._has_head:
            self._has_head = True
            while self._answer.readline() != b"\r\n":
                pass
        size = int(self._answer.readline(), 16)
        line = self._answer.read(size + 2)[:-2]
        return json.loads(line)["result"]

    def close(self) -> None:
        self._answer.close()
        self._socket.close()


def test_watches_of_one_key_on_one_stream_are_all_told(member: Member) -> None:
    """Their messages leave the hub as one."""
    upload, other = _Upload(member, "/v3/watch"), Gateway(member.target)
    for _ in range(3):
        upload.send(_create("together"))
        assert upload.result()["created"]
    other.call("/v3/kv/put", json.dumps({"key": _b64("together")}))
    told = [upload.result() for _ in range(3)]
    assert {one.get("watch_id", "0") for one in told} == {"0", "1", "2"}
    assert [event["kv"]["key"] for one in told for event in one["events"]] == [_b64("together")] * 3
    upload.close()
    other.close()


def test_a_client_whose_body_is_too_large_reads_why(member: Member) -> None:
    """It sends on while it is answered: a connection that is reset would lose the answer."""
    size = 8 << 20
    with socket.create_connection(("127.0.0.1", member.client_port), timeout=60) as link:
        link.sendall(f"POST /v3/kv/put HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode())
        link.sendall(bytes(size))
        with link.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 413 Request Entity Too Large\r\n"
            assert answer.read().endswith(b"\r\n\r\nrequest body too large\n")


def test_a_watch_answers_while_its_request_goes_on(member: Member) -> None:
    upload, other = _Upload(member, "/v3/watch"), Gateway(member.target)
    upload.send(_create("w1"))
    assert upload.result()["created"]
    text = _create("w2", watch_id="7")
    upload.send(text[:20])
    upload.send(text[20:])
    assert upload.result()["watch_id"] == "7"
    other.post("/v3/kv/put", {"key": _b64("w2")})
    assert upload.result()["events"][0]["kv"]["key"] == _b64("w2")
    other.post("/v3/kv/put", {"key": _b64("w1")})
    assert "watch_id" not in upload.result()
    upload.send('\n{"cancel_request":{"watch_id":7}}\n')
    assert upload.result() == {**_header(other), "watch_id": "7", "canceled": True}
    upload.close()
    other.close()


def _header(gateway: Gateway) -> dict[str, Any]:
    return {"header": gateway.post("/v3/kv/range", {"key": "AA=="})["header"]}


def test_keep_alives_are_answered_one_by_one(member: Member) -> None:
    other = Gateway(member.target)
    other.post("/v3/lease/grant", {"ID": 5, "TTL": 600})
    upload = _Upload(member, "/v3/lease/keepalive")
    for _ in range(3):
        upload.send('{"ID":5}')
        assert upload.result()["TTL"] == "600"
    upload.close()
    other.close()


def test_a_broken_object_behind_others_ends_the_requests(member: Member) -> None:
    answer = Gateway(member.target).call("/v3/lease/keepalive", '{"ID":77}{"ID":{}}')
    assert (answer.status, [line["result"]["ID"] for line in answer.lines()]) == (200, ["77"])


def test_a_watch_of_nothing_waits_until_its_deadline(member: Member) -> None:
    answer = Gateway(member.target).call("/v3/watch", "", {"Grpc-Timeout": "100m"})
    assert (answer.status, answer.lines()[0]["error"]["grpc_code"]) == (504, 4)


DEADLINES = ("100m", "1S", "10S")
"""The first that suffices on this machine for what has to be done before."""


def test_a_deadline_ends_a_watch_with_its_last_line(member: Member) -> None:
    for deadline in DEADLINES:
        *made, last = Gateway(member.target).call("/v3/watch", _create("never"), {"Grpc-Timeout": deadline}).lines()
        if made:
            break
    (first,) = made
    assert first["result"]["created"] and last["error"]["message"] == "context deadline exceeded"


def test_who_waits_for_a_lock_and_leaves_is_out_of_line(member: Member) -> None:
    gateway, watch = Gateway(member.target), Gateway(member.target)
    held, ask = gateway.post("/v3/lock/lock", {"name": _b64("door")}), json.dumps({"name": _b64("door")})
    watch.open("/v3/watch", _create("door/", range_end=_b64("door1"), start_revision=held["header"]["revision"]))
    events = _events(watch)
    kinds = (kind for kind, _ in events)
    assert next(kinds) == "PUT"
    for number, deadline in enumerate(DEADLINES):
        answer = Gateway(member.target).call("/v3/lock/lock", ask, {"Grpc-Timeout": deadline})
        assert (answer.status, answer.lines()[0]["code"]) == (504, 4)
        behind = _b64(f"door0 {number}")
        gateway.post("/v3/kv/put", {"key": behind})
        if seen := _kinds_until(events, behind):
            break
    assert [*seen, *([next(kinds)] if len(seen) == 1 else [])] == ["PUT", "DELETE"]
    waiter = _Upload(member, "/v3/lock/lock")
    waiter.send(ask)
    waiter.send("")  # the end of the body
    assert next(kinds) == "PUT"
    waiter.close()
    assert next(kinds) == "DELETE"
    watch.end()
    gateway.post("/v3/lock/unlock", {"key": held["key"]})
    assert gateway.post("/v3/lock/lock", {"name": _b64("door")})["key"]


def test_a_range_of_ten_thousand_keys_comes_whole_and_others_are_served_meanwhile(member: Member) -> None:
    gateway, other = Gateway(member.target), Gateway(member.target)
    value = _b64("v" * 100)
    for at in range(0, 10_000, 125):
        puts = [{"request_put": {"key": _b64(f"many/{n:05}"), "value": value}} for n in range(at, at + 125)]
        gateway.post("/v3/kv/txn", {"success": puts})
    gateway.open("/v3/kv/range", json.dumps({"key": _b64("many/"), "range_end": _b64("many0")}))
    assert other.post("/v3/kv/range", {"key": _b64("many/00000")})["count"] == "1"
    found = json.loads(gateway.read_line())
    assert found["count"] == "10000"
    assert [kv["key"] for kv in found["kvs"]] == [_b64(f"many/{n:05}") for n in range(10_000)]
    gateway.end()
    streamed = gateway.call("/v3/kv/range/stream", json.dumps({"key": _b64("many/"), "range_end": _b64("many0")}))
    chunks = [line["result"]["range_response"] for line in streamed.lines()]
    assert len(chunks) > 1 and sum(len(chunk.get("kvs", ())) for chunk in chunks) == 10_000
    assert chunks[-1]["count"] == "10000"
