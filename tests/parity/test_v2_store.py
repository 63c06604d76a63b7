"""The v2 store beside a real etcd: random calls to etcd, then the entries of its log on ours.

Every answer of etcd is what our store says to the same entry, and etcd's .snap is ours, byte for byte, but for what a
clock says and how often keys were read.
"""

import http.client
import random
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from etcdz.migration.log_state import LogState, read_log
from etcdz.migration.v2_replay import v2_store_at
from etcdz.mvcc.applier import v2_request_of
from etcdz.proto import etcdserverpb as pb
from etcdz.v2 import answers, applying, snapshot
from etcdz.v2.errors import V2Error
from etcdz.v2.form import FORM_TYPE
from etcdz.v2.key_request import KeyRequest, parse
from etcdz.v2.store import V2Store
from etcdz.wal import snap as snaps
from tests.etcd_process import RealEtcd
from tests.v2.random_calls import Call, random_call

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
CALLS, CALLS_LONG = 250, 5000
_TTL = re.compile(rb',"ttl":-?\d+')
_READS = re.compile(rb'"gets(Success|Fail)":\d+')

Told = tuple[Call, int, str, str]
"""(call, status, X-Etcd-Index, body)"""


def ask(connection: http.client.HTTPConnection, call: Call) -> Told:
    target = call.path + (f"?{call.query}" if call.query else "")
    connection.request(call.method, target, call.body.encode() or None, {"Content-Type": FORM_TYPE})
    answer = connection.getresponse()
    return call, answer.status, answer.headers.get("X-Etcd-Index", ""), answer.read().decode()


def checked(call: Call) -> KeyRequest | V2Error:
    return parse(call.method, call.path, call.query.encode(), FORM_TYPE, call.body.encode(), time.time_ns())


def told_by_etcd(etcd: RealEtcd, seed: int, count: int) -> list[Told]:
    rng, told, index = random.Random(seed), [], 0
    connection = http.client.HTTPConnection(urlsplit(etcd.client_url).netloc, timeout=60)
    for _ in range(count):
        answer = ask(connection, random_call(rng, index))
        index = int(answer[2] or 0) or index
        told.append(answer)
    connection.close()
    return told


def refusals(told: list[Told]) -> Iterator[str]:
    """Those that no entry comes of."""
    for call, status, index, body in told:
        request = checked(call)
        if isinstance(request, V2Error):
            ours = answers.error_answer(request)
            if (ours.status, ours.body.decode(), "0") != (status, body, index):
                yield f"{call}: {ours}, not {status} {body}"


def differences(state: LogState, told: list[Told]) -> Iterator[str]:
    """Between etcd's answers and ours to the entries of its log."""
    store, left = V2Store(), iter(told)
    store.index = 3
    for entry in state.entries_behind_snapshot(state.last_index):
        data = v2_request_of(entry.Data) if entry.Type == 0 and entry.Data else None
        request: Any = pb.Request.FromString(data) if data else None
        if request is None or request.Path.startswith("/0/"):
            continue
        found = applying.apply(store, request, time.time_ns())
        if found is None:
            continue
        call, status, index, body = next(each for each in left if makes_entry(each[0]))
        brief = checked(call)
        assert isinstance(brief, KeyRequest)
        result = answers.decode_result(answers.encode_result(found, answers.Position(0, 0), "/1"))
        ours = result.to_http(brief.is_brief)
        if (ours.status, comparable(ours.body), str(result.store_index)) != (status, comparable(body.encode()), index):
            yield f"{call}: {ours}, not {status} {index} {body}"
    assert not any(makes_entry(call) for call, *_ in left)


def makes_entry(call: Call) -> bool:
    request = checked(call)
    return isinstance(request, KeyRequest) and not request.is_read


def test_random_calls_and_the_snapshot_they_end_in(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    is_long = request.config.getoption("--long", default=False)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    count = CALLS_LONG if is_long else CALLS
    with RealEtcd(tmp_path, "--enable-v2", "--unsafe-no-fsync", f"--snapshot-count={count // 2}") as etcd:
        told = told_by_etcd(etcd, seed, count)
        etcd.stop()
    member = etcd.data_dir / "member"
    state = read_log(member, member / "wal")
    newest = max(member.glob("snap/*.snap"))
    theirs = snaps.decode_snap(newest.read_bytes())
    state.snapshot_index, state.snapshot_data = 0, b""
    try:
        assert list(refusals(told)) == []
        assert list(islice(differences(state, told), 3)) == []
        ours = snapshot.encode(v2_store_at(state, theirs.index))
    finally:
        state.close()
    assert comparable(ours) == comparable(theirs.data)


def comparable(data: bytes) -> bytes:
    return _READS.sub(b"", _TTL.sub(b"", data))
