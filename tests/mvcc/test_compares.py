"""Compares over ranges: what is in the index is compared there. (That they hold rightly: test_against_twin.)"""

from typing import Any

import pytest

from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore

_SPAN: dict[str, Any] = {"key": b"k/", "range_end": b"k0"}


@pytest.mark.parametrize(
    ("number", "operand"), [("version", 0), ("create_revision", 0), ("mod_revision", 1)], ids=lambda value: str(value)
)
def test_numbers_over_a_range_are_compared_without_reading_a_record(
    number: str, operand: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mvcc = Mvcc(MemoryStore(), 1, 2, raft_term=1)
    for at in range(3_000):
        mvcc.put(pb.PutRequest(key=b"k/%d" % at))
    monkeypatch.setattr(type(mvcc.state), "records_as_of", None)
    monkeypatch.setattr(type(mvcc.state), "record_as_of", None)
    target = pb.Compare.CompareTarget.Value({"version": "VERSION", "create_revision": "CREATE"}.get(number, "MOD"))
    for result, is_so in (("GREATER", True), ("EQUAL", False)):
        compare = pb.Compare(result=pb.Compare.CompareResult.Value(result), target=target, **{number: operand}, **_SPAN)
        _, error, body = mvcc.txn(pb.TxnRequest(compare=[compare]))
        assert error is None
        assert pb.TxnResponse.FromString(bytes(body)).succeeded == is_so
