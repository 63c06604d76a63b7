"""Exchanges of the JSON gateway, with calls of a listener behind them."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener import gateway_calls
from actors.listener.exchange import Exchange
from actors.listener.gateway import Gateway
from actors.listener.gateway_calls import LARGE_BYTES
from actors.listener.http_router import Router
from actors.listener.streams import Streams
from etcdz.api.errors import NO_LEADER, Code
from etcdz.config import MemberConfig
from etcdz.gateway.responses import encode_response
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.wire.call_tally import CallTally
from etcdz.wire.http1 import Header, Request
from etcdz.wire.request_target import Target


class _Exchange(Exchange):
    """Keeps its answer. room: how many pieces more the client takes"""

    def __init__(self, path: bytes, body: bytes, headers: dict[bytes, bytes], common_name: str) -> None:
        super().__init__(Request(1, b"POST", Target(path, b""), headers, body), common_name, True)
        self.status = 0
        self.body = b""
        self.room = 1_000
        self.errors: list[Exception] = []

    client = SimpleNamespace(remote="1.2.3.4:5", transport=SimpleNamespace(abort=lambda: None))
    is_gone = False

    @property
    def has_room(self) -> bool:
        return self.room > 0

    def flush(self) -> None:
        pass

    def fail(self, error: Exception) -> None:
        self.errors.append(error)

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        self.status, self.body = status, body

    def _begin(self, status: int, kind: bytes, headers: list[Header]) -> None:
        self.status = status

    def _send(self, data: bytes) -> None:
        self.body += data
        self.room -= 1

    def _end(self, status: int) -> None:
        pass


class _Calls:
    """Of the listener: what was begun."""

    def __init__(self) -> None:
        self.begun: list[Any] = []

    def begin(self, *call: Any) -> None:
        self.begun.append(call)


class _Listener:
    """A gateway, and timers that are run by hand. tracing: None, or what spans are told to"""

    def __init__(self, tracing: Any = None) -> None:
        self.tracing = tracing
        self.calls = _Calls()
        self.tally = CallTally()
        self.streams = Streams(3, self.tally)
        self.streams.on_leader(True)
        self.identities = SimpleNamespace(enabled=False, of_call=lambda metadata, common_name: (metadata, common_name))
        self.timers: list[tuple[float, Any]] = []
        self.event_loop = self
        config = MemberConfig(max_request_bytes=1_000)
        self.router = Router(Gateway(self, config).routes())  # type: ignore[arg-type]

    def call_later(self, seconds: float, do: Any) -> Any:
        self.timers.append((seconds, do))
        return SimpleNamespace(cancel=lambda: self.timers.remove((seconds, do)) if (seconds, do) in self.timers else 0)

    def run_timers(self) -> None:
        due, self.timers = self.timers, []
        for _, do in due:
            do()

    def ask(self, path: str, body: bytes, common_name: str = "", **headers: bytes) -> _Exchange:
        fields = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        exchange = _Exchange(path.encode(), body, fields, common_name)
        self.router.dispatch(exchange)
        return exchange


@pytest.fixture
def listener() -> Iterator[_Listener]:
    yield _Listener()


def test_a_request_becomes_the_message_that_a_client_of_grpc_would_send(listener: _Listener) -> None:
    exchange = listener.ask("/v3/kv/put", b'{"key":"Zm9v"}')
    caller, stream_id, _, body, auth = listener.calls.begun.pop()
    assert (body, auth) == (pb.PutRequest(key=b"foo").SerializeToString(), None)
    caller.reply(stream_id, 0, pb.PutResponse(header=pb.ResponseHeader(revision=5)).SerializeToString())
    assert (exchange.status, exchange.body) == (200, b'{"header":{"revision":"5"}}')


def test_who_asks_is_told_by_headers_and_never_by_a_certificate(listener: _Listener) -> None:
    listener.identities.enabled = True
    listener.ask("/v3/kv/range", b'{"key":"Zm9v"}', authorization=b"t.1", grpc_metadata_token=b"t.2")
    assert listener.calls.begun[0][-1] == ({b"authorization": b"t.1", b"token": b"t.2"}, "")


def test_a_certificate_with_a_name_is_refused_while_auth_is_on(listener: _Listener) -> None:
    assert listener.ask("/v3/kv/range", b'{"key":"Zm9v"}', common_name="root").status == 0  # waits for its answer
    listener.identities.enabled = True
    for path in ("/v3/kv/range", "/v3/watch", "/v3/nothing"):
        exchange = listener.ask(path, b"{}", common_name="root")
        assert exchange.status == 400 and exchange.body.startswith(b"CommonName of client sending a request")


def test_without_a_leader_who_asks_for_one_is_refused(listener: _Listener) -> None:
    listener.streams.on_leader(False)
    for path in ("/v3/kv/range", "/v3/watch", "/v3/lock/lock"):
        exchange = listener.ask(path, b"{}", grpc_metadata_hasleader=b"true")
        assert exchange.status == 503 and NO_LEADER.text.encode() in exchange.body
    assert not listener.calls.begun


def test_a_message_beyond_what_grpc_takes_is_refused_in_its_words(listener: _Listener) -> None:
    exchange = listener.ask("/v3/kv/put", b'{"key":"' + b"AAAA" * 180_000 + b'"}')
    assert exchange.status == 429 and b"received message larger than max (540004 vs. 525288)" in exchange.body


def test_a_call_whose_client_is_gone_is_given_up(listener: _Listener) -> None:
    exchange = listener.ask("/v3/kv/range", b'{"key":"Zm9v"}', grpc_timeout=b"5S")
    caller = listener.calls.begun[0][0]
    exchange.handler.on_gone()
    assert listener.streams.cancelled == {caller: {1}} and not listener.timers


def test_a_call_that_takes_too_long_is_answered_so_and_given_up(listener: _Listener) -> None:
    exchange = listener.ask("/v3/kv/range", b'{"key":"Zm9v"}', grpc_timeout=b"50m")
    caller = listener.calls.begun[0][0]
    assert listener.timers[0][0] == 0.05
    listener.run_timers()
    assert exchange.status == 504 and b"context deadline exceeded" in exchange.body
    assert listener.streams.cancelled == {caller: {1}}
    caller.reply(1, 0, b"")
    assert exchange.status == 504


def test_a_deadline_of_zero_is_none(listener: _Listener) -> None:
    listener.ask("/v3/kv/range", b'{"key":"Zm9v"}', grpc_timeout=b"0S")
    assert not listener.timers


def test_an_error_of_etcd_has_its_status(listener: _Listener) -> None:
    exchange = listener.ask("/v3/kv/range", b'{"key":"Zm9v"}')
    listener.calls.begun[0][0].reply(1, Code.OUT_OF_RANGE, b"compacted")
    assert (exchange.status, exchange.body) == (400, b'{"error":"compacted","message":"compacted","code":11}')


def _large_range() -> bytes:
    kvs = [mvccpb.KeyValue(key=b"%d" % n, create_revision=2, mod_revision=2, version=1) for n in range(20_000)]
    body: bytes = pb.RangeResponse(kvs=kvs, count=20_000).SerializeToString()
    assert len(body) > LARGE_BYTES
    return body


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_large_range_is_written_as_the_client_takes_it(listener: _Listener, in_parts: bool) -> None:
    body = _large_range()
    exchange = listener.ask("/v3/kv/range", b'{"key":"Zm9v"}')
    exchange.room = 3
    caller = listener.calls.begun[0][0]
    if in_parts:
        caller.reply_parts(1, [body[:100_000], body[100_000:]])
        assert caller.unsent_bytes == len(body)
    else:
        caller.reply(1, 0, body)
    while listener.timers:
        listener.run_timers()
    assert not exchange.is_over and exchange.room == 0
    exchange.room = 1_000
    exchange.handler.on_writable()
    while listener.timers:
        listener.run_timers()
    assert exchange.is_over and caller.unsent_bytes == 0
    assert exchange.body == encode_response(pb.RangeResponse.FromString(body))


@pytest.mark.parametrize("path", ["/v3/kv/deleterange", "/v3/kv/txn"])
def test_large_answers_of_others_than_ranges_give_others_their_turn(
    listener: _Listener, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_calls, "TURN_S", 0.0)
    kvs = [mvccpb.KeyValue(key=b"%d" % n, create_revision=2, mod_revision=2, version=1) for n in range(20_000)]
    message: Any = pb.DeleteRangeResponse(deleted=20_000, prev_kvs=kvs)
    if path.endswith("txn"):
        message = pb.TxnResponse(succeeded=True, responses=[pb.ResponseOp(response_delete_range=message)])
    exchange = listener.ask(path, b"{}")
    exchange.room = 1_000
    listener.calls.begun[0][0].reply(1, 0, message.SerializeToString())
    turns = 0
    while listener.timers:
        listener.run_timers()
        turns += 1
    assert turns > 1 and exchange.is_over and exchange.body == encode_response(message)


def test_a_client_that_leaves_a_large_answer_costs_nothing_more(listener: _Listener) -> None:
    exchange = listener.ask("/v3/kv/range", b'{"key":"Zm9v"}')
    exchange.room = 1
    caller = listener.calls.begun[0][0]
    caller.reply_parts(1, [_large_range()])
    while listener.timers:
        listener.run_timers()
    exchange.handler.on_gone()
    exchange.handler.on_writable()
    assert not listener.timers and caller.unsent_bytes == 0
    assert not listener.streams.cancelled


# ---- spans ----

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01".encode()
UNSAMPLED = f"00-{TRACE}-{PARENT}-00".encode()


class _Tracing:
    """Keeps (path, code, text) of each span. rate: as Tracing has it"""

    rate = 0

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def add(self, row: tuple[Any, ...]) -> None:
        path, trace_id, _, parent_id, *_, code, text, remote = row
        assert (trace_id.hex(), parent_id.hex(), remote) == (TRACE, PARENT, "1.2.3.4:5")
        self.rows.append((path, code, text))


@pytest.fixture
def traced() -> _Listener:
    return _Listener(_Tracing())


@pytest.mark.parametrize("header", ["grpc_metadata_traceparent", "traceparent"])
def test_a_call_has_a_span_if_its_trace_is_sampled(traced: _Listener, header: str) -> None:
    traced.ask("/v3/kv/put", b"{}", **{header: SAMPLED})
    traced.ask("/v3/kv/put", b"{}", **{header: UNSAMPLED})
    traced.ask("/v3/kv/range", b"{}", **{header: SAMPLED})
    traced.ask("/v3/kv/put", b"{}")
    for number, (caller, *_) in enumerate(list(traced.calls.begun)):
        assert len(traced.tracing.rows) == min(number, 1) + (number > 2)
        caller.reply(1, 11 if number == 2 else 0, b"compacted" if number == 2 else b"")
    assert traced.tracing.rows == [
        (b"/etcdserverpb.KV/Put", 0, b""),
        (b"/etcdserverpb.KV/Range", 11, b"compacted"),
    ]


def test_a_call_that_nobody_waits_for_any_more_has_a_span_that_says_so(traced: _Listener) -> None:
    traced.ask("/v3/kv/range", b"{}", traceparent=SAMPLED).handler.on_gone()
    traced.ask("/v3/kv/range", b"{}", traceparent=SAMPLED, grpc_timeout=b"1S")
    traced.run_timers()
    assert [code for _, code, _ in traced.tracing.rows] == [Code.CANCELED, Code.DEADLINE_EXCEEDED]


def test_what_is_refused_before_it_begins_has_none(traced: _Listener) -> None:
    traced.streams.on_leader(False)
    traced.ask("/v3/kv/range", b"{", traceparent=SAMPLED)
    for path in ("/v3/kv/range", "/v3/watch"):
        traced.ask(path, b"{}", traceparent=SAMPLED, grpc_metadata_hasleader=b"true")
    assert traced.tracing.rows == []
