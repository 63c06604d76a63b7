"""The core beside a real etcd, without the member around it: the same answers, and the same hash of all history."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from etcdz.mvcc.mvcc import Outcome
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import NewEtcd, RealEtcd
from tests.mvcc.requests import Draw
from tests.mvcc.test_against_twin import CHECKS, RESPONSES, Subject

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]

CALLS = 600
METHODS = {
    "put": "KV/Put",
    "delete_range": "KV/DeleteRange",
    "txn": "KV/Txn",
    "range": "KV/Range",
    "compaction": "KV/Compact",
    "lease_grant": "Lease/LeaseGrant",
    "hash_kv": "Maintenance/HashKV",
}
#: Up to so many keys etcd sorts in a stable way; of more, those that are equal come in any order.
STABLE_KEYS = 6


class _Etcd:
    def __init__(self, target: str) -> None:
        self.channel = grpc.insecure_channel(target)

    def ask(self, name: str, request: Any) -> Outcome:
        call = self.channel.unary_unary(f"/etcdserverpb.{METHODS[name]}")
        try:
            return 0, None, call(request.SerializeToString(), timeout=60, wait_for_ready=True)
        except grpc.RpcError as error:
            return error.code().value[0], error.details(), b""


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Etcd]:
    flags = ["--heartbeat-interval=10", "--election-timeout=100"]
    with RealEtcd(tmp_path_factory.mktemp("etcd"), *flags) as member:
        real = _Etcd(member.target)
        yield real
        real.channel.close()


def _message(name: str, outcome: Outcome) -> Any:
    """What must be equal: error code and text, or the response without the term."""
    code, text, body = outcome
    if code:
        return code, text
    response = {**RESPONSES, "hash_kv": pb.HashKVResponse, "lease_grant": pb.LeaseGrantResponse}[name].FromString(body)
    response.header.raft_term = 0
    if name == "hash_kv":
        response.hash_revision = 0  # of etcd 3.6
    return response


def _is_sorted_over_many(name: str, request: Any, answer: Any) -> bool:
    if name == "range":
        return bool(request.sort_target) and len(answer.kvs) > STABLE_KEYS
    return name == "txn" and any(len(op.response_range.kvs) > STABLE_KEYS for op in answer.responses)


def test_answers_and_hashes_are_etcds(etcd: _Etcd) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = Draw(random.Random(seed))
    subject = Subject()
    for lease_id in (5, 6):
        grant = pb.LeaseGrantRequest(ID=lease_id, TTL=600)
        etcd.ask("lease_grant", grant)
    for _ in range(CALLS):
        name, request = draw.call()
        if CHECKS[name](request) is not None or (name == "txn" and "ignore" in str(request)):
            continue
        if name == "compaction":
            request.physical = True
        expected, got = _message(name, etcd.ask(name, request)), _message(name, subject.ask(name, request))
        if isinstance(expected, tuple) or not _is_sorted_over_many(name, request, expected):
            assert got == expected, f"{name} {request}"
        subject.commit()
        if name == "compaction":
            _same_hashes(etcd, subject)
            subject.mvcc.compaction.step(5)
        draw.newest = subject.mvcc.state.revision
    _same_hashes(etcd, subject)
    subject.open()
    _same_hashes(etcd, subject)
    assert subject.mvcc.state.revision > CALLS / 4


def _same_hashes(etcd: _Etcd, subject: Subject) -> None:
    """At the newest revision and some before. NB: etcd before 3.5.9 refuses the compacted revision itself."""
    newest, compacted = subject.mvcc.state.revision, subject.mvcc.state.compact_revision
    for revision in {0, newest, newest - 1, newest - 7, newest + 1, compacted + 1, compacted - 1}:
        if revision == compacted or revision < 0:
            continue
        request = pb.HashKVRequest(revision=revision)
        expected = _message("hash_kv", etcd.ask("hash_kv", request))
        assert _message("hash_kv", subject.hash_kv(revision)) == expected, revision


def test_the_hash_of_plain_history_is_etcds_before_and_after_compaction(tmp_path: Path) -> None:
    """One key through its lives, against a fresh etcd: revision 1 and on."""
    steps: list[tuple[str, Any]] = [("put", pb.PutRequest(key=b"a", value=b"%d" % i)) for i in range(4)]
    steps += [("delete_range", pb.DeleteRangeRequest(key=b"a")), ("put", pb.PutRequest(key=b"b", value=b"1"))]
    steps += [("put", pb.PutRequest(key=b"a")), ("compaction", pb.CompactionRequest(revision=6, physical=True))]
    steps += [("put", pb.PutRequest(key=b"a", value=b"2")), ("delete_range", pb.DeleteRangeRequest(key=b"b"))]
    with RealEtcd(tmp_path, "--heartbeat-interval=10", "--election-timeout=100") as member:
        etcd, subject = _Etcd(member.target), Subject()
        for name, request in steps:
            assert _message(name, subject.ask(name, request)) == _message(name, etcd.ask(name, request))
            subject.commit()
            _same_hashes(etcd, subject)
        etcd.channel.close()


@pytest.mark.skipif(NewEtcd.why_absent() is not None, reason=NewEtcd.why_absent() or "")
def test_at_the_compacted_revision_the_hash_is_that_of_a_newer_etcd_which_runs(tmp_path: Path) -> None:
    """After each finished compaction, and once more when more was written; from a restart on that of what is left."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = Draw(random.Random(seed))
    subject, compactions = Subject(), 0
    with NewEtcd(tmp_path, "--heartbeat-interval=10", "--election-timeout=100") as member:
        etcd = _Etcd(member.target)
        for lease_id in (5, 6):
            etcd.ask("lease_grant", pb.LeaseGrantRequest(ID=lease_id, TTL=600))
        for number in range(CALLS):
            name, request = draw.call()
            if CHECKS[name](request) is not None or (name == "txn" and "ignore" in str(request)):
                continue
            if name == "compaction":
                request.physical = True
            outcome = subject.ask(name, request)
            assert etcd.ask(name, request)[:2] == outcome[:2]
            subject.commit()
            while not subject.mvcc.compaction.step(7):
                pass
            compactions += name == "compaction" and outcome[0] == 0
            if name == "compaction" or number % 50 == 0:
                _same_hash_at_compaction(etcd, subject)
            draw.newest = subject.mvcc.state.revision
        etcd.channel.close()
        member.stop()
        member.start()
        subject.open()
        etcd = _Etcd(member.target)
        _same_hash_at_compaction(etcd, subject)
        etcd.channel.close()
    assert compactions > 5


def _same_hash_at_compaction(etcd: _Etcd, subject: Subject) -> None:
    for revision in {0, max(0, subject.mvcc.state.compact_revision)}:
        expected = _message("hash_kv", etcd.ask("hash_kv", pb.HashKVRequest(revision=revision)))
        assert _message("hash_kv", subject.hash_kv(revision)) == expected, revision
