"""Limits set by flags, and what is logged of slow requests: the same answers and the same lines from both members."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, RealEtcd
from tests.parity.calls import Call, parse_call
from tests.parity.pair import FAST_ELECTION, Pair

FLAGS = (
    *FAST_ELECTION,
    "--max-txn-ops=3",
    "--max-request-bytes=1000",
    "--experimental-warning-apply-duration=1ns",
    "--log-level=debug",  # then every call is told of, not only a slow one
)
RECEIVED_MAX = 1_000 + 512 * 1024
"""gRPC's limit is etcd's and some for the frame."""
SIZES = [900, 960, 970, 1_000, 1_001, 1_100, 100_000, RECEIVED_MAX - 10, RECEIVED_MAX, RECEIVED_MAX + 1, 1 << 20]
TXNS = [
    "Txn" + "".join(f' success {{ request_put {{ key: "{key}" }} }}' for key in "abc"),
    "Txn" + ' success { request_range { key: "a" } }' * 4,
    "Txn" + ' failure { request_range { key: "a" } }' * 4,
    "Txn" + ' compare { key: "a" }' * 4,
    'Txn success { request_txn { success { request_range { key: "a" } } success { request_range { key: "a" } }'
    ' success { request_range { key: "a" } } } }',
    'Txn success { request_range { key: "a" } } success { request_txn { success { request_range { key: "a" } }'
    ' success { request_range { key: "a" } } } }',
    'Txn success { request_txn { success { request_txn { success { request_txn { success { request_range { key: "a" }'
    " } } } } } } }",
]
LOGGED = [
    'Put key: "a" value: "12345" lease: 0',
    'Put key: "a" value: "12345" lease: 99',
    'Range key: "a"',
    'Range key: "a" range_end: "z" limit: 3 serializable: true keys_only: true',
    'Range key: "a" revision: 99',
    'Txn success { request_put { key: "b" value: "1" } } failure { request_range { key: "a" } }',
    'Txn compare { target: VALUE key: "a" value: "12345" } success { request_range { key: "a" range_end: "z" } }',
    'Txn compare { result: GREATER target: VERSION key: "a" version: 1 } failure { request_delete_range { key: "b" } }',
    'DeleteRange key: "a" range_end: "z" prev_kv: true',
    "LeaseGrant ID: 7 TTL: 600",
    'Put key: "leased" lease: 7',
    "LeaseRevoke ID: 7",
    "LeaseTimeToLive ID: 7 keys: true",
    "LeaseLeases",
    "Compact revision: 2",
    "Alarm action: ACTIVATE memberID: 7 alarm: NOSPACE",
    "Alarm action: DEACTIVATE memberID: 7 alarm: NOSPACE",
    "MemberList",
    "HashKV",
]
SLOW_APPLY, STATS = "apply request took too long", "request stats"
STATUS = "/etcdserverpb.Maintenance/Status"
END = "the-end-of-"
LEFT_OUT = {"level", "ts", "caller", "msg", "actor", "took", "start time", "time spent", "remote", "batch"}


def _pair(where: Path, subject: type[Member]) -> Iterator[Pair]:
    pair = Pair(RealEtcd(where / "expected", *FLAGS), subject(where / "subject", *FLAGS))
    pair.start()
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, subject: type[Member]) -> Iterator[Pair]:
    yield from _pair(tmp_path_factory.mktemp("limited"), subject)


@pytest.fixture
def logging(tmp_path: Path, subject: type[Member]) -> Iterator[Pair]:
    """A pair of its own: of what etcd says more than 100 times in a second it logs every hundredth time only."""
    yield from _pair(tmp_path, subject)


@pytest.mark.parametrize("size", SIZES)
def test_size_of_a_request(limited: Pair, size: int) -> None:
    base = limited.begin_conversation()
    limited.compare(Call("Put", pb.PutRequest(key=b"big", value=b"v" * size)), base, [])
    txn = pb.TxnRequest()
    txn.success.add().request_put.CopyFrom(pb.PutRequest(key=b"big", value=b"v" * size))
    limited.compare(Call("Txn", txn), base, [])
    if size <= RECEIVED_MAX - 10:
        limited.compare(Call("Range", pb.RangeRequest(key=b"v" * size)), base, [])


@pytest.mark.parametrize("line", TXNS)
def test_operations_of_a_transaction(limited: Pair, line: str) -> None:
    limited.compare(parse_call(line), limited.begin_conversation(), [])


def test_lines_about_slow_requests(logging: Pair) -> None:
    base = logging.begin_conversation()
    for number, line in enumerate(LOGGED):
        call = parse_call(line)
        counts = [len(told(side.member)) for side in logging.sides]
        logging.compare(call, base, [])
        logging.compare(parse_call(f'Range key: "{END}{number}" serializable: true'), base, [])
        for side in logging.sides:
            side.member.wait_for_log(f'"request content":"key:\\"{END}{number}\\"')
        expected, got = (
            comparable(told(side.member)[count:]) for side, count in zip(logging.sides, counts, strict=True)
        )
        assert got == expected, line


def told(member: Member) -> list[dict[str, Any]]:
    """NB: what is told of the status that began the conversation may come behind it."""
    lines = [json.loads(line) for line in member.log_tail(2_000).splitlines() if line.startswith("{")]
    return [line for line in lines if line["msg"] in (SLOW_APPLY, STATS) and STATUS not in line.values()]


def comparable(lines: list[dict[str, Any]]) -> list[str]:
    kept = [{"msg": line["msg"]} | {name: line[name] for name in line if name not in LEFT_OUT} for line in lines]
    texts = {re.sub(r"\bID:\d+", "ID:N", json.dumps(line)) for line in kept if END not in json.dumps(line)}
    return sorted(texts)
