"""Which calls of a listener are logged as slow, and with which fields."""

import time
from typing import Any

import pytest

from actors.listener.calls import Calls
from etcdz.api.errors import Code
from etcdz.api.methods import COMPACT, PUT, RANGE
from etcdz.config import MemberConfig
from etcdz.ipc.messages import Leadership, Propose, Read, Replies
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.host import make_host


class Log:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def log(self, level: str, msg: str, **fields: Any) -> None:
        self.lines.append((level, msg, fields))


class Own:
    """A caller inside the member."""

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        pass

    def flush(self) -> None:
        pass


class Client(Own):
    remote = "127.0.0.1:5000"


class Listener:
    """Calls of a listener whose warning comes after limit_s; how long a call takes is set, not waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit_s: float, log_level: str = "info") -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.log = Log()
        self.sent: list[Any] = []
        host = make_host(lambda name, message: self.sent.append(message), self.log)
        self.calls = Calls(host, MemberConfig(warning_unary_request_s=limit_s, log_level=log_level))
        self.calls.on_leadership(Leadership(1, 2, 9, 4, 0, 3, 0))

    def call(self, took_s: float, method: int, request: Any, response: Any, code: int = 0) -> None:
        self.calls.begin(Client(), 1, method, request.SerializeToString(), None)
        self.calls.end_turn()
        message = self.sent.pop()
        assert isinstance(message, Propose | Read)
        self.now += took_s
        body = b"no" if code else response.SerializeToString()
        self.calls.on_replies(Replies(1, 0, [(message.items[0][0], code, body)], 1))


def test_a_slow_call_is_told_of_once_and_a_quick_one_never(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch, 0.3)
    listener.call(0.25, PUT, pb.PutRequest(key=b"a", value=b"b"), pb.PutResponse())
    assert listener.log.lines == []
    listener.call(0.5, PUT, pb.PutRequest(key=b"a", value=b"b"), pb.PutResponse())
    [(level, msg, fields)] = listener.log.lines
    assert (level, msg) == ("warn", "request stats")
    assert fields.pop("start time").endswith("Z")
    assert fields == {
        "time spent": "500ms",
        "remote": "127.0.0.1:5000",
        "response type": "/etcdserverpb.KV/Put",
        "request count": 1,
        "request size": 6,
        "response count": 0,
        "response size": 0,
        "request content": 'key:"a" value_size:1 ',
    }


def test_calls_of_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch, 0.3)
    listener.call(1.0, RANGE, pb.RangeRequest(key=b"k"), pb.RangeResponse(count=5))
    listener.call(1.0, RANGE, pb.RangeRequest(key=b"k"), None, Code.OUT_OF_RANGE)
    listener.call(1.0, COMPACT, pb.CompactionRequest(revision=3, physical=False), pb.CompactionResponse())
    told = [(f["response type"], f["response count"], f["request content"]) for _, _, f in listener.log.lines]
    assert told == [
        ("/etcdserverpb.KV/Range", 5, 'key:"k" '),
        ("/etcdserverpb.KV/Range", 0, 'key:"k" '),
        ("/etcdserverpb.KV/Compact", -1, ""),
    ]


def test_a_call_that_is_given_up_was_slow_too(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch, 0.3)
    listener.calls.begin(Client(), 1, PUT, pb.PutRequest(key=b"a").SerializeToString(), None)
    listener.now += 60.0
    listener.calls.expire(listener.now)
    assert [fields["time spent"] for _, _, fields in listener.log.lines] == ["1m0s"]


def test_with_debug_lines_every_call_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch, 0.3, "debug")
    listener.call(0.0, PUT, pb.PutRequest(key=b"a"), pb.PutResponse())
    assert [(level, msg) for level, msg, _ in listener.log.lines] == [("debug", "request stats")]


def test_the_member_is_no_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch, 0.3)
    listener.calls.begin_health(Own(), 1, linearizable=False)
    listener.calls.end_turn()
    listener.now += 9.0
    [read] = listener.sent
    listener.calls.on_replies(Replies(1, 0, [(read.items[0][0], 0, b"")], 1))
    assert listener.log.lines == []
