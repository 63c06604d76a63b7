"""Which batches of the backend are logged as slow, and with which fields."""

from typing import Any

import pytest

from actors.runtime.slow_requests import is_slow, warn_apply, warn_read
from etcdz.api.errors import Code
from etcdz.api.methods import HEALTH, RANGE, TXN
from etcdz.proto import etcdserverpb as pb


class Log:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def warn(self, msg: str, **fields: Any) -> None:
        self.lines.append(("warn", msg, fields))

    def only(self) -> dict[str, Any]:
        [(level, msg, fields)] = self.lines
        assert (level, msg) == ("warn", "apply request took too long")
        return fields


@pytest.mark.parametrize(
    ("took_s", "requests", "slow"),
    [(0.1, 1, False), (0.1001, 1, True), (0.3, 10_000, False), (1.2, 10_000, True)],
)
def test_many_ordinary_requests_are_no_slow_one(took_s: float, requests: int, slow: bool) -> None:
    assert is_slow(took_s, requests, limit_s=0.1) == slow


def entry(number: int, **fields: Any) -> bytes:
    request = pb.InternalRaftRequest(header=pb.RequestHeader(ID=number), **fields)
    return bytes(request.SerializeToString())


PUT_1 = entry(1, put=pb.PutRequest(key=b"a", value=b"x" * 100))
DELETE_2 = entry(2, delete_range=pb.DeleteRangeRequest(key=b"a", range_end=b"b"))


def test_a_slow_entry_is_named_with_its_answer() -> None:
    log = Log()
    header = pb.ResponseHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)
    warn_apply(log, 0.1234, 0.1, [PUT_1], [(9, 0, b""), (1, 0, pb.PutResponse(header=header).SerializeToString())])
    assert log.only() == {
        "took": "123.4ms",
        "expected-duration": "100ms",
        "prefix": "",
        "request": 'header:<ID:1 > put:<key:"a" value_size:100 >',
        "response": "size:4",  # etcd's applier knows nothing of the header but the revision
    }


def test_of_a_batch_the_largest_that_is_no_put_is_named() -> None:
    log = Log()
    warn_apply(log, 0.2, 0.1, [PUT_1, DELETE_2, PUT_1], [(2, Code.OUT_OF_RANGE, b"no")])
    fields = log.only()
    assert fields["request"] == 'header:<ID:2 > delete_range:<key:"a" range_end:"b" > '
    assert (fields["response"], fields["error"], fields["batch"]) == ("", "no", 3)


def test_an_empty_entry_and_one_of_the_v2_api_are_not_named() -> None:
    log = Log()
    warn_apply(log, 1.0, 0.1, [b""], [])
    warn_apply(log, 1.0, 0.1, [b"\x12\x03abc"], [])
    assert log.lines == []


def test_of_slow_reads_the_one_with_the_longest_answer_is_named() -> None:
    small = pb.RangeResponse().SerializeToString()
    large = pb.RangeResponse(kvs=[{"key": b"k"}, {"key": b"l"}], count=2).SerializeToString()
    txn = pb.TxnResponse(responses=[{"response_range": {"kvs": [{"key": b"k" * 99}]}}]).SerializeToString()
    bodies = {1: pb.RangeRequest(key=b"1"), 2: pb.RangeRequest(key=b"2"), 3: pb.TxnRequest()}
    items = [(n, TXN if n == 3 else RANGE, bodies[n].SerializeToString(), 0) for n in bodies]
    log = Log()
    warn_read(log, 0.2, 0.1, items, [(1, 0, small), (2, 0, large)])
    assert log.only()["prefix"] == "read-only range "
    assert log.only()["request"] == 'key:"2" '
    assert log.only()["response"] == f"range_response_count:2 size:{len(large)}"
    log = Log()
    warn_read(log, 0.2, 0.1, items, [(1, 0, small), (2, 0, large), (3, 0, txn)])
    assert log.only()["prefix"] == "read-only txn "
    assert log.only()["response"] == f"responses:<range_response_count:1> size:{len(txn)}"


def test_slow_reads_of_other_kinds_are_not_told_of() -> None:
    log = Log()
    warn_read(log, 9.0, 0.1, [(1, HEALTH, b"", 0)], [(1, 0, b"")])
    assert log.lines == []
