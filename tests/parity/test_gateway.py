"""Random calls over the JSON gateway: etcdz answers as etcd does, letter by letter, but for what is named here."""

import json
import re
from random import Random
from typing import Any, Final

import pytest

from tests.parity.json_calls import Answer, Gateway
from tests.parity.json_generate import JsonCall, draw_json_call
from tests.parity.pair import Pair, Side

OF_ETCD: Final = re.compile(r"etcdserver:|auth:|election:|lease")
"""Begins the texts of errors that are etcd's own: others are the JSON library's."""

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


@pytest.mark.timeout(900)
def test_random_calls_are_answered_as_etcd_answers_them(pair: Pair, seed: int, request: pytest.FixtureRequest) -> None:
    rng = Random(seed)
    base = newest = pair.begin_conversation()
    etcd, etcdz = pair.sides
    gateways = Gateway(etcd.member.target), Gateway(etcdz.member.target)
    done: list[JsonCall] = []
    for _ in range(max(100, int(request.config.getoption("--parity-ops")) // 4)):
        call = draw_json_call(rng, base, newest - base + 1)
        got = gateways[1].call(call.path, call.text if call.spare is None else call.spare)
        if call.refused:
            if (got.status, got.lines()[0]["code"]) != (400, 3):
                raise _Difference(call, "to be refused", got, done, seed)
            continue
        expected = gateways[0].call(call.path, call.text)
        if _alike(etcd, expected) != _alike(etcdz, got):
            raise _Difference(call, expected, got, done, seed)
        newest = _newest_in(expected, newest)
        done.append(call)
    for gateway in gateways:
        gateway.post("/v3/kv/put", {"key": LAST})
    assert _events(gateways[0], base) == _events(gateways[1], base)
    for gateway in gateways:
        gateway.close()


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
