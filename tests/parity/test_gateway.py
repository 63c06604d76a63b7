"""Random calls over the JSON gateway: etcdz answers as etcd does, letter by letter, but for what is named here."""

import json
import re
from random import Random
from typing import Any, Final

import pytest

from tests.parity.json_calls import Answer, Gateway
from tests.parity.json_generate import JsonCall, draw_json_call
from tests.parity.pair import Pair, Side
from tests.parity.pipelined import PipelinedClient, encode

OF_ETCD: Final = re.compile(r"etcdserver:|auth:|election:|lease")
"""Begins the texts of errors that are etcd's own: others are the JSON library's."""

CALLS_PER_OP: Final = 5
"""Beside each of the calls that other tests are to make."""
CALLS_LONG: Final = 100_000
CONVERSATION_CALLS: Final = 5_000
BATCH_CALLS: Final = 20
"""That a client sends before it reads what they are answered. NB: what is drawn knows of no revision that is newer than
the batch, so that large ones would seldom name the latest."""
BETWEEN: Final = JsonCall("/v3/kv/put", '{"key":"YQ==","value":"MQ=="}')
"""Behind each change of the membership: etcd 3.5.1 never answers one that comes while its Raft has not heard yet that
the one before is applied, and that has it answered a moment earlier."""
LAST: Final = "bGFzdA=="
"""A key that nothing else changes."""


class _Difference(AssertionError):
    def __init__(self, call: JsonCall, expected: object, got: object, before: list[JsonCall], seed: int) -> None:
        shown = "\n".join(map(repr, before[-40:]))
        super().__init__(f"\n{call!r}\n--- etcd\n{expected}\n--- etcdz\n{got}\n--- seed {seed}, before:\n{shown}")


def _alike(side: Side, answer: Answer) -> tuple[int, Any]:
    """The answer without what need not be equal."""
    body = re.sub(r'"raft_term":"\d+"', '"raft_term":"N"', answer.body).replace(side.member.target, "HOST:PORT")
    if '"grantedTTL"' in body:
        body = re.sub(r'("TTL":)"\d+"', r'\1"N"', body)
    if '"leases":[' in body or '"keys":[' in body:  # in etcd's answer they have no order
        value = json.loads(body)
        for name in {"leases", "keys"} & value.keys():
            value[name].sort(key=str)
        body = json.dumps(value)
    if answer.status < 400:
        return answer.status, body
    try:
        error = json.loads(body)
    except ValueError:
        return answer.status, body
    text = error["message"]
    assert error["error"] == text
    return answer.status, (error["code"], text if OF_ETCD.match(text) else "words of the JSON library")


def _newest_in(answer: Answer, newest: int) -> int:
    found = re.search(r'"revision":"(\d+)"', answer.body)
    return max(newest, int(found[1])) if found and answer.status == 200 else newest


class _Conversation:
    """Random calls of both members, some at a time: each side answers those of a batch in their order."""

    def __init__(self, pair: Pair, rng: Random, seed: int) -> None:
        self._pair = pair
        self._rng = rng
        self._seed = seed
        self._base = self._newest = pair.begin_conversation()
        self._clients = [PipelinedClient(side.member.client_url) for side in pair.sides]
        self._done: list[JsonCall] = []

    def go_on(self) -> int:
        """A batch. return how many calls it had. raises _Difference"""
        newest = self._newest - self._base + 1
        calls: list[JsonCall] = []
        while len(calls) < BATCH_CALLS:
            calls.append(draw_json_call(self._rng, self._base, newest))
            if "/cluster/member/" in calls[-1].path:
                calls.append(BETWEEN)
        asked = [call for call in calls if not call.refused]
        self._clients[0].send(b"".join([_encode(call.path, call.text) for call in asked]))
        self._clients[1].send(b"".join([_encode(call.path, call.own_text) for call in calls]))
        expected = iter([self._answer(0) for _ in asked])
        got = [self._answer(1) for _ in calls]
        for call, ours in zip(calls, got, strict=True):
            if call.refused:
                if (ours.status, ours.lines()[0]["code"]) != (400, 3):
                    raise _Difference(call, "to be refused", ours, self._done, self._seed)
            else:
                self._compare(call, next(expected), ours)
        return len(calls)

    def _answer(self, side: int) -> Answer:
        answer = self._clients[side].receive()
        return Answer(answer.status, answer.body.decode())

    def _compare(self, call: JsonCall, expected: Answer, got: Answer) -> None:
        etcd, etcdz = self._pair.sides
        if _alike(etcd, expected) != _alike(etcdz, got):
            raise _Difference(call, expected, got, self._done, self._seed)
        self._newest = _newest_in(expected, self._newest)
        self._done.append(call)

    def end(self) -> None:
        """Both have had the same events."""
        for client in self._clients:
            client.close()
        gateways = [Gateway(side.member.target) for side in self._pair.sides]
        for gateway in gateways:
            gateway.post("/v3/kv/put", {"key": LAST})
        assert _events(gateways[0], self._base) == _events(gateways[1], self._base)
        for gateway in gateways:
            gateway.close()


def _encode(path: str, text: str) -> bytes:
    return encode("POST", path, text.encode(), b"application/json")


@pytest.mark.timeout(3600)
def test_random_calls_are_answered_as_etcd_answers_them(pair: Pair, seed: int, request: pytest.FixtureRequest) -> None:
    """NB: a conversation is over before a lease of it may be."""
    rng = Random(seed)
    ops = int(request.config.getoption("--parity-ops"))
    left = CALLS_LONG if request.config.getoption("--long") else CALLS_PER_OP * ops
    while left > 0:
        conversation, ends_at = _Conversation(pair, rng, seed), max(0, left - CONVERSATION_CALLS)
        while left > ends_at:
            left -= conversation.go_on()
        conversation.end()


def _events(gateway: Gateway, after: int) -> list[Any]:
    """All events after a revision, or the last compaction, up to the put of LAST."""
    create = {"key": "AA==", "range_end": "AA==", "start_revision": str(after + 1), "prev_kv": True}
    gateway.open("/v3/watch", json.dumps({"create_request": create}))
    assert json.loads(gateway.read_line())["result"]["created"]
    found: list[Any] = []
    while not found or found[-1]["kv"]["key"] != LAST:
        line = json.loads(gateway.read_line())["result"]
        if line.get("canceled"):
            gateway.end()
            return _events(gateway, int(line["compact_revision"]))
        found += line["events"]
    gateway.end()
    return found
